//! The options of `read_csv` and of `COPY INTO … FILEFORMAT = CSV`, by the names that users of DuckDB and Spark know.
//!
//! Checked when they are read: an unknown option offers the nearest name, a wrong value says what was expected. It
//! knows nothing of files.

use arrow::array::Array;
use arrow::datatypes::DataType;
use datafusion::scalar::ScalarValue;

use super::tokens::Dialect;
use crate::error::unknown;
use crate::lake::types::parse::{parse_columns_text, parse_type_text};
use crate::lake::types::sql_name;
use crate::limits::CSV_INFERENCE_ROWS;
use crate::{Class, Error, Result};

/// The options, each with the other names that it goes by.
const NAMES: &[(&str, &[&str])] = &[
    ("header", &[]),
    ("delim", &["delimiter", "sep", "separator"]),
    ("quote", &[]),
    ("escape", &[]),
    ("nullstr", &["null", "nullvalue", "null_value", "null_string"]),
    ("columns", &["types", "dtypes", "schema"]),
    ("sample_size", &["samplesize"]),
    ("all_varchar", &["all_text"]),
    ("compression", &[]),
];

/// How the bytes of a file are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// By the file's name: `.gz` is gzip.
    Auto,
    /// Not at all.
    None,
    /// With gzip.
    Gzip,
}

/// How to read CSV files.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvOptions {
    /// Whether the first line has the columns' names; else they are `column0`, `column1`, …
    pub header: bool,
    /// Between fields; where not said, a tab in files named `.tsv` and `.tab`, else a comma.
    pub delimiter: Option<u8>,
    /// Around fields; `None` where quotes are ordinary characters.
    pub quote: Option<u8>,
    /// In front of a quote within quotes; where not said, quotes are doubled.
    pub escape: Option<u8>,
    /// Texts that mean NULL. Where there is none, an unquoted empty field does.
    pub nulls: Vec<String>,
    /// Types that are not inferred, by column name; without a header, the names and types of all columns in order.
    pub columns: Vec<(String, DataType)>,
    /// Rows that type inference reads, of all files together.
    pub sample_rows: usize,
    /// Whether every column is text.
    pub all_text: bool,
    /// How the files are compressed.
    pub compression: Compression,
}

impl Default for CsvOptions {
    fn default() -> Self {
        CsvOptions {
            header: true,
            delimiter: None,
            quote: Some(b'"'),
            escape: None,
            nulls: Vec::new(),
            columns: Vec::new(),
            sample_rows: CSV_INFERENCE_ROWS,
            all_text: false,
            compression: Compression::Auto,
        }
    }
}

impl CsvOptions {
    /// Options from names and values as SQL gives them; names fold.
    ///
    /// `columns` is a text like `'a BIGINT, b TEXT'`, or a struct of type names. `Input` errors for wrong values, unknown
    /// options and options given twice.
    pub fn parse(options: &[(String, ScalarValue)]) -> Result<Self> {
        let mut parsed = CsvOptions::default();
        let mut seen: Vec<&str> = Vec::new();
        for (given, value) in options {
            let name = canonical(given)?;
            if seen.contains(&name) {
                return Err(Error::input(format!("expected the option `{name}` once, found it again as `{given}`")));
            }
            seen.push(name);
            parsed.set(name, value)?;
        }
        parsed.check()?;
        Ok(parsed)
    }

    fn set(&mut self, name: &str, value: &ScalarValue) -> Result<()> {
        match name {
            "header" => self.header = boolean(name, value)?,
            "delim" => self.delimiter = Some(required(name, value)?),
            "quote" => self.quote = character(name, value)?,
            "escape" => self.escape = character(name, value)?,
            "nullstr" => self.nulls = texts(name, value)?,
            "columns" => self.columns = columns(name, value)?,
            "sample_size" => self.sample_rows = rows(name, value)?,
            "all_varchar" => self.all_text = boolean(name, value)?,
            _ => self.compression = compression(name, value)?,
        }
        Ok(())
    }

    fn check(&self) -> Result<()> {
        let dialect = self.dialect("");
        if Some(dialect.delimiter) == dialect.quote || Some(dialect.delimiter) == dialect.escape {
            let text = char::from(dialect.delimiter);
            return Err(Error::input(format!("expected a delimiter that is no quote or escape, found `{text}`")));
        }
        for (index, (name, _)) in self.columns.iter().enumerate() {
            if self.columns.iter().take(index).any(|(other, _)| other == name) {
                return Err(Error::input(format!("expected the column `{name}` once in the option `columns`")));
            }
        }
        Ok(())
    }

