//! `COPY INTO table FROM 'files' [FILEFORMAT = CSV|JSON|PARQUET] [FORMAT_OPTIONS (…)] [COPY_OPTIONS (…)]`.
//!
//! The statement of Databricks SQL: files that were loaded before are skipped, unless `'force' = 'true'`. It opens no
//! file.

use datafusion::scalar::ScalarValue;
use sqlparser::tokenizer::Token;

use super::dialect::Cursor;
use super::scan::scalar;
use super::statement::{ObjectRef, Statement, object_ref};
use crate::error::nearest;
use crate::{Error, Result};

/// The format of the files to load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma- or otherwise separated text.
    Csv,
    /// JSON objects, one behind the other or in an array.
    Json,
    /// Apache Parquet.
    Parquet,
}

/// One parsed `COPY INTO`.
#[derive(Debug, Clone, PartialEq)]
pub struct CopyInto {
    /// The table to load into.
    pub table: ObjectRef,
    /// A path or glob.
    pub from: String,
    /// The files' format.
    pub format: FileFormat,
    /// `FORMAT_OPTIONS`, names folded.
    pub options: Vec<(String, ScalarValue)>,
    /// Load files again that were loaded before.
    pub force: bool,
}

/// Parses a statement that begins with `COPY`.
pub fn parse(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["COPY"])?;
    if !cursor.words(&["INTO"]) {
        return Err(Error::unsupported("`COPY` to files is not supported yet")
            .with_hint("COPY INTO table FROM 'files' loads files into a table"));
    }
    let table = object_ref(&cursor.object_name("a table")?)?;
    cursor.expect_words(&["FROM"])?;
    let from = cursor.string("a path or glob in quotes")?;
    let mut format = None;
    let mut options = Vec::new();
    let mut force = false;
    let mut seen: Vec<String> = Vec::new();
    while let Some(clause) = cursor.peek_word() {
        if seen.contains(&clause) {
            return Err(Error::input(format!("expected `{clause}` once, found it twice")));
        }
        if cursor.words(&["FILEFORMAT"]) {
            cursor.expect_token(&Token::Eq)?;
            format = Some(file_format(&cursor.name_or_string("`CSV`, `JSON` or `PARQUET`")?)?);
        } else if cursor.words(&["FORMAT_OPTIONS"]) {
            options = pairs(&mut cursor)?;
        } else if cursor.words(&["COPY_OPTIONS"]) {
            force = force_of(pairs(&mut cursor)?)?;
        } else {
            break;
        }
        seen.push(clause);
    }
    cursor.end()?;
    let format = match format.or_else(|| guess(&from)) {
        Some(format) => format,
        None => {
            return Err(Error::input(format!("expected `FILEFORMAT = CSV`, `JSON` or `PARQUET` for `{from}`")));
        }
    };
    Ok(Statement::Copy(CopyInto { table, from, format, options, force }))
}

fn file_format(name: &str) -> Result<FileFormat> {
    match name.to_lowercase().as_str() {
        "csv" => Ok(FileFormat::Csv),
        "parquet" => Ok(FileFormat::Parquet),
        "json" => Ok(FileFormat::Json),
        "text" | "avro" | "orc" | "binaryfile" => {
            Err(Error::unsupported(format!("the file format `{name}` is not supported yet")))
        }
        _ => Err(Error::input(format!("expected the file format `CSV`, `JSON` or `PARQUET`, found `{name}`"))),
    }
}

/// The format that a path's last extension says, a compression's left out.
fn guess(path: &str) -> Option<FileFormat> {
    let lower = path.to_lowercase();
    let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
    match plain.rsplit('.').next() {
        Some("csv" | "tsv") => Some(FileFormat::Csv),
        Some("json" | "jsonl" | "ndjson") => Some(FileFormat::Json),
        Some("parquet") => Some(FileFormat::Parquet),
        _ => None,
    }
}

/// `('name' = 'value', …)`.
fn pairs(cursor: &mut Cursor<'_>) -> Result<Vec<(String, ScalarValue)>> {
    let mut pairs = Vec::new();
    cursor.expect_token(&Token::LParen)?;
    while !cursor.token(&Token::RParen) {
        if !pairs.is_empty() {
            cursor.expect_token(&Token::Comma)?;
        }
        let name = cursor.name_or_string("an option")?.to_lowercase();
        cursor.expect_token(&Token::Eq)?;
        let value = cursor.literal(&format!("a value for the option `{name}`"))?;
        let value = scalar(value).ok_or_else(|| cursor.expected(&format!("a value for the option `{name}`")))?;
        pairs.push((name, value));
    }
    Ok(pairs)
}

fn force_of(options: Vec<(String, ScalarValue)>) -> Result<bool> {
    let mut force = false;
    for (name, value) in options {
        match (name.as_str(), value.to_string().to_lowercase().as_str()) {
            ("force", "true") => force = true,
            ("force", "false") => force = false,
            ("force", _) => return Err(Error::input(format!("expected true or false for `force`, found `{value}`"))),
            ("mergeschema", _) => return Err(Error::unsupported("the copy option `mergeSchema` is not supported yet")),
            (other, _) => {
                let near = nearest(other, ["force"]).map(|n| format!(", the nearest is `{n}`")).unwrap_or_default();
                return Err(Error::input(format!("unknown copy option `{other}`{near}")));
            }
        }
    }
    Ok(force)
}
