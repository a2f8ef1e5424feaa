//! Values that a statement's parameters are bound to: typed Rust values in, one record batch out.
//!
//! A column takes the type of its values; the server casts to what the statement needs. It knows nothing of statements.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};

use crate::{Class, Error, Result};

/// One value of one parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Parameter {
    /// NULL of whatever type.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// BIGINT.
    Integer(i64),
    /// DOUBLE.
    Float(f64),
    /// TEXT.
    Text(String),
    /// BINARY.
    Bytes(Vec<u8>),
    /// DATE, in days since 1970-01-01.
    Date(i32),
    /// TIMESTAMP without a zone, in microseconds since 1970-01-01T00:00:00.
    Timestamp(i64),
    /// TIMESTAMP WITH TIME ZONE, in microseconds since 1970-01-01T00:00:00Z.
    Instant(i64),
}

/// Rows of parameters as one value: `params![1, "x", None::<i64>]` is one row.
#[macro_export]
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::Parameter::from($value)),*] };
}

macro_rules! from {
    ($($type:ty => |$value:ident| $made:expr),+ $(,)?) => {
        $(impl From<$type> for Parameter {
            fn from($value: $type) -> Self {
                $made
            }
        })+
    };
}

from! {
    bool => |value| Parameter::Boolean(value),
    i8 => |value| Parameter::Integer(value.into()),
    i16 => |value| Parameter::Integer(value.into()),
    i32 => |value| Parameter::Integer(value.into()),
    i64 => |value| Parameter::Integer(value),
    u8 => |value| Parameter::Integer(value.into()),
    u16 => |value| Parameter::Integer(value.into()),
    u32 => |value| Parameter::Integer(value.into()),
    f32 => |value| Parameter::Float(value.into()),
    f64 => |value| Parameter::Float(value),
    &str => |value| Parameter::Text(value.into()),
    &String => |value| Parameter::Text(value.clone()),
    String => |value| Parameter::Text(value),
    &[u8] => |value| Parameter::Bytes(value.into()),
    Vec<u8> => |value| Parameter::Bytes(value),
    SystemTime => |value| Parameter::Instant(micros(value)),
}

impl<T: Into<Parameter>> From<Option<T>> for Parameter {
    fn from(value: Option<T>) -> Self {
        value.map_or(Parameter::Null, Into::into)
    }
}

impl Parameter {
    /// A date of the proleptic Gregorian calendar; `None` where there is no such day.
    pub fn date(year: i32, month: u32, day: u32) -> Option<Self> {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let (before, rest) = lengths.split_at_checked(usize::try_from(month.checked_sub(1)?).ok()?)?;
        if day == 0 || day > *rest.first()? {
            return None;
        }
        // Whole years before this one, with a leap day in each fourth but not in each hundredth but in each 400th.
        let years = i64::from(year) - 1;
        let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
        let days = years * 365 + leap_days + i64::from(before.iter().sum::<u32>() + day - 1);
        i32::try_from(days - DAYS_BEFORE_1970).ok().map(Parameter::Date)
    }

    /// The column type of its kind; `None` for NULL, which fits any.
    fn data_type(&self) -> Option<DataType> {
        let micros = arrow::datatypes::TimeUnit::Microsecond;
        match self {
            Parameter::Null => None,
            Parameter::Boolean(_) => Some(DataType::Boolean),
            Parameter::Integer(_) => Some(DataType::Int64),
            Parameter::Float(_) => Some(DataType::Float64),
            Parameter::Text(_) => Some(DataType::Utf8),
            Parameter::Bytes(_) => Some(DataType::Binary),
            Parameter::Date(_) => Some(DataType::Date32),
            Parameter::Timestamp(_) => Some(DataType::Timestamp(micros, None)),
            Parameter::Instant(_) => Some(DataType::Timestamp(micros, Some("UTC".into()))),
        }
    }
}

/// Days from 0001-01-01 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_162;

/// Microseconds since 1970; what does not fit is the nearest that does.
fn micros(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |micros| -micros),
    }
}

/// Rows of parameters: none, one row, several, or a record batch with a column for each parameter.
#[derive(Debug, Clone)]
pub struct Parameters(Source);

