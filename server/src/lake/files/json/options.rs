//! The options of `read_json` and of `COPY INTO … FILEFORMAT = JSON`, by the names that users of DuckDB know.
//!
//! Checked when they are read. It knows nothing of files.

use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;
use limn_sql_udfs::json::decode::is_readable;

use crate::error::unknown;
use crate::lake::files::csv::options::{Compression, columns, compression, expected, rows, text};
use crate::lake::types::sql_name;
use crate::limits::JSON_INFERENCE_ROWS;
use crate::{Class, Error, Result};

/// The options, each with the other names that it goes by.
const NAMES: &[(&str, &[&str])] = &[
    ("columns", &["types", "dtypes", "schema"]),
    ("compression", &[]),
    ("format", &[]),
    ("sample_size", &["samplesize"]),
];

/// How values follow each other in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As the file's beginning looks.
    Auto,
    /// One on each line.
    Lines,
    /// As the values of one array.
    Array,
    /// One behind the other, on as many lines as they need.
    Sequence,
}

/// How to read JSON files.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonOptions {
    /// All columns with their types; where there are none they are inferred.
    pub columns: Vec<(String, DataType)>,
    /// How the files are compressed.
    pub compression: Compression,
    /// How values follow each other.
    pub format: Format,
    /// Values that inference reads, of all files together.
    pub sample_rows: usize,
    /// Whether a key that is no column is an error, though the columns were said.
    pub strict: bool,
}

impl JsonOptions {
    /// Options from names and values as SQL gives them; names fold.
    pub fn parse(options: &[(String, ScalarValue)]) -> Result<Self> {
        let mut parsed = JsonOptions {
            columns: Vec::new(),
            compression: Compression::Auto,
            format: Format::Auto,
            sample_rows: JSON_INFERENCE_ROWS,
            strict: false,
        };
        let mut seen: Vec<&str> = Vec::new();
        for (given, value) in options {
            let name = canonical(given)?;
            if seen.contains(&name) {
                return Err(Error::input(format!("expected the option `{name}` once, found it again as `{given}`")));
            }
            seen.push(name);
            match name {
                "columns" => parsed.columns = columns(name, value)?,
                "compression" => parsed.compression = compression(name, value)?,
                "format" => parsed.format = format(name, value)?,
                _ => parsed.sample_rows = rows(name, value)?,
            }
        }
        for (index, (name, data_type)) in parsed.columns.iter().enumerate() {
            if parsed.columns.iter().take(index).any(|(other, _)| other == name) {
                return Err(Error::input(format!("expected the column `{name}` once in the option `columns`")));
            }
            if !is_readable(data_type) {
                let found = sql_name(data_type);
                let text = format!("column `{name}`: a JSON file cannot be read as values of type `{found}`");
                return Err(Error::unsupported(text).with_hint("read it as TEXT and cast it in the query"));
            }
        }
        Ok(parsed)
    }
}

fn canonical(given: &str) -> Result<&'static str> {
    let folded = given.to_lowercase();
    match NAMES.iter().find(|(name, aliases)| *name == folded || aliases.contains(&folded.as_str())) {
        Some((name, _)) => Ok(name),
        None => {
            let known = NAMES.iter().flat_map(|(name, aliases)| std::iter::once(name).chain(*aliases)).copied();
            let error = unknown("JSON option", &folded, known);
            let names: Vec<String> = NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            Err(Error::new(Class::Input, error.message()).with_hint(format!("the options are {}", names.join(", "))))
        }
    }
}

fn format(name: &str, value: &ScalarValue) -> Result<Format> {
    const WHAT: &str = "`auto`, `newline_delimited`, `array` or `unstructured`";
    match text(name, WHAT, value)?.to_ascii_lowercase().as_str() {
        "auto" => Ok(Format::Auto),
        "newline_delimited" | "ndjson" | "jsonl" => Ok(Format::Lines),
        "array" => Ok(Format::Array),
        "unstructured" => Ok(Format::Sequence),
        _ => Err(expected(name, WHAT, value)),
    }
}
