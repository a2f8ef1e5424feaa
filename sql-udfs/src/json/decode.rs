//! JSON values as Arrow columns of a given type.
//!
//! Strict: a value that is not one of the type is told, with its row and path, never changed into one; a TEXT column
//! takes every value, what is no text as JSON. A key that is missing is NULL. It knows nothing of files or SQL.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, LargeStringArray, ListArray, MapArray, PrimitiveArray, StringArray,
    StringViewArray, StructArray, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Field, FieldRef, Fields, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};

use super::number::scaled;
use super::{Json, same_key};
use crate::limits::JSON_SHOWN_CHARS_MAX;

/// How texts are read as times, and whether a struct may have keys that its type has not.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// `YYYY-MM-DD` as days since 1970-01-01.
    pub date: fn(&str) -> Option<i32>,
    /// A time without an offset, in microseconds.
    pub timestamp: fn(&str) -> Option<i64>,
    /// A time with an offset, in microseconds since 1970-01-01T00:00:00Z.
    pub instant: fn(&str) -> Option<i64>,
    /// A key that the type has not is a mistake.
    pub strict: bool,
}

/// The first value that is not one of its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// The row, from 0.
    pub row: usize,
    /// The way to it from the row: `a.b[]`; empty for the row itself.
    pub path: String,
    /// The type, or none for a key that the type has not.
    pub expected: Option<DataType>,
    /// The value or the key, shortened.
    pub found: String,
}

/// Whether JSON can be read as values of a type.
pub fn is_readable(data_type: &DataType) -> bool {
    use DataType as T;
    match data_type {
        T::Boolean | T::Int8 | T::Int16 | T::Int32 | T::Int64 | T::Float32 | T::Float64 | T::Utf8 | T::Date32 => true,
        T::Timestamp(TimeUnit::Microsecond, _) | T::Null | T::LargeUtf8 | T::Utf8View => true,
        T::Decimal128(_, scale) => *scale >= 0,
        T::List(item) => is_readable(item.data_type()),
        T::Struct(fields) => fields.iter().all(|field| is_readable(field.data_type())),
        T::Map(entries, _) => match entry_fields(entries) {
            Some((key, value)) => key.data_type().is_string() && is_readable(value.data_type()),
            None => false,
        },
        _ => false,
    }
}

