//! Turns one column of CSV rows into an Arrow array.
//!
//! A text that is no value of the column's type gives the row it is in; the caller says where that is. It knows nothing
//! of files.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanBuilder, PrimitiveArray, PrimitiveBuilder, StringBuilder, new_null_array,
};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType,
};

use super::cell;
use super::records::Rows;
use super::tokens::{Dialect, Style};

/// Which texts mean NULL.
#[derive(Debug, Clone, Default)]
pub(super) struct Nulls {
    texts: Vec<String>,
}

impl Nulls {
    /// These texts, or unquoted empty fields where there are none.
    pub(super) fn new(texts: Vec<String>) -> Self {
        Nulls { texts }
    }

    /// Whether a field is NULL in a column of texts or of another type. In quotes a text is always a text; of other
    /// types, quoted or not, there is no empty value.
    pub(super) fn is_null(&self, text: &str, style: Style, is_text: bool) -> bool {
        let named = match self.texts.is_empty() {
            true => text.is_empty(),
            false => self.texts.iter().any(|null| null == text) || (!is_text && text.is_empty()),
        };
        named && (!is_text || style == Style::Plain)
    }
}

/// The row whose text is no value of the column's type.
pub(super) type WrongRow = usize;

/// One column of the rows as an array of `data_type`, which is one that `options::check_type` lets through.
pub(super) fn array(
    rows: &Rows<'_>,
    column: usize,
    data_type: &DataType,
    nulls: &Nulls,
    dialect: &Dialect,
) -> Result<ArrayRef, WrongRow> {
    use DataType as T;
    let cells = Cells { rows, column, nulls, dialect };
    Ok(match data_type {
        T::Boolean => cells.booleans()?,
        T::Int8 => Arc::new(cells.primitive::<Int8Type>(cell::integer)?),
        T::Int16 => Arc::new(cells.primitive::<Int16Type>(cell::integer)?),
        T::Int32 => Arc::new(cells.primitive::<Int32Type>(cell::integer)?),
        T::Int64 => Arc::new(cells.primitive::<Int64Type>(cell::integer)?),
        T::Float32 => Arc::new(cells.primitive::<Float32Type>(cell::float)?),
        T::Float64 => Arc::new(cells.primitive::<Float64Type>(cell::float)?),
        T::Date32 => Arc::new(cells.primitive::<Date32Type>(cell::date)?),
        T::Decimal128(precision, scale) => {
            let places = scale.unsigned_abs();
            let array = cells.primitive::<Decimal128Type>(|text| cell::decimal(text, *precision, places))?;
            Arc::new(array.with_data_type(data_type.clone()))
        }
        T::Timestamp(TimeUnit::Microsecond, None) => {
            Arc::new(cells.primitive::<TimestampMicrosecondType>(cell::timestamp)?)
        }
        T::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            let array = cells.primitive::<TimestampMicrosecondType>(cell::instant)?;
            Arc::new(array.with_data_type(data_type.clone()))
        }
        T::Utf8 => cells.texts(),
        other => new_null_array(other, rows.len()),
    })
}

struct Cells<'a> {
    rows: &'a Rows<'a>,
    column: usize,
    nulls: &'a Nulls,
    dialect: &'a Dialect,
}

impl Cells<'_> {
    fn primitive<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&str) -> Option<T::Native>,
    ) -> Result<PrimitiveArray<T>, WrongRow> {
        let mut builder = PrimitiveBuilder::<T>::with_capacity(self.rows.len());
        self.values(&parse, |value| builder.append_option(value))?;
        Ok(builder.finish())
    }

    fn booleans(&self) -> Result<ArrayRef, WrongRow> {
        let mut builder = BooleanBuilder::with_capacity(self.rows.len());
        self.values(cell::boolean, |value| builder.append_option(value))?;
        Ok(Arc::new(builder.finish()))
    }

    fn values<V>(&self, parse: impl Fn(&str) -> Option<V>, mut add: impl FnMut(Option<V>)) -> Result<(), WrongRow> {
        for row in 0..self.rows.len() {
            let (text, style) = self.rows.field(row, self.column);
            if self.nulls.is_null(text, style, false) {
                add(None);
                continue;
            }
            match parse(text) {
                Some(value) => add(Some(value)),
                None => return Err(row),
            }
        }
        Ok(())
    }

    fn texts(&self) -> ArrayRef {
        let mut builder = StringBuilder::with_capacity(self.rows.len(), self.rows.len() * 8);
        let mut plain = String::new();
        for row in 0..self.rows.len() {
            let (text, style) = self.rows.field(row, self.column);
            match style {
                _ if self.nulls.is_null(text, style, true) => builder.append_null(),
                Style::Escaped => {
                    self.dialect.unescape(text, &mut plain);
                    builder.append_value(&plain);
                }
                Style::Plain | Style::Quoted => builder.append_value(text),
            }
        }
        Arc::new(builder.finish())
    }
}
