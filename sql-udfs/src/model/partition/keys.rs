//! Group keys: which group each row is of, by the values of the group columns.
//!
//! A key is a value for each group column, NULL included, which is a value of its own here. Training numbers the keys that
//! it finds, scoring looks them up; both go through [`Coder`], so that they cannot differ. It knows nothing of models.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int64Type, Schema};
use arrow::record_batch::RecordBatch;

use crate::limits::GROUPS_MAX;
use crate::model::columns::strict_cast;
use crate::model::signature::{Feature, ValueType};
use crate::{Error, Result};

/// The number of a key that is not known.
pub(crate) const UNKNOWN: u32 = u32::MAX;

/// One group column's value. Ordered as `ORDER BY` orders a column: NULL last.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyValue {
    /// A value of a `BOOLEAN` column.
    Boolean(bool),
    /// A value of a `BIGINT` column, or the days of a `DATE`.
    Number(i64),
    /// A value of a `TEXT` column.
    Text(String),
    /// NULL.
    Null,
}

/// The values of a group, one for each group column.
pub type GroupKey = Vec<KeyValue>;

/// Whether a column of that type can tell groups apart.
pub(crate) fn is_key_type(value_type: ValueType) -> bool {
    matches!(value_type, ValueType::Text | ValueType::BigInt | ValueType::Boolean | ValueType::Date)
}

/// A group as messages show it: `site = 'x' and day = 2024-01-01`.
pub(crate) fn display(columns: &[Feature], key: &[KeyValue]) -> String {
    let one = |(column, value): (&Feature, &KeyValue)| {
        let value = match value {
            KeyValue::Text(text) => format!("'{text}'"),
            other => text(column.value_type, other).unwrap_or_else(|| "NULL".to_owned()),
        };
        format!("{} = {value}", column.name)
    };
    columns.iter().zip(key).map(one).collect::<Vec<_>>().join(" and ")
}

/// A value as text, dates as dates; `None` for NULL.
pub(crate) fn text(value_type: ValueType, value: &KeyValue) -> Option<String> {
    match value {
        KeyValue::Null => None,
        KeyValue::Boolean(flag) => Some(flag.to_string()),
        KeyValue::Text(text) => Some(text.clone()),
        KeyValue::Number(days) if value_type == ValueType::Date => {
            let days = i32::try_from(*days).ok()?;
            arrow::temporal_conversions::date32_to_datetime(days).map(|time| time.date().to_string())
        }
        KeyValue::Number(number) => Some(number.to_string()),
    }
}

/// A group as a JSON object by column name, in the columns' order.
pub(crate) fn json(columns: &[Feature], key: &[KeyValue]) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let one = |(column, value): (&Feature, &KeyValue)| {
        let value = match (value, text(column.value_type, value)) {
            (_, None) => "null".to_owned(),
            (KeyValue::Text(_), Some(text)) => quoted(&text),
            (KeyValue::Number(_), Some(text)) if column.value_type == ValueType::Date => quoted(&text),
            (_, Some(text)) => text,
        };
        format!("{}: {value}", quoted(&column.name))
    };
    format!("{{{}}}", columns.iter().zip(key).map(one).collect::<Vec<_>>().join(", "))
}

/// Some groups, which rows may be of.
#[derive(Debug)]
pub struct KeySet {
    columns: Vec<Feature>,
    coder: Coder,
}

impl KeySet {
    /// No groups, of these columns of a query.
    pub fn new(schema: &Schema, names: &[String]) -> Result<Self> {
        let column = |name: &String| {
            let field = schema.field_with_name(name)?;
            match ValueType::of(field.data_type()).filter(|value_type| is_key_type(*value_type)) {
                Some(value_type) => Ok(Feature::new(name, value_type)),
                None => Err(Error::internal(format!("expected a group column, found {}", field.data_type()))),
            }
        };
        let columns = names.iter().map(column).collect::<Result<Vec<_>>>()?;
        Ok(KeySet { coder: Coder::new(columns.len()), columns })
    }

    fn arrays(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
        let found = self.columns.iter().map(|column| batch.column_by_name(&column.name).cloned());
        let found = found.collect::<Option<Vec<_>>>();
        found.ok_or_else(|| Error::internal("expected the group columns in a batch, found others"))
    }