/// A text, shortened for an error.
pub fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(JSON_SHOWN_CHARS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The first key that no field has, in any case; most objects have their keys in the order of the fields.
pub fn unknown_key<'v, 'a>(fields: &Fields, entries: &'v [(Cow<'a, str>, Json<'a>)]) -> Option<&'v str> {
    let is_known = |at: usize, key: &str| {
        fields.get(at).is_some_and(|field| field.name() == key)
            || fields.iter().any(|field| same_key(field.name(), key))
    };
    entries.iter().enumerate().find(|(at, (key, _))| !is_known(*at, key)).map(|(_, (key, _))| key.as_ref())
}

/// One value per row as a column; a missing value and `null` are NULL.
pub fn column(data_type: &DataType, values: &[Option<&Json<'_>>], rules: &Rules) -> Result<ArrayRef, Mismatch> {
    use DataType as T;
    let cells = Cells { data_type, values };
    Ok(match data_type {
        T::Boolean => Arc::new(
            cells
                .each(|value| match value {
                    Json::Boolean(value) => Some(*value),
                    _ => None,
                })?
                .into_iter()
                .collect::<BooleanArray>(),
        ),
        T::Int8 => cells.integers::<Int8Type>()?,
        T::Int16 => cells.integers::<Int16Type>()?,
        T::Int32 => cells.integers::<Int32Type>()?,
        T::Int64 => cells.integers::<Int64Type>()?,
        T::Float32 => cells.primitive::<Float32Type>(float)?,
        T::Float64 => cells.primitive::<Float64Type>(float)?,
        T::Utf8 => Arc::new(StringArray::from(cells.each(any_text)?)),
        T::LargeUtf8 => Arc::new(LargeStringArray::from(cells.each(any_text)?)),
        T::Utf8View => Arc::new(cells.each(any_text)?.into_iter().collect::<StringViewArray>()),
        T::Date32 => cells.primitive::<Date32Type>(|value| (rules.date)(text(value)?))?,
        T::Timestamp(TimeUnit::Microsecond, None) => {
            cells.primitive::<TimestampMicrosecondType>(|value| (rules.timestamp)(text(value)?))?
        }
        T::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            cells.primitive::<TimestampMicrosecondType>(|value| (rules.instant)(text(value)?))?
        }
        T::Decimal128(precision, scale) => cells.decimals(*precision, *scale)?,
        T::List(item) => cells.lists(item, rules)?,
        T::Struct(fields) => cells.structs(fields, rules)?,
        T::Map(entries, sorted) => cells.maps(entries, *sorted, rules)?,
        // A type that JSON has no values of: all is NULL, or a mistake.
        other => {
            cells.each(|_| None::<()>)?;
            new_null_array(other, values.len())
        }
    })
}

fn entry_fields(entries: &Field) -> Option<(&FieldRef, &FieldRef)> {
    match entries.data_type() {
        DataType::Struct(fields) => match fields.as_ref() {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    }
}

fn text<'v>(value: &'v Json<'_>) -> Option<&'v str> {
    match value {
        Json::Text(text) => Some(text.as_ref()),
        _ => None,
    }
}

/// What a TEXT column has of a value.
fn any_text(value: &Json<'_>) -> Option<String> {
    value.to_text()
}

fn float<T: FromStr + Into<f64> + Copy>(value: &Json<'_>) -> Option<T> {
    match value {
        // What is too large is no infinity.
        Json::Number(digits) => digits.parse().ok().filter(|number: &T| Into::<f64>::into(*number).is_finite()),
        // JSON has no numbers for these; Spark and pandas write them as texts.
        Json::Text(text) if matches!(text.as_ref(), "NaN" | "Infinity" | "-Infinity") => text.parse().ok(),
        _ => None,
    }
}

/// Values that become one column.
struct Cells<'c, 'v, 'a> {
    data_type: &'c DataType,
    values: &'c [Option<&'v Json<'a>>],
}

impl Cells<'_, '_, '_> {
    fn mismatch(&self, row: usize, value: &Json<'_>) -> Mismatch {
        let found = shortened(&value.to_string());
        Mismatch { row, path: String::new(), expected: Some(self.data_type.clone()), found }
    }

    fn each<T>(&self, read: impl Fn(&Json<'_>) -> Option<T>) -> Result<Vec<Option<T>>, Mismatch> {
        let one = |(row, value): (usize, &Option<&Json<'_>>)| match value {
            None | Some(Json::Null) => Ok(None),
            Some(value) => read(value).map(Some).ok_or_else(|| self.mismatch(row, value)),
        };
        self.values.iter().enumerate().map(one).collect()
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        read: impl Fn(&Json<'_>) -> Option<T::Native>,
    ) -> Result<ArrayRef, Mismatch> {
        let array: PrimitiveArray<T> = self.each(read)?.into_iter().collect();
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    /// Whole numbers, however they are written: `7`, `7.0`, `7e0`.
    fn integers<T: ArrowPrimitiveType>(&self) -> Result<ArrayRef, Mismatch>
    where
        T::Native: TryFrom<i128>,
    {
        self.primitive::<T>(|value| match value {
            Json::Number(digits) => {
                scaled(digits, 0).filter(|(_, exact)| *exact).and_then(|(value, _)| T::Native::try_from(value).ok())
            }
            _ => None,
        })
    }

    /// Numbers, and texts of numbers, which is how many write what a double would round.
    fn decimals(&self, precision: u8, scale: i8) -> Result<ArrayRef, Mismatch> {
        let limit = 10_i128.checked_pow(u32::from(precision)).unwrap_or(i128::MAX);
        let values = self.each(|value| {
            let digits = match value {
                Json::Number(digits) => digits,
                Json::Text(text) => match super::parse::parse(text) {
                    Ok(Json::Number(_)) => text.trim(),
                    _ => return None,
                },
                _ => return None,
            };
            let (value, _) = scaled(digits, i32::from(scale))?;
            (value.abs() < limit).then_some(value)
        })?;
        let array: Decimal128Array = values.into_iter().collect();
        Ok(Arc::new(array.with_data_type(self.data_type.clone())))
    }

    fn structs(&self, fields: &Fields, rules: &Rules) -> Result<ArrayRef, Mismatch> {
        let mut nulls = Vec::with_capacity(self.values.len());
        for (row, value) in self.values.iter().enumerate() {
            match value {
                None | Some(Json::Null) => nulls.push(false),
                Some(Json::Object(entries)) => {
                    nulls.push(true);
                    if let Some(key) = unknown_key(fields, entries).filter(|_| rules.strict) {
                        return Err(Mismatch { row, path: String::new(), expected: None, found: shortened(key) });
                    }
                }
                Some(other) => return Err(self.mismatch(row, other)),
            }
        }
        let mut columns = Vec::with_capacity(fields.len());
        for field in fields {
            let values: Vec<Option<&Json<'_>>> =
                self.values.iter().map(|value| value.and_then(|value| value.get_any_case(field.name()))).collect();
            columns.push(column(field.data_type(), &values, rules).map_err(|wrong| within(wrong, field.name()))?);
        }
        let nulls = Some(NullBuffer::from(nulls)).filter(|nulls| nulls.null_count() > 0);
        match fields.is_empty() {
            true => Ok(Arc::new(StructArray::new_empty_fields(self.values.len(), nulls))),
            false => Ok(Arc::new(StructArray::new(fields.clone(), columns, nulls))),
        }
    }

    fn lists(&self, item: &FieldRef, rules: &Rules) -> Result<ArrayRef, Mismatch> {
        let mut spread = Spread::default();
        for (row, value) in self.values.iter().enumerate() {
            match value {
                None | Some(Json::Null) => spread.end(false),
                Some(Json::Array(values)) => {
                    values.iter().for_each(|value| spread.push(row, value));
                    spread.end(true);
                }
                Some(other) => return Err(self.mismatch(row, other)),
            }
        }
        let (owners, lengths, nulls) = (spread.owners, spread.lengths, spread.nulls);
        let in_row = |wrong: Mismatch| Mismatch { row: owners.get(wrong.row).copied().unwrap_or(0), ..wrong };
        let values = column(item.data_type(), &spread.values, rules).map_err(|wrong| in_row(within(wrong, "[]")))?;
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(ListArray::new(Arc::clone(item), offsets, values, Some(NullBuffer::from(nulls)))))
    }

    fn maps(&self, entries: &FieldRef, sorted: bool, rules: &Rules) -> Result<ArrayRef, Mismatch> {
        let Some((key_field, value_field)) = entry_fields(entries) else {
            return Ok(new_null_array(self.data_type, self.values.len()));
        };
        let mut spread = Spread::default();
        let mut keys: Vec<&str> = Vec::new();
        for (row, value) in self.values.iter().enumerate() {
            match value {
                None | Some(Json::Null) => spread.end(false),
                Some(object) => {
                    let own = object.keys().ok_or_else(|| self.mismatch(row, object))?;
                    // Of a key that is given twice the last value holds; a map has each key once.
                    own.iter().filter_map(|key| object.get(key)).for_each(|value| spread.push(row, value));
                    keys.extend(own);
                    spread.end(true);
                }
            }
        }
        let (owners, lengths, nulls) = (spread.owners, spread.lengths, spread.nulls);
        let in_row = |wrong: Mismatch| Mismatch { row: owners.get(wrong.row).copied().unwrap_or(0), ..wrong };
        let values =
            column(value_field.data_type(), &spread.values, rules).map_err(|wrong| in_row(within(wrong, "[]")))?;
        let DataType::Struct(fields) = entries.data_type() else {
            return Ok(new_null_array(self.data_type, self.values.len()));
        };
        let pairs = StructArray::new(fields.clone(), vec![key_array(key_field.data_type(), keys), values], None);
        let offsets = OffsetBuffer::from_lengths(lengths);
        Ok(Arc::new(MapArray::new(Arc::clone(entries), offsets, pairs, Some(NullBuffer::from(nulls)), sorted)))
    }
}

/// A map's keys.
fn key_array(data_type: &DataType, keys: Vec<&str>) -> ArrayRef {
    match data_type {
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(keys)),
        DataType::Utf8View => Arc::new(StringViewArray::from_iter_values(keys)),
        _ => Arc::new(StringArray::from(keys)),
    }
}

/// The values of lists or maps, one behind the other.
#[derive(Default)]
struct Spread<'v, 'a> {
    values: Vec<Option<&'v Json<'a>>>,
    /// The row that each value is of.
    owners: Vec<usize>,
    lengths: Vec<usize>,
    nulls: Vec<bool>,
    /// The values of the rows that have ended.
    ended: usize,
}

impl<'v, 'a> Spread<'v, 'a> {
    fn push(&mut self, row: usize, value: &'v Json<'a>) {
        self.values.push(Some(value));
        self.owners.push(row);
    }

    /// Ends a row.
    fn end(&mut self, is_valid: bool) {
        self.lengths.push(self.values.len() - self.ended);
        self.ended = self.values.len();
        self.nulls.push(is_valid);
    }
}

fn within(wrong: Mismatch, step: &str) -> Mismatch {
    let dot = if wrong.path.is_empty() || wrong.path.starts_with('[') { "" } else { "." };
    Mismatch { path: format!("{step}{dot}{}", wrong.path), ..wrong }
}