#[derive(Debug, Clone)]
enum Source {
    None,
    Rows(Vec<Vec<Parameter>>),
    Batch(RecordBatch),
}

impl From<()> for Parameters {
    fn from(_: ()) -> Self {
        Parameters(Source::None)
    }
}

impl From<RecordBatch> for Parameters {
    fn from(batch: RecordBatch) -> Self {
        Parameters(Source::Batch(batch))
    }
}

impl<const N: usize> From<[Parameter; N]> for Parameters {
    fn from(row: [Parameter; N]) -> Self {
        Vec::from(row).into()
    }
}

/// One row.
impl From<Vec<Parameter>> for Parameters {
    fn from(row: Vec<Parameter>) -> Self {
        Parameters(if row.is_empty() { Source::None } else { Source::Rows(vec![row]) })
    }
}

impl From<Vec<Vec<Parameter>>> for Parameters {
    fn from(rows: Vec<Vec<Parameter>>) -> Self {
        Parameters(Source::Rows(rows))
    }
}

impl<const N: usize> From<Vec<[Parameter; N]>> for Parameters {
    fn from(rows: Vec<[Parameter; N]>) -> Self {
        rows.into_iter().map(Vec::from).collect::<Vec<_>>().into()
    }
}

impl Parameters {
    /// The rows as a batch; `None` where nothing is bound. `expected` names the parameters and types those of which all
    /// values are NULL.
    pub(crate) fn into_batch(self, expected: &Schema) -> Result<Option<RecordBatch>> {
        let rows = match self.0 {
            Source::None => return Ok(None),
            Source::Batch(batch) => return Ok(Some(batch)),
            Source::Rows(rows) => rows,
        };
        let width = rows.first().map_or(expected.fields().len(), Vec::len);
        if let Some((at, row)) = rows.iter().enumerate().find(|(_, row)| row.len() != width) {
            let text =
                format!("expected {width} values in each row of parameters, found {} in row {}", row.len(), at + 1);
            return Err(Error::new(Class::Input, text));
        }
        let columns = (0..width).map(|at| {
            let values: Vec<&Parameter> = rows.iter().filter_map(|row| row.get(at)).collect();
            let expected = expected.fields().get(at);
            let name = expected.map_or_else(|| format!("${}", at + 1), |field| field.name().clone());
            let column = column(&values, at, expected.map(|field| field.data_type()))?;
            Ok((Field::new(name, column.data_type().clone(), true), column))
        });
        let (fields, columns): (Vec<_>, Vec<_>) = columns.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(Some(RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?))
    }
}

/// The values of one parameter, all of one kind; integers among floats become floats.
fn column(values: &[&Parameter], at: usize, expected: Option<&DataType>) -> Result<ArrayRef> {
    let mut kind: Option<DataType> = None;
    for (row, value) in values.iter().enumerate() {
        kind = match (kind, value.data_type()) {
            (kind, None) => kind,
            (None, own) => own,
            (Some(kind), Some(own)) if kind == own => Some(kind),
            (Some(DataType::Int64), Some(DataType::Float64)) | (Some(DataType::Float64), Some(DataType::Int64)) => {
                Some(DataType::Float64)
            }
            (Some(kind), Some(own)) => {
                let text = format!(
                    "row {}, parameter {}: expected {kind} like the rows before it, found {own}",
                    row + 1,
                    at + 1
                );
                return Err(Error::new(Class::Input, text));
            }
        };
    }
    Ok(match kind {
        None => new_null_array(expected.unwrap_or(&DataType::Null), values.len()),
        Some(kind) => array(values, &kind),
    })
}

