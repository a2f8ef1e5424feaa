//! Results as a table or as vertical lines for people, or as CSV, JSON lines or an Arrow stream for programs.
//!
//! Programs' formats stream. A table needs its widths first, so a long result comes in pages, each a table of its own.
//! An effect has no rows to show: people read what it did, programs get nothing.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{ArrayRef, StringArray};
use arrow::csv;
use arrow::datatypes::{Field, Schema};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::{Stream, TryStreamExt};
use limn_client::Rows;

use super::table::{Style, Table};
use super::vertical;
use crate::config::Format;
use crate::limits::{SHELL_PAGE_ROWS, SHELL_TURNED_ROWS_MAX};

/// Where results are written, and how.
pub struct Output<W> {
    format: Format,
    style: Style,
    /// Whether a short result that would be cut is written vertically instead.
    turns: bool,
    out: Watched<W>,
}

/// A writer that remembers why it failed, because the formats' writers tell it in text only.
struct Watched<W> {
    inner: W,
    failed: Option<io::ErrorKind>,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).inspect_err(|error| self.failed = Some(error.kind()))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().inspect_err(|error| self.failed = Some(error.kind()))
    }
}

/// What was written of a statement's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// So many rows.
    Rows(u64),
    /// What an effect did.
    Effect,
}

/// Why a result could not be shown.
#[derive(Debug)]
pub enum Failure {
    /// The server or the connection said so.
    Client(limn_client::Error),
    /// The values cannot be written in this format.
    Values(ArrowError),
    /// The output is closed or full.
    Output(io::Error),
    /// A person stopped it.
    Stopped,
}

impl Failure {
    /// Whether whoever read the output has seen enough.
    pub fn is_unread(&self) -> bool {
        matches!(self, Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Client(error) => error.fmt(f),
            Failure::Values(error) => write!(f, "the result cannot be written in this format: {error}"),
            Failure::Output(error) => write!(f, "cannot write the result: {error}"),
            Failure::Stopped => f.write_str("stopped"),
        }
    }
}