    /// Adds the groups of all rows.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let arrays = self.arrays(batch)?;
        self.coder.grow(&self.columns, &arrays)?;
        match self.coder.len() > GROUPS_MAX {
            true => Err(Error::exhausted(format!("expected at most {GROUPS_MAX} groups, found more"))),
            false => Ok(()),
        }
    }

    /// The number of groups.
    pub fn len(&self) -> usize {
        self.coder.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a group is one of these.
    pub(crate) fn contains(&self, key: &[KeyValue]) -> bool {
        self.coder.find(key) != UNKNOWN
    }

    /// The rows that are of one of the groups.
    pub fn filter(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let groups = self.coder.look_up(&self.columns, &self.arrays(batch)?)?;
        let mask: BooleanArray = groups.iter().map(|group| Some(*group != UNKNOWN)).collect();
        Ok(arrow::compute::filter_record_batch(batch, &mask)?)
    }
}

/// The values of one column by number.
#[derive(Debug, Default)]
struct Dictionary {
    numbers: HashMap<i64, u32>,
    texts: HashMap<String, u32>,
    flags: [Option<u32>; 2],
    null: Option<u32>,
    values: Vec<KeyValue>,
}

impl Dictionary {
    /// The number of a value, a new one where `grow` says so.
    fn code(&mut self, value: KeyValue, grow: bool) -> u32 {
        let known = match &value {
            KeyValue::Null => self.null,
            KeyValue::Boolean(flag) => self.flags[usize::from(*flag)],
            KeyValue::Number(number) => self.numbers.get(number).copied(),
            KeyValue::Text(text) => self.texts.get(text).copied(),
        };
        match known {
            Some(code) => code,
            None if !grow => UNKNOWN,
            None => {
                let code = self.values.len() as u32;
                match &value {
                    KeyValue::Null => self.null = Some(code),
                    KeyValue::Boolean(flag) => self.flags[usize::from(*flag)] = Some(code),
                    KeyValue::Number(number) => {
                        self.numbers.insert(*number, code);
                    }
                    KeyValue::Text(text) => {
                        self.texts.insert(text.clone(), code);
                    }
                }
                self.values.push(value);
                code
            }
        }
    }
}

/// Numbers keys from 0 in the order in which they come.
#[derive(Debug)]
pub(crate) struct Coder {
    columns: Vec<Dictionary>,
    /// For each column after the first: the number of (number so far, number of the column's value).
    folds: Vec<HashMap<u64, u32>>,
    /// The pairs of each fold by their number.
    pairs: Vec<Vec<u64>>,
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

impl Coder {
    /// Knows no key of so many columns.
    pub fn new(columns: usize) -> Self {
        let folds = columns.saturating_sub(1);
        Coder {
            columns: (0..columns).map(|_| Dictionary::default()).collect(),
            folds: vec![HashMap::new(); folds],
            pairs: vec![Vec::new(); folds],
        }
    }

    /// Knows these keys, whose numbers are their places.
    pub fn of<'a>(columns: usize, keys: impl Iterator<Item = &'a GroupKey>) -> Self {
        let mut coder = Coder::new(columns);
        for key in keys {
            coder.insert(key);
        }
        coder
    }

    /// How many keys are known.
    pub fn len(&self) -> usize {
        match self.pairs.last() {
            Some(pairs) => pairs.len(),
            None => self.columns.first().map_or(0, |column| column.values.len()),
        }
    }

    /// The number of a key, a new one where it is not known.
    pub fn insert(&mut self, key: &[KeyValue]) -> u32 {
        let codes: Vec<u32> =
            self.columns.iter_mut().zip(key).map(|(column, value)| column.code(value.clone(), true)).collect();
        let mut codes = codes.into_iter();
        let mut code = codes.next().unwrap_or(UNKNOWN);
        for ((fold, pairs), next) in self.folds.iter_mut().zip(&mut self.pairs).zip(codes) {
            let both = pair(code, next);
            code = *fold.entry(both).or_insert_with(|| {
                pairs.push(both);
                pairs.len() as u32 - 1
            });
        }
        code
    }

    /// The number of a key, or [`UNKNOWN`].
    pub fn find(&self, key: &[KeyValue]) -> u32 {
        let mut codes = self.columns.iter().zip(key).map(|(column, value)| column.find(value.lent()));
        let first = codes.next().unwrap_or(UNKNOWN);
        self.folds.iter().zip(codes).fold(first, |code, (fold, next)| match code == UNKNOWN || next == UNKNOWN {
            true => UNKNOWN,
            false => fold.get(&pair(code, next)).copied().unwrap_or(UNKNOWN),
        })
    }