fn array(values: &[&Parameter], kind: &DataType) -> ArrayRef {
    macro_rules! collect {
        ($array:ty, $($variant:ident($value:ident) => $made:expr),+) => {
            values.iter().map(|value| match value { $(Parameter::$variant($value) => Some($made),)+ _ => None })
                .collect::<$array>()
        };
    }
    match kind {
        DataType::Boolean => Arc::new(collect!(BooleanArray, Boolean(value) => *value)),
        DataType::Int64 => Arc::new(collect!(Int64Array, Integer(value) => *value)),
        DataType::Float64 => Arc::new(collect!(Float64Array, Float(value) => *value, Integer(value) => *value as f64)),
        DataType::Utf8 => Arc::new(collect!(StringArray, Text(value) => value.as_str())),
        DataType::Binary => Arc::new(collect!(BinaryArray, Bytes(value) => value.as_slice())),
        DataType::Date32 => Arc::new(collect!(Date32Array, Date(value) => *value)),
        DataType::Timestamp(_, None) => Arc::new(collect!(TimestampMicrosecondArray, Timestamp(value) => *value)),
        DataType::Timestamp(_, Some(zone)) => {
            Arc::new(collect!(TimestampMicrosecondArray, Instant(value) => *value).with_timezone(Arc::clone(zone)))
        }
        // `data_type` gives no other.
        other => new_null_array(other, values.len()),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, Int64Type};

    use super::*;

    fn batch(parameters: impl Into<Parameters>, expected: &Schema) -> Result<RecordBatch> {
        Ok(parameters.into().into_batch(expected)?.unwrap())
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        // The day numbers are those of `date -ud DATE +%s` divided by 86400.
        for (date, days) in [
            ((1970, 1, 1), 0),
            ((1969, 12, 31), -1),
            ((2026, 11, 23), 20_780),
            ((2000, 2, 29), 11_016),
            ((1900, 3, 1), -25_508),
            ((1, 1, 1), -719_162),
        ] {
            assert_eq!(Parameter::date(date.0, date.1, date.2), Some(Parameter::Date(days)), "{date:?}");
        }
        for (year, month, day) in
            [(2026, 2, 29), (1900, 2, 29), (2026, 0, 1), (2026, 13, 1), (2026, 4, 31), (2026, 1, 0)]
        {
            assert_eq!(Parameter::date(year, month, day), None);
        }
    }

    #[test]
    fn one_row_has_the_types_of_its_values() {
        let row = batch(params![1, 2.5, "é", true, None::<i64>, vec![1_u8], UNIX_EPOCH], &Schema::empty()).unwrap();
        let types: Vec<String> = row.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
        let expected = ["Int64", "Float64", "Utf8", "Boolean", "Null", "Binary", "Timestamp(µs, \"UTC\")"];
        assert_eq!(types, expected);
        assert_eq!(row.schema().field(1).name(), "$2");
        assert_eq!(row.num_rows(), 1);
    }

    #[test]
    fn several_rows_agree_on_a_type() {
        let expected = Schema::new(vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Utf8, true)]);
        let rows = vec![params![1, None::<&str>], params![2.5, None::<&str>], params![None::<i64>, None::<&str>]];
        let rows = batch(rows, &expected).unwrap();
        let floats = rows.column(0).as_primitive::<Float64Type>();
        assert_eq!(floats.iter().collect::<Vec<_>>(), [Some(1.0), Some(2.5), None]);
        assert_eq!(rows.column(1).data_type(), &DataType::Utf8);
        assert_eq!(rows.column(1).null_count(), 3);
        assert_eq!(rows.schema().field(0).name(), "a");
        let error = batch(vec![params![1], params!["x"]], &expected).unwrap_err();
        assert_eq!(error.message(), "row 2, parameter 1: expected Int64 like the rows before it, found Utf8");
        let error = batch(vec![vec![Parameter::Null], vec![]], &expected).unwrap_err();
        assert_eq!(error.message(), "expected 1 values in each row of parameters, found 0 in row 2");
    }

    #[test]
    fn nothing_bound_is_no_batch_and_no_rows_is_an_empty_one() {
        let expected = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        assert!(Parameters::from(()).into_batch(&expected).unwrap().is_none());
        assert!(Parameters::from(params![]).into_batch(&expected).unwrap().is_none());
        let none = batch(Vec::<[Parameter; 1]>::new(), &expected).unwrap();
        assert_eq!((none.num_rows(), none.column(0).as_primitive::<Int64Type>().len()), (0, 0));
    }
}