impl From<limn_client::Error> for Failure {
    fn from(error: limn_client::Error) -> Self {
        Failure::Client(error)
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Failure::Values(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

impl<W: Write> Output<W> {
    /// Writes results in `format` to `out`, uncut and in plain characters.
    pub fn new(format: Format, out: W) -> Self {
        Output { format, style: Style::default(), turns: false, out: Watched { inner: out, failed: None } }
    }

    /// The same with a look; `turns` writes short results vertically where a table would be cut.
    pub fn styled(self, style: Style, turns: bool) -> Self {
        Output { style, turns, ..self }
    }

    /// Where results are written.
    pub fn into_inner(self) -> W {
        self.out.inner
    }

    /// Writes one statement's result.
    pub async fn rows(&mut self, rows: Rows) -> Result<Written, Failure> {
        let ended = self.shown(rows).await;
        match self.out.failed {
            Some(kind) => ended.map_err(|_in_text| Failure::Output(kind.into())),
            None => ended,
        }
    }

    async fn shown(&mut self, rows: Rows) -> Result<Written, Failure> {
        let schema = Arc::clone(rows.schema());
        // An effect that only counts answers one column of that name; TRAIN MODEL is an effect with rows to show.
        let counts = rows.affected().is_some() && schema.fields().len() == 1 && schema.field(0).name() == "count";
        if schema.fields().is_empty() || counts {
            let affected = rows.affected();
            // Read to the end, so that an error in it is seen.
            rows.try_for_each(|_batch| std::future::ready(Ok(()))).await?;
            self.effect(affected)?;
            return Ok(Written::Effect);
        }
        self.batches(&schema, rows).await.map(Written::Rows)
    }

    /// Says what an effect did.
    fn effect(&mut self, affected: Option<u64>) -> io::Result<()> {
        if matches!(self.format, Format::Table | Format::Vertical) {
            match affected {
                None | Some(0) => writeln!(self.out, "ok")?,
                Some(1) => writeln!(self.out, "ok, 1 row")?,
                Some(rows) => writeln!(self.out, "ok, {rows} rows")?,
            }
        }
        self.out.flush()
    }

    /// Writes batches as they come.
    async fn batches(
        &mut self,
        schema: &Schema,
        batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let rows = match self.format {
            Format::Table => self.table(schema, batches).await?,
            Format::Vertical => self.vertical(schema, batches).await?,
            Format::Csv => self.csv(schema, batches).await?,
            Format::Json => self.json(batches).await?,
            Format::Arrow => self.arrow(schema, batches).await?,
        };
        self.out.flush()?;
        Ok(rows)
    }

    async fn table(
        &mut self,
        schema: &Schema,
        mut batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let (mut page, mut page_rows, mut all) = (vec![], 0, 0_u64);
        while let Some(batch) = batches.try_next().await? {
            page_rows += batch.num_rows();
            all += count(&batch);
            page.push(batch);
            if page_rows >= SHELL_PAGE_ROWS {
                self.page(schema, &page, false)?;
                (page, page_rows) = (vec![], 0);
            }
        }
        // A result without rows shows its columns.
        if page_rows > 0 || all == 0 {
            self.page(schema, &page, usize::try_from(all).is_ok_and(|rows| rows == page_rows))?;
        }
        Ok(all)
    }

    /// Writes one page; `whole` where it is all of the result.
    fn page(&mut self, schema: &Schema, batches: &[RecordBatch], whole: bool) -> Result<(), Failure> {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let table = Table::new(schema, batches, self.style)?;
        if self.turns && whole && rows > 0 && rows <= SHELL_TURNED_ROWS_MAX && table.is_cut() {
            let mut first = 1;
            for batch in batches {
                self.out.write_all(vertical::draw(schema, batch, first, self.style)?.as_bytes())?;
                first += count(batch);
            }
            return Ok(());
        }
        self.out.write_all(table.draw().as_bytes())?;
        if table.hidden() > 0 {
            writeln!(self.out, "{} columns are left out; \\x shows them", table.hidden())?;
        }
        Ok(())
    }

    async fn vertical(
        &mut self,
        schema: &Schema,
        mut batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            self.out.write_all(vertical::draw(schema, &batch, rows + 1, self.style)?.as_bytes())?;
            rows += count(&batch);
        }
        Ok(rows)
    }

    async fn csv(
        &mut self,
        schema: &Schema,
        mut batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let mut writer = csv::WriterBuilder::new().with_header(true).build(&mut self.out);
        // An empty batch writes the header.
        writer.write(&flat(&RecordBatch::new_empty(Arc::new(schema.clone())))?)?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            rows += count(&batch);
            writer.write(&flat(&batch)?)?;
        }
        Ok(rows)
    }

    async fn json(
        &mut self,
        mut batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let builder = json::WriterBuilder::new().with_explicit_nulls(true);
        let mut writer = builder.build::<_, json::writer::LineDelimited>(&mut self.out);
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            rows += count(&batch);
            writer.write(&batch)?;
        }
        writer.finish()?;
        Ok(rows)
    }

    async fn arrow(
        &mut self,
        schema: &Schema,
        mut batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let mut writer = StreamWriter::try_new(&mut self.out, schema)?;
        let mut rows = 0;
        while let Some(batch) = batches.try_next().await? {
            rows += count(&batch);
            writer.write(&batch)?;
        }
        writer.finish()?;
        Ok(rows)
    }
}

fn count(batch: &RecordBatch) -> u64 {
    u64::try_from(batch.num_rows()).unwrap_or(u64::MAX)
}