    /// How a file of this name is written.
    pub(super) fn dialect(&self, file_name: &str) -> Dialect {
        let plain = file_name.strip_suffix(".gz").unwrap_or(file_name);
        let by_name = if plain.ends_with(".tsv") || plain.ends_with(".tab") { b'\t' } else { b',' };
        let escape = self.quote.and(self.escape.or(self.quote));
        Dialect { delimiter: self.delimiter.unwrap_or(by_name), quote: self.quote, escape }
    }

    /// Whether a file of this name is compressed.
    pub(super) fn is_gzip(&self, file_name: &str) -> bool {
        self.compression.is_gzip(file_name)
    }
}

impl Compression {
    /// Whether a file of this name is compressed.
    pub(in crate::lake::files) fn is_gzip(self, file_name: &str) -> bool {
        match self {
            Compression::Auto => file_name.to_ascii_lowercase().ends_with(".gz"),
            Compression::None => false,
            Compression::Gzip => true,
        }
    }
}

fn canonical(given: &str) -> Result<&'static str> {
    let folded = given.to_lowercase();
    let found = NAMES.iter().find(|(name, aliases)| *name == folded || aliases.contains(&folded.as_str()));
    match found {
        Some((name, _)) => Ok(name),
        None => {
            let known = NAMES.iter().flat_map(|(name, aliases)| std::iter::once(name).chain(*aliases)).copied();
            let error = unknown("CSV option", &folded, known);
            let names: Vec<String> = NAMES.iter().map(|(name, _)| format!("`{name}`")).collect();
            Err(Error::new(Class::Input, error.message()).with_hint(format!("the options are {}", names.join(", "))))
        }
    }
}

pub(in crate::lake::files) fn expected(name: &str, what: &str, value: &ScalarValue) -> Error {
    Error::input(format!("option `{name}`: expected {what}, found `{value}`"))
}

fn boolean(name: &str, value: &ScalarValue) -> Result<bool> {
    match value {
        ScalarValue::Boolean(Some(value)) => Ok(*value),
        other => match other.try_as_str().flatten().map(str::to_ascii_lowercase).as_deref() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(expected(name, "TRUE or FALSE", value)),
        },
    }
}

pub(in crate::lake::files) fn text<'a>(name: &str, what: &str, value: &'a ScalarValue) -> Result<&'a str> {
    value.try_as_str().flatten().ok_or_else(|| expected(name, what, value))
}

/// One ASCII character, or none for an empty text. A tab may be written as `\t`: SQL texts have no escapes.
fn character(name: &str, value: &ScalarValue) -> Result<Option<u8>> {
    const WHAT: &str = "one ASCII character";
    match text(name, WHAT, value)? {
        "" => Ok(None),
        "\\t" => Ok(Some(b'\t')),
        text => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Ok(Some(*byte)),
            _ => Err(expected(name, WHAT, value)),
        },
    }
}

fn required(name: &str, value: &ScalarValue) -> Result<u8> {
    character(name, value)?.ok_or_else(|| expected(name, "one ASCII character", value))
}

fn texts(name: &str, value: &ScalarValue) -> Result<Vec<String>> {
    const WHAT: &str = "a text or a list of texts";
    let ScalarValue::List(list) = value else {
        return Ok(vec![text(name, WHAT, value)?.to_string()]);
    };
    let values = list.values();
    (0..values.len())
        .map(|index| Ok(text(name, WHAT, &ScalarValue::try_from_array(values, index)?)?.to_string()))
        .collect()
}

pub(in crate::lake::files) fn columns(name: &str, value: &ScalarValue) -> Result<Vec<(String, DataType)>> {
    const WHAT: &str = "a text like `a BIGINT, b TEXT` or a struct of type names";
    let context = |error: Error| error.context(format!("option `{name}`"));
    let ScalarValue::Struct(fields) = value else {
        return parse_columns_text(text(name, WHAT, value)?).map_err(context);
    };
    let names = fields.column_names();
    let types = names.iter().zip(fields.columns()).map(|(column, array)| {
        let type_name = ScalarValue::try_from_array(array, 0)?;
        let data_type = parse_type_text(text(name, WHAT, &type_name)?).map_err(context)?;
        Ok((column.to_string(), data_type))
    });
    types.collect()
}

