//! The types of JSON files' columns, from their values.
//!
//! Whole numbers are BIGINT, or DECIMAL(38,0) where 64 bits do not hold one; other numbers DOUBLE; texts that are all
//! dates or times are those, by the rules of CSV; objects are structs and arrays lists. What has several kinds of
//! values is TEXT, which keeps each. It knows nothing of files.

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use limn_sql_udfs::json::{Json, same_key};

use crate::lake::files::csv::cell;
use crate::lake::types::instant;
use crate::limits::JSON_COLUMNS_MAX;
use crate::{Error, Result};

/// What is known of the values in one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Guess {
    /// No value yet but `null`.
    Unknown,
    Boolean,
    Whole,
    WideWhole,
    Double,
    Date,
    Timestamp,
    Instant,
    Text,
    List(Box<Guess>),
    Struct(Vec<(String, Guess)>),
}

/// The columns of all objects that were seen.
pub(super) struct Columns {
    pub(super) guess: Guess,
    left: usize,
}

impl Columns {
    pub(super) fn new() -> Self {
        Columns { guess: Guess::Struct(Vec::new()), left: JSON_COLUMNS_MAX }
    }

    /// Takes one object into account.
    pub(super) fn update(&mut self, value: &Json<'_>) -> Result<()> {
        let mut guess = std::mem::replace(&mut self.guess, Guess::Unknown);
        self.merge(&mut guess, value)?;
        self.guess = guess;
        Ok(())
    }

    fn merge(&mut self, guess: &mut Guess, value: &Json<'_>) -> Result<()> {
        match (&mut *guess, value) {
            (_, Json::Null) | (Guess::Text, _) => {}
            (Guess::Struct(fields), Json::Object(entries)) => {
                for (n, (key, value)) in entries.iter().enumerate() {
                    // Most objects have their keys in the same order.
                    let in_order = Some(n).filter(|n| fields.get(*n).is_some_and(|(known, _)| known == key));
                    let at = match in_order.or_else(|| fields.iter().position(|(known, _)| known == key)) {
                        Some(at) => at,
                        None => {
                            self.count(key, fields)?;
                            fields.push((key.to_string(), Guess::Unknown));
                            fields.len() - 1
                        }
                    };
                    self.merge(&mut fields[at].1, value)?;
                }
            }
            (Guess::List(item), Json::Array(values)) => {
                for value in values {
                    self.merge(item, value)?;
                }
            }
            (Guess::Unknown, Json::Object(_)) => {
                *guess = Guess::Struct(Vec::new());
                self.merge(guess, value)?;
            }
            (Guess::Unknown, Json::Array(_)) => {
                *guess = Guess::List(Box::new(Guess::Unknown));
                self.merge(guess, value)?;
            }
            (known, value) => *known = wider(known, scalar(value)),
        }
        Ok(())
    }

    fn count(&mut self, key: &str, fields: &[(String, Guess)]) -> Result<()> {
        if let Some((other, _)) = fields.iter().find(|(known, _)| same_key(known, key)) {
            let text = format!("expected keys that differ in more than case, found `{other}` and `{key}`");
            return Err(Error::input(text).with_hint("say the columns: `columns => '…'`"));
        }
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => {
                let error = Error::exhausted(format!("expected at most {JSON_COLUMNS_MAX} columns"));
                return Err(error.with_hint("say the columns: `columns => 'key MAP(TEXT, TEXT)'`"));
            }
        }
        Ok(())
    }
}

/// The guess that a value alone gives.
fn scalar(value: &Json<'_>) -> Guess {
    match value {
        Json::Boolean(_) => Guess::Boolean,
        Json::Number(digits) if digits.contains(['.', 'e', 'E']) => match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Guess::Double,
            _ => Guess::Text,
        },
        Json::Number(digits) if digits.parse::<i64>().is_ok() => Guess::Whole,
        Json::Number(digits) if digits.trim_start_matches('-').len() <= 38 => Guess::WideWhole,
        Json::Number(_) => Guess::Text,
        Json::Text(text) if cell::date(text).is_some() => Guess::Date,
        Json::Text(text) if cell::timestamp(text).is_some() => Guess::Timestamp,
        Json::Text(text) if cell::instant(text).is_some() => Guess::Instant,
        _ => Guess::Text,
    }
}

/// The narrowest guess that takes the values of both.
fn wider(one: &Guess, other: Guess) -> Guess {
    use Guess::*;
    match (one, other) {
        (Unknown, other) => other,
        (one, other) if *one == other => other,
        (Whole, WideWhole) | (WideWhole, Whole) => WideWhole,
        (Whole | WideWhole, Double) | (Double, Whole | WideWhole) => Double,
        (Date, Timestamp) | (Timestamp, Date) => Timestamp,
        _ => Text,
    }
}

impl Guess {
    /// The type of a column.
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Guess::Boolean => DataType::Boolean,
            Guess::Whole => DataType::Int64,
            Guess::WideWhole => DataType::Decimal128(38, 0),
            Guess::Double => DataType::Float64,
            Guess::Date => DataType::Date32,
            Guess::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Guess::Instant => instant(),
            Guess::List(item) => DataType::new_list(item.data_type(), true),
            Guess::Struct(fields) if !fields.is_empty() => {
                let fields = fields.iter().map(|(name, guess)| Field::new(name, guess.data_type(), true));
                DataType::Struct(fields.collect::<Fields>())
            }
            // An object without keys is kept as the text `{}`.
            Guess::Unknown | Guess::Text | Guess::Struct(_) => DataType::Utf8,
        }
    }
}