    /// The key of a number.
    pub fn key(&self, number: u32) -> GroupKey {
        let mut key = Vec::with_capacity(self.columns.len());
        let mut left = number;
        for (pairs, column) in self.pairs.iter().zip(&self.columns[1..]).rev() {
            let both = pairs[left as usize];
            key.push(column.values[both as u32 as usize].clone());
            left = (both >> 32) as u32;
        }
        key.extend(self.columns.first().map(|column| column.values[left as usize].clone()));
        key.reverse();
        key
    }

    /// The numbers of the rows' keys; those that are not known get a new number.
    pub fn grow(&mut self, columns: &[Feature], arrays: &[ArrayRef]) -> Result<Vec<u32>> {
        let mut codes: Option<Vec<u32>> = None;
        for (place, (column, array)) in columns.iter().zip(arrays).enumerate() {
            let dictionary = &mut self.columns[place];
            let next = column_codes(column, array, |value| dictionary.code(value.owned(), true))?;
            codes = Some(match codes {
                None => next,
                Some(left) => {
                    let (fold, pairs) = (&mut self.folds[place - 1], &mut self.pairs[place - 1]);
                    folded(&left, &next, |both| {
                        *fold.entry(both).or_insert_with(|| {
                            pairs.push(both);
                            pairs.len() as u32 - 1
                        })
                    })
                }
            });
        }
        Ok(codes.unwrap_or_default())
    }

    /// The numbers of the rows' keys, [`UNKNOWN`] for those that are not known.
    pub fn look_up(&self, columns: &[Feature], arrays: &[ArrayRef]) -> Result<Vec<u32>> {
        let mut codes: Option<Vec<u32>> = None;
        for (place, (column, array)) in columns.iter().zip(arrays).enumerate() {
            let dictionary = &self.columns[place];
            let next = column_codes(column, array, |value| dictionary.find(value))?;
            codes = Some(match codes {
                None => next,
                Some(left) => {
                    let fold = &self.folds[place - 1];
                    folded(&left, &next, |both| fold.get(&both).copied().unwrap_or(UNKNOWN))
                }
            });
        }
        Ok(codes.unwrap_or_default())
    }
}

/// A value that is lent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Lent<'a> {
    Null,
    Boolean(bool),
    Number(i64),
    Text(&'a str),
    /// A number that is not whole, which no group has.
    Odd,
}

impl KeyValue {
    fn lent(&self) -> Lent<'_> {
        match self {
            KeyValue::Null => Lent::Null,
            KeyValue::Boolean(flag) => Lent::Boolean(*flag),
            KeyValue::Number(number) => Lent::Number(*number),
            KeyValue::Text(text) => Lent::Text(text),
        }
    }
}

impl Lent<'_> {
    fn owned(self) -> KeyValue {
        match self {
            Lent::Null | Lent::Odd => KeyValue::Null,
            Lent::Boolean(flag) => KeyValue::Boolean(flag),
            Lent::Number(number) => KeyValue::Number(number),
            Lent::Text(text) => KeyValue::Text(text.to_owned()),
        }
    }
}

impl Dictionary {
    fn find(&self, value: Lent<'_>) -> u32 {
        let found = match value {
            Lent::Null => self.null,
            Lent::Boolean(flag) => self.flags[usize::from(flag)],
            Lent::Number(number) => self.numbers.get(&number).copied(),
            Lent::Text(text) => self.texts.get(text).copied(),
            Lent::Odd => None,
        };
        found.unwrap_or(UNKNOWN)
    }
}

fn folded(left: &[u32], right: &[u32], mut code: impl FnMut(u64) -> u32) -> Vec<u32> {
    let mut last = None;
    let of = |(left, right): (&u32, &u32)| {
        if *left == UNKNOWN || *right == UNKNOWN {
            return UNKNOWN;
        }
        // Rows of one group are often neighbours.
        let both = pair(*left, *right);
        match last {
            Some((known, found)) if known == both => found,
            _ => {
                let found = code(both);
                last = Some((both, found));
                found
            }
        }
    };
    left.iter().zip(right).map(of).collect()
}

