//! The types of a CSV file's columns, from their texts.
//!
//! A column has the first of BOOLEAN, BIGINT, DOUBLE, DATE, TIMESTAMP and TIMESTAMP WITH TIME ZONE that reads every
//! value of the sample, else it is TEXT. Texts with an offset are instants and texts without are not, so a column that
//! mixes them is TEXT. It knows nothing of files.

use arrow::datatypes::{DataType, TimeUnit};

use super::cell;
use super::column::Nulls;
use super::records::Rows;
use super::tokens::Style;
use crate::lake::types::instant;

/// What a column may be, in order of preference, and what reads it.
const CANDIDATES: [(fn() -> DataType, fn(&str) -> bool); 6] = [
    (|| DataType::Boolean, |text| cell::boolean(text).is_some()),
    (|| DataType::Int64, |text| cell::integer::<i64>(text).is_some()),
    (|| DataType::Float64, |text| cell::float::<f64>(text).is_some()),
    (|| DataType::Date32, |text| cell::date(text).is_some()),
    (|| DataType::Timestamp(TimeUnit::Microsecond, None), |text| cell::timestamp(text).is_some()),
    (instant, |text| cell::instant(text).is_some()),
];

/// What is known of one column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    possible: [bool; CANDIDATES.len()],
    has_value: bool,
}

impl Column {
    /// A column that nothing is known of.
    pub(super) fn new() -> Self {
        Column { possible: [true; CANDIDATES.len()], has_value: false }
    }

    /// Takes one column of the rows into account.
    pub(super) fn update(&mut self, rows: &Rows<'_>, column: usize, nulls: &Nulls) {
        for row in 0..rows.len() {
            let (text, style) = rows.field(row, column);
            self.update_one(text, style, nulls);
        }
    }

    fn update_one(&mut self, text: &str, style: Style, nulls: &Nulls) {
        // A quoted empty field is a text in a column of texts and NULL in every other, so it says nothing.
        if nulls.is_null(text, style, false) {
            return;
        }
        self.has_value = true;
        for (possible, (_, reads)) in self.possible.iter_mut().zip(&CANDIDATES) {
            // No value with an escape in it is anything but text.
            *possible = *possible && style != Style::Escaped && reads(text);
        }
    }

    /// The column's type.
    pub(super) fn data_type(&self) -> DataType {
        let first = self.possible.iter().zip(&CANDIDATES).find(|(possible, _)| **possible);
        match first {
            Some((_, (data_type, _))) if self.has_value => data_type(),
            _ => DataType::Utf8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn infer(values: &[&str]) -> DataType {
        let mut column = Column::new();
        for value in values {
            column.update_one(value, Style::Plain, &Nulls::default());
        }
        column.data_type()
    }

    #[test]
    fn the_first_type_that_reads_every_value() {
        use DataType as T;
        let naive = T::Timestamp(TimeUnit::Microsecond, None);
        let cases: [(&[&str], DataType); 17] = [
            (&["True", "false"], T::Boolean),
            (&["true", "1"], T::Utf8),
            (&["1", "", "-2"], T::Int64),
            (&["007"], T::Int64),
            (&["9223372036854775807"], T::Int64),
            (&["9223372036854775808"], T::Float64),
            (&["1", "1.5"], T::Float64),
            (&["1e3"], T::Float64),
            (&["2020-01-31"], T::Date32),
            (&["2020-01-32"], T::Utf8),
            (&["2020-01-31", "2020-01-31 10:00:00"], naive.clone()),
            (&["2012-01-01T00:00:00.5"], naive),
            (&["2011-12-31T13:00:00Z", "2012-01-01 00:00:00+11:00"], instant()),
            (&["2011-12-31T13:00:00Z", "2012-01-01T00:00:00"], T::Utf8),
            (&["", ""], T::Utf8),
            (&[], T::Utf8),
            (&["NA", "1"], T::Utf8),
        ];
        for (values, expected) in cases {
            assert_eq!(infer(values), expected, "{values:?}");
        }
    }

    #[test]
    fn texts_that_mean_null_say_nothing() {
        let nulls = Nulls::new(vec!["NA".into()]);
        let mut column = Column::new();
        for (value, style) in [("NA", Style::Plain), ("3", Style::Quoted), ("", Style::Quoted)] {
            column.update_one(value, style, &nulls);
        }
        assert_eq!(column.data_type(), DataType::Int64);
    }
}
