//! Parquet files as a table.
//!
//! The footer of every file is read when the table is opened, so that a broken file and files that do not fit each
//! other are named before a plan exists. Scanning, with the files and row groups that a filter rules out left unread,
//! is DataFusion's. It knows nothing of SQL.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use url::Url;

use super::glob::{self, FileStat};
use super::{Stop, blocking};
use crate::lake::types::sql_name;
use crate::{Error, Result};

/// A table over the Parquet files that a path, a glob or a `file://` URL names.
///
/// The columns are those of all files, by name; a file without a column reads as NULL there, and numbers widen.
/// `NotFound` where there is no file, `Input` for broken files and for columns whose types do not fit each other.
pub async fn open_parquet(pattern: &str) -> Result<Arc<dyn TableProvider>> {
    open_parquet_files(glob::list(pattern).await?).await
}

/// A table over exactly these files; there must be at least one.
pub async fn open_parquet_files(files: Vec<FileStat>) -> Result<Arc<dyn TableProvider>> {
    let (schema, urls) = blocking(move |stop| {
        let schema = merged_schema(&files, stop)?;
        let urls: Result<Vec<ListingTableUrl>> = files.iter().map(|file| listing_url(&file.path)).collect();
        Ok((schema, urls?))
    })
    .await?;
    // The files are named one by one, so no ending of theirs is asked for.
    let options = ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
    let config = ListingTableConfig::new_with_multi_paths(urls).with_listing_options(options).with_schema(schema);
    Ok(Arc::new(ListingTable::try_new(config)?))
}

fn listing_url(path: &Path) -> Result<ListingTableUrl> {
    let url = Url::from_file_path(path)
        .map_err(|()| Error::internal(format!("expected an absolute path, found `{}`", path.display())))?;
    Ok(ListingTableUrl::try_new(url, None)?)
}

/// The columns of all files.
fn merged_schema(files: &[FileStat], stop: &Stop) -> Result<SchemaRef> {
    let mut fields: Vec<FieldRef> = Vec::new();
    for (index, file) in files.iter().enumerate() {
        stop.check()?;
        let schema = file_schema(file)?;
        for field in &mut fields {
            if schema.field_with_name(field.name()).is_err() {
                *field = nullable(field);
            }
        }
        for found in schema.fields() {
            match fields.iter_mut().find(|field| field.name() == found.name()) {
                Some(field) => *field = merged(field, found, file)?,
                None if index == 0 => fields.push(Arc::clone(found)),
                None => fields.push(nullable(found)),
            }
        }
    }
    match files.is_empty() {
        true => Err(Error::not_found("expected at least one file")),
        false => Ok(Arc::new(Schema::new(fields))),
    }
}

fn nullable(field: &FieldRef) -> FieldRef {
    Arc::new(field.as_ref().clone().with_nullable(true))
}

/// One file's columns, from its footer.
fn file_schema(file: &FileStat) -> Result<SchemaRef> {
    let shown = &file.shown;
    let opened = File::open(&file.path).map_err(|error| Error::from(error).context(format!("`{shown}`")))?;
    match ArrowReaderMetadata::load(&opened, ArrowReaderOptions::new()) {
        Ok(metadata) => Ok(Arc::clone(metadata.schema())),
        Err(error) => Err(Error::input(format!("`{shown}`: expected a Parquet file: {error}"))),
    }
}

/// A column that holds the values of both; an error names the file that does not fit.
fn merged(field: &FieldRef, found: &FieldRef, file: &FileStat) -> Result<FieldRef> {
    let Some(data_type) = common_type(field.data_type(), found.data_type()) else {
        return Err(Error::input(format!(
            "`{}`: expected values of type {} in the column `{}`, as in the files before it, found {}",
            file.shown,
            sql_name(field.data_type()),
            field.name(),
            sql_name(found.data_type())
        )));
    };
    Ok(Arc::new(Field::new(field.name(), data_type, field.is_nullable() || found.is_nullable())))
}