/// A number for each row; `code` is asked once for neighbours with the same value.
fn column_codes(column: &Feature, array: &ArrayRef, mut code: impl FnMut(Lent<'_>) -> u32) -> Result<Vec<u32>> {
    fn numbered<'a>(values: impl Iterator<Item = Lent<'a>>, mut code: impl FnMut(Lent<'_>) -> u32) -> Vec<u32> {
        let mut last = None;
        let of = |value: Lent<'a>| match last {
            Some((known, found)) if known == value => found,
            _ => {
                let found = code(value);
                last = Some((value, found));
                found
            }
        };
        values.map(of).collect()
    }
    let number = |value: Option<i64>| value.map_or(Lent::Null, Lent::Number);
    Ok(match (column.value_type, array.data_type()) {
        (ValueType::BigInt, DataType::Float64) => {
            // A caller may give a number of another type; one that is not whole is of no group.
            let whole = |value: Option<f64>| match value {
                None => Lent::Null,
                Some(value) if value.fract() == 0.0 && value.abs() < 9.0e15 => Lent::Number(value as i64),
                Some(_) => Lent::Odd,
            };
            numbered(array.as_primitive::<Float64Type>().iter().map(whole), code)
        }
        (ValueType::BigInt, _) => {
            let array = strict_cast(array, &DataType::Int64)?;
            numbered(array.as_primitive::<Int64Type>().iter().map(number), code)
        }
        (ValueType::Date, _) => {
            let array = strict_cast(array, &DataType::Date32)?;
            numbered(array.as_primitive::<Date32Type>().iter().map(|day| number(day.map(i64::from))), code)
        }
        (ValueType::Boolean, _) => {
            let flag = |value: Option<bool>| value.map_or(Lent::Null, Lent::Boolean);
            numbered(array.as_boolean().iter().map(flag), code)
        }
        (ValueType::Text, DataType::Utf8View) => {
            let texts = array.as_string_view();
            numbered(texts.iter().map(|value| value.map_or(Lent::Null, Lent::Text)), &mut code)
        }
        (ValueType::Text, _) => {
            let array = strict_cast(array, &DataType::Utf8)?;
            let texts = array.as_string::<i32>();
            numbered(texts.iter().map(|value| value.map_or(Lent::Null, Lent::Text)), &mut code)
        }
        (other, _) => {
            return Err(Error::internal(format!("expected a group column, found {}", other.sql_name())));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BooleanArray, Date32Array, Float64Array, Int64Array, StringArray, StringViewArray};

    use super::*;

    fn columns() -> Vec<Feature> {
        vec![Feature::new("site", ValueType::Text), Feature::new("n", ValueType::BigInt)]
    }

    fn arrays() -> Vec<ArrayRef> {
        let sites = vec![Some("b"), Some("a"), Some("a"), None, Some("b"), None];
        let numbers = vec![Some(1), Some(1), Some(2), Some(1), Some(1), None];
        vec![Arc::new(StringArray::from(sites)), Arc::new(Int64Array::from(numbers))]
    }

    #[test]
    fn keys_are_numbered_as_they_come_and_found_again() {
        let mut coder = Coder::new(2);
        assert_eq!(coder.grow(&columns(), &arrays()).unwrap(), [0, 1, 2, 3, 0, 4]);
        assert_eq!(coder.len(), 5);
        let keys: Vec<GroupKey> = (0..5).map(|number| coder.key(number)).collect();
        assert_eq!(keys[2], [KeyValue::Text("a".into()), KeyValue::Number(2)]);
        assert_eq!(keys[4], [KeyValue::Null, KeyValue::Null]);
        let again = Coder::of(2, keys.iter());
        assert_eq!(again.look_up(&columns(), &arrays()).unwrap(), [0, 1, 2, 3, 0, 4]);
        // A text that is known with a number that is known is still no known key.
        let others: Vec<ArrayRef> =
            vec![Arc::new(StringViewArray::from(vec!["b", "c"])), Arc::new(Float64Array::from(vec![2.0, 1.5]))];
        assert_eq!(again.look_up(&columns(), &others).unwrap(), [UNKNOWN, UNKNOWN]);
    }

    #[test]
    fn every_type_of_key_and_its_texts() {
        let columns = [Feature::new("day", ValueType::Date), Feature::new("on", ValueType::Boolean)];
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(19723), None]));
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None]));
        let mut coder = Coder::new(2);
        assert_eq!(coder.grow(&columns, &[days, flags]).unwrap(), [0, 1]);
        assert_eq!(json(&columns, &coder.key(0)), r#"{"day": "2024-01-01", "on": true}"#);
        assert_eq!(json(&columns, &coder.key(1)), r#"{"day": null, "on": null}"#);
        assert_eq!(display(&columns, &coder.key(0)), "day = 2024-01-01 and on = true");
        let text = [Feature::new("s", ValueType::Text)];
        assert_eq!(json(&text, &[KeyValue::Text("a\"b".into())]), r#"{"s": "a\"b"}"#);
        assert_eq!(display(&text, &[KeyValue::Text("x".into())]), "s = 'x'");
        // NULL comes last, as in ORDER BY.
        assert!(KeyValue::Text("z".into()) < KeyValue::Null && KeyValue::Number(i64::MAX) < KeyValue::Null);
    }
}
