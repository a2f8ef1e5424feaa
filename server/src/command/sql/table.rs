//! Rows as a table for people: numbers to the right, cells cut to the terminal, columns left out where none would fit.
//!
//! Without a width nothing is cut or left out. It writes lines and knows nothing of where they go.

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::cell::{Cell, cells, cut, one_line, padded, width};

/// How the tables of an output look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// The terminal's columns; nothing is cut where not set.
    pub columns: Option<usize>,
    /// Lines drawn with box characters instead of ASCII.
    pub lines: bool,
    /// Names of columns stand out, NULL steps back.
    pub color: bool,
}

impl Style {
    /// Cut, drawn and coloured on a terminal of so many columns and lines; whole and plain everywhere else.
    pub fn of_terminal(dimensions: Option<(usize, usize)>, color: bool) -> Self {
        match dimensions {
            Some((columns, _)) => Style { columns: Some(columns), lines: true, color },
            None => Style::default(),
        }
    }
}

/// The columns below which a cell is not cut, so that something of it is seen.
const CELL_COLUMNS_MIN: usize = 8;

/// Rows laid out.
pub struct Table {
    columns: Vec<Column>,
    rows: usize,
    widths: Vec<usize>,
    /// Columns shown, by index; `None` stands for those left out.
    shown: Vec<Option<usize>>,
    style: Style,
}

struct Column {
    name: String,
    right: bool,
    cells: Vec<Cell>,
}

impl Table {
    /// Lays out batches of one schema.
    pub fn new(schema: &Schema, batches: &[RecordBatch], style: Style) -> Result<Self, ArrowError> {
        let mut columns = Vec::new();
        for (at, field) in schema.fields().iter().enumerate() {
            let mut all = Vec::new();
            for batch in batches {
                let shown = cells(batch.column(at).as_ref())?.into_iter();
                all.extend(shown.map(|cell| Cell { text: one_line(&cell.text), ..cell }));
            }
            let right = field.data_type().is_numeric();
            columns.push(Column { name: one_line(field.name()), right, cells: all });
        }
        let natural: Vec<usize> = columns.iter().map(Column::natural_width).collect();
        let (widths, shown) = match style.columns {
            Some(available) => fit(&natural, available),
            None => (natural.clone(), (0..natural.len()).map(Some).collect()),
        };
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        Ok(Table { columns, rows, widths, shown, style })
    }

    /// Whether something of it is cut or left out.
    pub fn is_cut(&self) -> bool {
        let cut = |(column, width): (&Column, &usize)| column.natural_width() > *width;
        self.shown.contains(&None) || self.columns.iter().zip(&self.widths).any(cut)
    }

    /// The columns that are left out.
    pub fn hidden(&self) -> usize {
        self.columns.len() - self.shown.iter().flatten().count()
    }

    /// The table as lines, each ended.
    pub fn draw(&self) -> String {
        let rules = match self.style.lines {
            true => [["┌", "┬", "┐", "─"], ["├", "┼", "┤", "─"], ["└", "┴", "┘", "─"]],
            false => [["+", "+", "+", "-"]; 3],
        };
        let mut out = self.rule(rules[0]);
        out.push_str(&self.line(|column| (&column.name, column.right, "\x1b[1m")));
        out.push_str(&self.rule(rules[1]));
        let null = Cell { text: String::new(), is_null: true };
        for row in 0..self.rows {
            out.push_str(&self.line(|column| {
                let cell = column.cells.get(row).unwrap_or(&null);
                (&cell.text, column.right, if cell.is_null { "\x1b[2m" } else { "" })
            }));
        }
        out.push_str(&self.rule(rules[2]));
        out
    }

    fn rule(&self, [left, cross, right, dash]: [&str; 4]) -> String {
        let dashes: Vec<String> = self.slots().map(|(_, width)| dash.repeat(width + 2)).collect();
        format!("{left}{}{right}\n", dashes.join(cross))
    }

    fn line<'a>(&'a self, cell: impl Fn(&'a Column) -> (&'a str, bool, &'static str)) -> String {
        let bar = if self.style.lines { "│" } else { "|" };
        let texts: Vec<String> = self
            .slots()
            .map(|(column, width)| {
                let Some((text, right, color)) = column.map(&cell) else { return "…".to_string() };
                let text = padded(&cut(text, width), width, right);
                match self.style.color && !color.is_empty() {
                    true => format!("{color}{text}\x1b[0m"),
                    false => text,
                }
            })
            .collect();
        format!("{bar} {} {bar}\n", texts.join(&format!(" {bar} ")))
    }

    /// What stands beside each other, with its width.
    fn slots(&self) -> impl Iterator<Item = (Option<&Column>, usize)> {
        self.shown.iter().map(|at| match at {
            Some(at) => (self.columns.get(*at), self.widths.get(*at).copied().unwrap_or(0)),
            None => (None, 1),
        })
    }
}

impl Column {
    fn natural_width(&self) -> usize {
        self.cells.iter().map(|cell| width(&cell.text)).chain([width(&self.name)]).max().unwrap_or(0)
    }
}