/// CSV has no lists or structs; they are written as text.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let flat_columns = batch.columns().iter().zip(batch.schema_ref().fields()).map(|(column, field)| {
        if !field.data_type().is_nested() {
            return Ok((Arc::clone(field), Arc::clone(column)));
        }
        let options = FormatOptions::new();
        let texts = ArrayFormatter::try_new(column.as_ref(), &options)?;
        let texts: StringArray =
            (0..column.len()).map(|row| (!column.is_null(row)).then(|| texts.value(row).to_string())).collect();
        let field = Field::new(field.name(), arrow::datatypes::DataType::Utf8, true);
        Ok((Arc::new(field), Arc::new(texts) as ArrayRef))
    });
    let (fields, columns): (Vec<_>, Vec<_>) = flat_columns.collect::<Result<Vec<_>, ArrowError>>()?.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn batch() -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a,b", "é\"x"]));
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
        RecordBatch::try_from_iter(vec![("n", numbers), ("s", texts), ("l", Arc::new(lists) as ArrayRef)]).unwrap()
    }

    async fn written(format: Format, batches: Vec<RecordBatch>) -> (u64, Vec<u8>) {
        let mut out = Vec::new();
        let rows = {
            let mut output = Output::new(format, &mut out);
            output.batches(&batch().schema(), futures::stream::iter(batches.into_iter().map(Ok))).await.unwrap()
        };
        (rows, out)
    }

    async fn text(format: Format, batches: Vec<RecordBatch>) -> (u64, String) {
        let (rows, bytes) = written(format, batches).await;
        (rows, String::from_utf8(bytes).unwrap())
    }

    #[tokio::test]
    async fn csv_quotes_and_has_one_header() {
        let expected = "n,s,l\n1,\"a,b\",\"[1, ]\"\n,\"é\"\"x\",\n";
        assert_eq!(text(Format::Csv, vec![batch()]).await, (2, expected.to_string()));
        assert_eq!(text(Format::Csv, vec![]).await, (0, "n,s,l\n".into()));
    }

    #[tokio::test]
    async fn json_is_one_object_a_line() {
        let (rows, text) = text(Format::Json, vec![batch(), batch()]).await;
        assert_eq!(rows, 4);
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[1], serde_json::json!({ "n": null, "s": "é\"x", "l": null }));
    }

    #[tokio::test]
    async fn an_arrow_stream_reads_back() {
        let (rows, bytes) = written(Format::Arrow, vec![batch()]).await;
        assert_eq!(rows, 2);
        let mut reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), batch());
        let (_, bytes) = written(Format::Arrow, vec![]).await;
        let mut reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_slice(), None).unwrap();
        assert_eq!((reader.schema(), reader.next().is_none()), (batch().schema(), true));
    }

    #[tokio::test]
    async fn a_table_without_rows_shows_its_columns() {
        let (rows, text) = text(Format::Table, vec![]).await;
        assert_eq!(rows, 0);
        assert!(text.contains("| n | s | l |"), "{text}");
    }

    #[tokio::test]
    async fn what_would_be_cut_is_turned_where_that_is_wanted() {
        let style = Style { columns: Some(20), ..Style::default() };
        for (turns, expected) in [(true, "-[ 1 ]"), (false, "+---")] {
            let mut out = Vec::new();
            let mut output = Output::new(Format::Table, &mut out).styled(style, turns);
            output.batches(&batch().schema(), futures::stream::iter([Ok(batch())])).await.unwrap();
            assert!(String::from_utf8(out).unwrap().starts_with(expected), "{turns}");
        }
    }

    #[tokio::test]
    async fn vertical_rows_are_numbered_through() {
        let (rows, text) = text(Format::Vertical, vec![batch(), batch()]).await;
        assert_eq!(rows, 4);
        assert!(text.contains("-[ 4 ]-"), "{text}");
    }

    #[test]
    fn effects_speak_to_people_only() {
        for (format, affected, expected) in [
            (Format::Table, None, "ok\n"),
            (Format::Table, Some(0), "ok\n"),
            (Format::Table, Some(1), "ok, 1 row\n"),
            (Format::Table, Some(5), "ok, 5 rows\n"),
            (Format::Csv, Some(5), ""),
            (Format::Json, Some(5), ""),
        ] {
            let mut out = Vec::new();
            Output::new(format, &mut out).effect(affected).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
