//! Results as a table for people, or as CSV, JSON lines or an Arrow stream for programs.
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
use arrow::util::pretty::pretty_format_batches_with_options;
use futures::{Stream, TryStreamExt};
use limn_client::Rows;

use crate::config::Format;
use crate::limits::SHELL_PAGE_ROWS;

/// Where results are written, and how.
pub struct Output<W> {
    format: Format,
    out: W,
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
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Client(error) => error.fmt(f),
            Failure::Values(error) => write!(f, "the result cannot be written in this format: {error}"),
            Failure::Output(error) => write!(f, "cannot write the result: {error}"),
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
    /// Writes results in `format` to `out`.
    pub fn new(format: Format, out: W) -> Self {
        Output { format, out }
    }

    /// Writes one statement's result; the number of its rows.
    pub async fn rows(&mut self, rows: Rows) -> Result<u64, Failure> {
        let schema = Arc::clone(rows.schema());
        // An effect that only counts answers one column of that name; TRAIN MODEL is an effect with rows to show.
        let counts = rows.affected().is_some() && schema.fields().len() == 1 && schema.field(0).name() == "count";
        if schema.fields().is_empty() || counts {
            let affected = rows.affected();
            // Read to the end, so that an error in it is seen.
            rows.try_for_each(|_batch| std::future::ready(Ok(()))).await?;
            return Ok(self.effect(affected)?);
        }
        self.batches(&schema, rows).await
    }

    /// Says what an effect did.
    fn effect(&mut self, affected: Option<u64>) -> io::Result<u64> {
        if self.format == Format::Table {
            match affected {
                None | Some(0) => writeln!(self.out, "ok")?,
                Some(1) => writeln!(self.out, "ok, 1 row")?,
                Some(rows) => writeln!(self.out, "ok, {rows} rows")?,
            }
        }
        Ok(affected.unwrap_or(0))
    }

    /// Writes batches as they come.
    async fn batches(
        &mut self,
        schema: &Schema,
        batches: impl Stream<Item = limn_client::Result<RecordBatch>> + Unpin,
    ) -> Result<u64, Failure> {
        let rows = match self.format {
            Format::Table => self.table(schema, batches).await?,
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
        // The schema goes in front, so that a result without rows shows its columns.
        let first = || vec![RecordBatch::new_empty(Arc::new(schema.clone()))];
        let (mut page, mut page_rows, mut all) = (first(), 0, 0_u64);
        while let Some(batch) = batches.try_next().await? {
            page_rows += batch.num_rows();
            all += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
            page.push(batch);
            if page_rows >= SHELL_PAGE_ROWS {
                self.page(&page)?;
                (page, page_rows) = (first(), 0);
            }
        }
        if page_rows > 0 || all == 0 {
            self.page(&page)?;
        }
        Ok(all)
    }

    fn page(&mut self, batches: &[RecordBatch]) -> Result<(), Failure> {
        let options = FormatOptions::new().with_null("NULL").with_display_error(true);
        writeln!(self.out, "{}", pretty_format_batches_with_options(batches, &options)?)?;
        Ok(())
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
            rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
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
            rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
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
            rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
            writer.write(&batch)?;
        }
        writer.finish()?;
        Ok(rows)
    }
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
