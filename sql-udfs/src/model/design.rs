//! Features as design columns: the 64-bit floats that kernels compute with.
//!
//! A number, boolean, date or timestamp is one column. A text is one column of codes, or a column of 0 and 1 for each text
//! that the model knows. NULL is NaN everywhere. Training and scoring go through here, so that they cannot differ.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::DataType;

use super::columns::{doubles, strict_cast};
use super::signature::{CategoryForm, Feature};
use crate::limits::SCORE_ROWS_PER_BLOCK;
use crate::{Error, Result};

/// The code of a text that the model does not know.
const UNKNOWN: f64 = -1.0;

/// The code of each text that a model knows.
type Codes = HashMap<String, u32, BuildHasherDefault<TextHasher>>;

/// A hash in a few steps, since every row's text needs one. The texts in the table are the model's few, so nobody can fill
/// it with texts that collide.
#[derive(Debug, Default, Clone)]
struct TextHasher(u64);

impl Hasher for TextHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        for word in words.iter().chain([&last]) {
            let mixed = (self.0 ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.0 = mixed ^ (mixed >> 32);
        }
    }

    fn write_u8(&mut self, _: u8) {
        // What marks the end of a text; a table has nothing but texts.
    }

    fn finish(&self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// How each feature becomes design columns.
#[derive(Debug)]
pub(crate) struct Design {
    features: Vec<Reader>,
}

#[derive(Debug)]
enum Reader {
    Number,
    Texts { form: CategoryForm, codes: Codes },
}

impl Reader {
    fn width(&self) -> usize {
        match self {
            Reader::Texts { form: CategoryForm::Indicators, codes } => codes.len(),
            Reader::Number | Reader::Texts { form: CategoryForm::Codes, .. } => 1,
        }
    }

    fn read<'a>(&self, array: &'a ArrayRef) -> Result<Cow<'a, [f64]>> {
        match self {
            Reader::Number => doubles(array),
            Reader::Texts { form, codes } => {
                let unknown = if *form == CategoryForm::Codes { f64::NAN } else { UNKNOWN };
                let texts = strict_cast(array, &DataType::Utf8)?;
                let code = |text: Option<&str>| match text {
                    None => f64::NAN,
                    Some(text) => codes.get(text).map_or(unknown, |code| f64::from(*code)),
                };
                Ok(Cow::Owned(texts.as_string::<i32>().iter().map(code).collect()))
            }
        }
    }
}

impl Design {
    /// The design of a model's features.
    pub fn new(features: &[Feature]) -> Self {
        let reader = |feature: &Feature| match &feature.categories {
            None => Reader::Number,
            Some(categories) => Reader::Texts {
                form: categories.form,
                codes: categories.values.iter().zip(0..).map(|(text, code)| (text.clone(), code)).collect(),
            },
        };
        Design { features: features.iter().map(reader).collect() }
    }

    /// The number of design columns.
    pub fn width(&self) -> usize {
        self.features.iter().map(Reader::width).sum()
    }

    /// For each feature whether `is_so` of any of its columns.
    pub fn features_of(&self, is_so: impl Fn(usize) -> bool) -> Vec<bool> {
        let mut next = 0;
        let mut of_feature = |reader: &Reader| {
            let first = next;
            next += reader.width();
            (first..next).any(&is_so)
        };
        self.features.iter().map(&mut of_feature).collect()
    }

