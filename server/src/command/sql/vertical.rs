//! Rows one below the other, a line for each value: nothing is cut, however wide a row is.
//!
//! It writes lines and knows nothing of where they go.

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;

use super::cell::{cells, one_line, padded, width};
use super::table::Style;

/// The columns of the line between rows, where the terminal has more.
const RULE_COLUMNS_MAX: usize = 60;

/// The rows of a batch, numbered from `first`.
pub fn draw(schema: &Schema, batch: &RecordBatch, first: u64, style: Style) -> Result<String, ArrowError> {
    let names: Vec<String> = schema.fields().iter().map(|field| one_line(field.name())).collect();
    let names_width = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let columns = batch.columns().iter().map(|column| cells(column.as_ref())).collect::<Result<Vec<_>, _>>()?;
    let (bar, dash) = if style.lines { ("│", "─") } else { ("|", "-") };
    let rule_width = style.columns.unwrap_or(RULE_COLUMNS_MAX).min(RULE_COLUMNS_MAX);
    let mut out = String::new();
    for row in 0..batch.num_rows() {
        let title = format!("{dash}[ {} ]", first + row as u64);
        let rest = dash.repeat(rule_width.saturating_sub(width(&title)));
        out.push_str(&format!("{title}{rest}\n"));
        for (name, column) in names.iter().zip(&columns) {
            let Some(cell) = column.get(row) else { continue };
            let (on, dim, off) = match style.color {
                true => ("\x1b[1m", if cell.is_null { "\x1b[2m" } else { "" }, "\x1b[0m"),
                false => ("", "", ""),
            };
            let mut head = format!("{on}{}{off}", padded(name, names_width, false));
            // A text with several lines keeps them, below each other.
            for line in cell.text.split('\n') {
                out.push_str(format!("{head} {bar} {dim}{}{off}", one_line(line)).trim_end());
                out.push('\n');
                head = " ".repeat(names_width);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn each_value_has_its_line() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["one\ntwo\x1b", ""]));
        let batch = RecordBatch::try_from_iter([("n", numbers), ("text", texts)]).unwrap();
        let drawn = draw(&batch.schema(), &batch, 4, Style { columns: Some(12), ..Style::default() }).unwrap();
        let expected = "-[ 4 ]------\n\
                        n    | 7\n\
                        text | one\n     | two\\u{1b}\n\
                        -[ 5 ]------\n\
                        n    | NULL\n\
                        text |\n";
        assert_eq!(drawn, expected);
    }
}