/// The widths of columns on so many columns of a terminal, and which of them are shown.
fn fit(natural: &[usize], available: usize) -> (Vec<usize>, Vec<Option<usize>>) {
    let all = || (0..natural.len()).map(Some).collect();
    // Each column has a line and two blanks, and one line ends the row.
    let room = available.saturating_sub(3 * natural.len() + 1);
    if natural.iter().sum::<usize>() <= room {
        return (natural.to_vec(), all());
    }
    let least: Vec<usize> = natural.iter().map(|width| (*width).min(CELL_COLUMNS_MIN)).collect();
    if least.iter().sum::<usize>() <= room {
        return (shared(natural, &least, room), all());
    }
    // Columns are kept from both ends, as many as fit beside one that says that others are left out.
    let (mut front, mut back, mut rest) = (Vec::new(), Vec::new(), available.saturating_sub(5));
    let mut order: Vec<usize> = Vec::new();
    for step in 0..natural.len() {
        order.push(if step % 2 == 0 { step / 2 } else { natural.len() - 1 - step / 2 });
    }
    for (step, at) in order.into_iter().enumerate() {
        let takes = least.get(at).copied().unwrap_or(0) + 3;
        // One column is always shown, however narrow the terminal is.
        if takes > rest && step > 0 {
            break;
        }
        rest = rest.saturating_sub(takes);
        if step % 2 == 0 { front.push(at) } else { back.push(at) }
    }
    back.reverse();
    let kept: Vec<usize> = front.iter().chain(&back).copied().collect();
    let pick = |widths: &[usize]| kept.iter().filter_map(|at| widths.get(*at).copied()).collect::<Vec<_>>();
    let room = available.saturating_sub(3 * kept.len() + 5);
    let mut widths = least.clone();
    for (at, width) in kept.iter().zip(shared(&pick(natural), &pick(&least), room)) {
        if let Some(slot) = widths.get_mut(*at) {
            *slot = width;
        }
    }
    (widths, front.into_iter().map(Some).chain([None]).chain(back.into_iter().map(Some)).collect())
}

/// Shares out `room`: no column gets more than it wants or less than its least, and the wide ones get equally much.
fn shared(natural: &[usize], least: &[usize], room: usize) -> Vec<usize> {
    let at_cap = |cap: usize| -> Vec<usize> {
        natural.iter().zip(least).map(|(natural, least)| (*natural).min(cap).max(*least)).collect()
    };
    let widest = natural.iter().copied().max().unwrap_or(0);
    let (mut fits, mut too_much) = (0, widest + 1);
    while too_much - fits > 1 {
        let middle = fits + (too_much - fits) / 2;
        match at_cap(middle).iter().sum::<usize>() <= room {
            true => fits = middle,
            false => too_much = middle,
        }
    }
    let mut widths = at_cap(fits);
    // What equal shares leave over goes to the first columns that want more.
    let mut left = room.saturating_sub(widths.iter().sum());
    for (width, natural) in widths.iter_mut().zip(natural) {
        if left > 0 && *width < *natural {
            *width += 1;
            left -= 1;
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn batch(columns: usize, text: &str) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![text, "é"]));
        let pairs = (0..columns)
            .map(|at| (format!("c{at}"), if at % 2 == 0 { Arc::clone(&numbers) } else { Arc::clone(&texts) }));
        RecordBatch::try_from_iter(pairs).unwrap()
    }

    fn table(columns: usize, text: &str, style: Style) -> Table {
        let batch = batch(columns, text);
        Table::new(&batch.schema(), std::slice::from_ref(&batch), style).unwrap()
    }

    #[test]
    fn numbers_stand_right_and_nothing_is_cut_without_a_width() {
        let drawn = table(2, "apple", Style::default()).draw();
        let expected = "+------+-------+\n\
                        |   c0 | c1    |\n\
                        +------+-------+\n\
                        |    7 | apple |\n\
                        | NULL | é     |\n\
                        +------+-------+\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn lines_and_colours_are_for_terminals() {
        let drawn = table(1, "", Style { columns: Some(80), lines: true, color: true }).draw();
        let expected = "┌──────┐\n│ \x1b[1m  c0\x1b[0m │\n├──────┤\n│    7 │\n│ \x1b[2mNULL\x1b[0m │\n└──────┘\n";
        assert_eq!(drawn, expected);
    }

    #[test]
    fn every_line_fits_the_terminal() {
        let long = "x".repeat(300);
        for columns in 1..40 {
            for available in 12..100 {
                let table = table(columns, &long, Style { columns: Some(available), ..Style::default() });
                for line in table.draw().lines() {
                    assert!(width(line) <= available, "{columns} columns on {available}: {line}");
                }
                assert_eq!(table.is_cut(), columns > 1 || table.hidden() > 0, "{columns} columns on {available}");
            }
        }
    }

    #[test]
    fn the_middle_is_left_out_and_said_to_be() {
        let table = table(20, "text", Style { columns: Some(40), ..Style::default() });
        let drawn = table.draw();
        let head = drawn.lines().nth(1).unwrap();
        assert_eq!(head, "|   c0 | c1   |   c2 | … |  c18 | c19  |");
        assert_eq!(table.hidden(), 15);
    }

    #[test]
    fn room_is_shared_and_none_is_left() {
        assert_eq!(shared(&[3, 50, 50], &[3, 8, 8], 44), [3, 21, 20]);
        assert_eq!(shared(&[3, 10, 50], &[3, 8, 8], 44), [3, 10, 31]);
        assert_eq!(fit(&[3, 4], 80).0, [3, 4]);
    }
}