    /// Reads feature columns of equal length, one for each feature in order, as far as they are used.
    pub fn read<'a>(&'a self, features: &'a [ArrayRef], used: &[bool]) -> Result<DesignColumns<'a>> {
        let value = |((reader, array), used): ((&Reader, &'a ArrayRef), &bool)| match used {
            true => reader.read(array).map(Some),
            false => Ok(None),
        };
        let values = self.features.iter().zip(features).zip(used).map(value);
        Ok(DesignColumns { design: self, values: values.collect::<Result<_>>()? })
    }

    /// All design columns of one feature, for training.
    pub fn expand(&self, feature: usize, array: &ArrayRef) -> Result<Vec<Vec<f64>>> {
        let reader = &self.features[feature];
        let values = reader.read(array)?;
        match reader {
            Reader::Texts { form: CategoryForm::Indicators, codes } => {
                Ok((0..codes.len()).map(|code| indicators(&values, code).collect()).collect())
            }
            _ => Ok(vec![values.into_owned()]),
        }
    }

    /// One feature as numbers, before texts become indicators: codes, -1 for a text that is not known, NaN for NULL.
    pub fn numbers(&self, feature: usize, array: &ArrayRef) -> Result<Vec<f64>> {
        Ok(self.features[feature].read(array)?.into_owned())
    }

    /// Room for the indicators of one block.
    pub fn scratch(&self) -> Vec<Vec<f64>> {
        let indicators =
            self.features.iter().filter(|r| matches!(r, Reader::Texts { form: CategoryForm::Indicators, .. }));
        let count = indicators.map(Reader::width).sum();
        vec![Vec::with_capacity(SCORE_ROWS_PER_BLOCK); count]
    }
}

fn indicators(codes: &[f64], code: usize) -> impl Iterator<Item = f64> {
    codes.iter().map(move |value| indicator(*value, code))
}

/// The indicator of a category, for a row with that code.
pub(crate) fn indicator(value: f64, code: usize) -> f64 {
    match value {
        v if v.is_nan() => f64::NAN,
        v => f64::from(v == code as f64),
    }
}

/// The features of some rows, of which blocks of design columns are made.
#[derive(Debug)]
pub(crate) struct DesignColumns<'a> {
    design: &'a Design,
    /// For each feature its values, where it is used.
    values: Vec<Option<Cow<'a, [f64]>>>,
}

impl DesignColumns<'_> {
    /// The design columns of some rows, empty ones for features that are not used; `scratch` is [`Design::scratch`]'s.
    pub fn block<'b>(&'b self, start: usize, end: usize, scratch: &'b mut [Vec<f64>]) -> Vec<&'b [f64]> {
        let mut next = 0;
        for (reader, values) in self.design.features.iter().zip(&self.values) {
            if let Reader::Texts { form: CategoryForm::Indicators, codes } = reader {
                for code in 0..codes.len() {
                    scratch[next].clear();
                    if let Some(values) = values {
                        scratch[next].extend(indicators(&values[start..end], code));
                    }
                    next += 1;
                }
            }
        }
        let mut block: Vec<&[f64]> = Vec::with_capacity(self.design.width());
        let mut made = scratch.iter();
        for (reader, values) in self.design.features.iter().zip(&self.values) {
            match reader {
                Reader::Texts { form: CategoryForm::Indicators, codes } => {
                    block.extend(made.by_ref().take(codes.len()).map(Vec::as_slice));
                }
                _ => block.push(values.as_ref().map_or(&[], |values| &values[start..end])),
            }
        }
        block
    }

    /// Fills `out`, which has a vector for each design column, with the design columns of rows that are not neighbours;
    /// those of features that are not used are missing.
    pub fn gather(&self, rows: &[u32], out: &mut [Vec<f64>]) {
        let mut next = out.iter_mut();
        for (reader, values) in self.design.features.iter().zip(&self.values) {
            let at = |row: &u32| values.as_ref().map_or(f64::NAN, |values| values[*row as usize]);
            let indicators = match reader {
                Reader::Texts { form: CategoryForm::Indicators, codes } => codes.len(),
                _ => {
                    next.by_ref().take(1).for_each(|column| {
                        column.clear();
                        column.extend(rows.iter().map(at));
                    });
                    continue;
                }
            };
            for (code, column) in next.by_ref().take(indicators).enumerate() {
                column.clear();
                column.extend(rows.iter().map(|row| indicator(at(row), code)));
            }
        }
    }

    /// Fails where a value is missing in one of the `refused` features, for models that were trained with
    /// `missing = 'error'`.
    pub fn refuse_missing(&self, features: &[Feature], refused: &[bool]) -> Result<()> {
        for ((feature, values), _) in features.iter().zip(&self.values).zip(refused).filter(|(_, refused)| **refused) {
            if values.as_ref().is_some_and(|values| values.iter().any(|value| value.is_nan())) {
                return Err(missing_value(&feature.name));
            }
        }
        Ok(())
    }
}

/// The error of a missing value where the model was told to refuse it.
pub(crate) fn missing_value(feature: &str) -> Error {
    Error::input(format!("feature `{feature}` is NULL or unknown, which the model was trained to refuse"))
        .with_hint("leave the row out, or train without missing = 'error'")
}