/// The wider of two types of one family.
fn common_type(one: &DataType, other: &DataType) -> Option<DataType> {
    use DataType as T;
    let width = |data_type: &DataType| match data_type {
        T::Int8 => Some(1),
        T::Int16 => Some(2),
        T::Int32 => Some(4),
        T::Int64 => Some(8),
        _ => None,
    };
    match (one, other) {
        _ if one == other => Some(one.clone()),
        (T::Null, known) | (known, T::Null) => Some(known.clone()),
        (T::Float32, T::Float64) | (T::Float64, T::Float32) => Some(T::Float64),
        (T::Utf8 | T::LargeUtf8 | T::Utf8View, T::Utf8 | T::LargeUtf8 | T::Utf8View) => Some(T::Utf8View),
        (T::Binary | T::LargeBinary | T::BinaryView, T::Binary | T::LargeBinary | T::BinaryView) => Some(T::BinaryView),
        _ => match (width(one)?, width(other)?) {
            (a, b) if a >= b => Some(one.clone()),
            _ => Some(other.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, StringArray};
    use arrow::compute::concat_batches;
    use arrow::datatypes::Int64Type;
    use arrow::record_batch::RecordBatch;
    use datafusion::prelude::SessionContext;
    use parquet::arrow::ArrowWriter;

    use super::*;
    use crate::Class;

    fn write(directory: &Path, name: &str, columns: Vec<(&str, ArrayRef)>) {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(directory.join(name)).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    async fn query(pattern: &str, sql: &str) -> RecordBatch {
        let ctx = SessionContext::new();
        ctx.register_table("t", open_parquet(pattern).await.unwrap()).unwrap();
        let df = ctx.sql(sql).await.unwrap();
        let schema = Arc::clone(df.schema().inner());
        concat_batches(&schema, &df.collect().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn files_are_merged_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        write(at, "a.parquet", vec![("n", Arc::new(Int32Array::from(vec![1, 2])))]);
        let name: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
        write(at, "b.parquet", vec![("s", name), ("n", Arc::new(Int64Array::from(vec![1_i64 << 40])))]);
        let rows = query(&format!("{}/*.parquet", at.display()), "SELECT n, s FROM t ORDER BY n").await;
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[1, 2, 1 << 40]);
        assert_eq!(rows.column(1).null_count(), 2);
        let rows = query(&format!("{}/*.parquet", at.display()), "SELECT s FROM t WHERE n > 2").await;
        assert_eq!(rows.num_rows(), 1);
    }

    #[tokio::test]
    async fn what_does_not_fit_or_is_broken_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        write(at, "a.parquet", vec![("n", Arc::new(Int32Array::from(vec![1])))]);
        write(at, "b.parquet", vec![("n", Arc::new(Float64Array::from(vec![1.0])))]);
        let error = open_parquet(&format!("{}/*.parquet", at.display())).await.unwrap_err();
        let expected = format!(
            "`{}/b.parquet`: expected values of type INT in the column `n`, as in the files before it, found DOUBLE",
            at.display()
        );
        assert_eq!((error.class(), error.message()), (Class::Input, expected.as_str()));
        std::fs::write(at.join("c.parquet"), "PAR1 but not really").unwrap();
        let error = open_parquet(&format!("{}/c.parquet", at.display())).await.unwrap_err();
        assert_eq!(error.class(), Class::Input);
        assert!(error.message().starts_with(&format!("`{}/c.parquet`: expected a Parquet file: ", at.display())));
    }

    #[tokio::test]
    async fn names_with_odd_characters_are_read() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), "ä b%20#[1].parquet", vec![("n", Arc::new(Int64Array::from(vec![7])))]);
        let pattern = format!("{}/ä b%20#[1].parquet", directory.path().display());
        let rows = query(&pattern, "SELECT n FROM t").await;
        assert_eq!(rows.column(0).as_primitive::<Int64Type>().values(), &[7]);
    }
}