/// A count of rows; -1 is all of them, as in DuckDB.
pub(in crate::lake::files) fn rows(name: &str, value: &ScalarValue) -> Result<usize> {
    let error = || expected(name, "a number of rows, or -1 for all", value);
    let ScalarValue::Int64(Some(count)) = value.cast_to(&DataType::Int64).map_err(|_| error())? else {
        return Err(error());
    };
    match count {
        -1 => Ok(usize::MAX),
        count => usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(error),
    }
}

pub(in crate::lake::files) fn compression(name: &str, value: &ScalarValue) -> Result<Compression> {
    const WHAT: &str = "`auto`, `none` or `gzip`";
    match text(name, WHAT, value)?.to_ascii_lowercase().as_str() {
        "auto" | "auto_detect" => Ok(Compression::Auto),
        "none" | "uncompressed" => Ok(Compression::None),
        "gzip" | "gz" => Ok(Compression::Gzip),
        _ => Err(expected(name, WHAT, value)),
    }
}

/// Whether values of this type can be written in a CSV field.
pub(super) fn check_type(column: &str, data_type: &DataType) -> Result<()> {
    use DataType as T;
    match data_type {
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 => Ok(()),
        T::Utf8 | T::Date32 | T::Timestamp(arrow::datatypes::TimeUnit::Microsecond, _) => Ok(()),
        T::Decimal128(_, scale) if *scale >= 0 => Ok(()),
        other => Err(Error::unsupported(format!(
            "column `{column}`: a CSV file cannot be read as values of type `{}`",
            sql_name(other)
        ))
        .with_hint("read it as TEXT and cast it in the query")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, ScalarValue)]) -> Result<CsvOptions> {
        let options: Vec<_> = options.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
        CsvOptions::parse(&options)
    }

    #[test]
    fn options_go_by_the_names_of_others() {
        let text = |text: &str| ScalarValue::from(text);
        let options = parse(&[
            ("HEADER", ScalarValue::from(false)),
            ("sep", text("\\t")),
            ("quote", text("'")),
            ("null", text("NA")),
            ("types", text("a BIGINT, \"B\" TEXT")),
            ("sample_size", ScalarValue::from(-1_i64)),
            ("compression", text("GZIP")),
        ])
        .unwrap();
        assert_eq!(options.delimiter, Some(b'\t'));
        assert_eq!(options.dialect("x"), Dialect { delimiter: b'\t', quote: Some(b'\''), escape: Some(b'\'') });
        assert_eq!((options.header, options.nulls.as_slice()), (false, ["NA".to_string()].as_slice()));
        assert_eq!(options.columns, [("a".into(), DataType::Int64), ("B".into(), DataType::Utf8)]);
        assert_eq!((options.sample_rows, options.compression), (usize::MAX, Compression::Gzip));
    }

    #[test]
    fn names_of_files_say_what_was_not_said() {
        let options = CsvOptions::default();
        assert_eq!(options.dialect("x.tsv.gz").delimiter, b'\t');
        assert_eq!(options.dialect("x.csv").delimiter, b',');
        assert_eq!((options.is_gzip("x.csv.GZ"), options.is_gzip("x.csv")), (true, false));
    }

    #[test]
    fn wrong_options_say_what_was_expected() {
        let text = |text: &str| ScalarValue::from(text);
        let cases = [
            (vec![("delimeter", text(";"))], "unknown CSV option `delimeter`, the nearest is `delimiter`"),
            (vec![("delim", text("||"))], "option `delim`: expected one ASCII character, found `||`"),
            (vec![("header", text("maybe"))], "option `header`: expected TRUE or FALSE, found `maybe`"),
            (
                vec![("delim", text(";")), ("sep", text(";"))],
                "expected the option `delim` once, found it again as `sep`",
            ),
            (vec![("delim", text("\""))], "expected a delimiter that is no quote or escape, found `\"`"),
            (
                vec![("sample_size", ScalarValue::from(0_i64))],
                "option `sample_size`: expected a number of rows, or -1 for all, found `0`",
            ),
            (
                vec![("columns", text("a BIGNT"))],
                "option `columns`: column `a`: unknown type `bignt`, the nearest is `bigint`",
            ),
            (
                vec![("compression", text("zip"))],
                "option `compression`: expected `auto`, `none` or `gzip`, found `zip`",
            ),
        ];
        for (options, expected) in cases {
            assert_eq!(parse(&options).unwrap_err().message(), expected);
        }
    }
}
