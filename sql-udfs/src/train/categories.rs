//! The texts of a feature: which of them a model tells apart.
//!
//! Those of the training rows, the most frequent ones where there are more than a model takes. What a model does with the
//! others, with texts that it never saw and with NULL is [`CategoryForm`]'s.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::DataType;

use super::places::Places;
use crate::limits::CATEGORIES_MAX;
use crate::model::columns::strict_cast;
use crate::model::signature::{Categories, CategoryForm};
use crate::{Error, Result};

/// The categories of a feature in the training rows.
pub(super) fn find(name: &str, batches: &[ArrayRef], places: &Places, form: CategoryForm) -> Result<Categories> {
    let batches = batches.iter().map(|array| strict_cast(array, &DataType::Utf8)).collect::<Result<Vec<_>>>()?;
    let texts: Vec<&StringArray> = batches.iter().map(|array| array.as_string::<i32>()).collect();
    let mut counts: HashMap<&str, u64> = HashMap::new();
    let rows = texts.iter().flat_map(|array| array.iter()).enumerate();
    for (_, text) in rows.filter(|(row, _)| places.trains(*row)) {
        if let Some(text) = text {
            *counts.entry(text).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return Err(Error::input(format!("feature `{name}` is NULL in all {} training rows", places.train()))
            .with_hint("leave it out of the query"));
    }
    let mut found: Vec<(&str, u64)> = counts.into_iter().collect();
    found.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let others = found.len().saturating_sub(CATEGORIES_MAX) as u64;
    found.truncate(CATEGORIES_MAX);
    let mut values: Vec<String> = found.into_iter().map(|(text, _)| text.to_owned()).collect();
    values.sort_unstable();
    Ok(Categories { form, values, others })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::Array;

    use super::*;

    fn found(texts: Vec<Option<String>>, rows: &[u32]) -> Result<Categories> {
        let array: ArrayRef = Arc::new(StringArray::from(texts));
        let places = Places::new(array.len(), rows, &[]);
        find("t", &[array.slice(0, 1), array.slice(1, array.len() - 1)], &places, CategoryForm::Codes)
    }

    #[test]
    fn texts_of_the_training_rows_in_order() {
        let texts = ["b", "ä", "a", "unused"].map(|text| Some(text.to_owned())).to_vec();
        let categories = found(texts, &[2, 0, 1]).unwrap();
        assert_eq!((categories.values, categories.others), (vec!["a".to_owned(), "b".into(), "ä".into()], 0));
        assert!(found(vec![None, Some("x".into())], &[0]).is_err());
    }

    #[test]
    fn the_most_frequent_are_told_apart() {
        let texts: Vec<Option<String>> =
            (0..300).flat_map(|i| std::iter::repeat_n(Some(format!("{i:03}")), 1 + usize::from(i >= 100))).collect();
        let rows: Vec<u32> = (0..texts.len() as u32).collect();
        let categories = found(texts, &rows).unwrap();
        assert_eq!((categories.values.len(), categories.others), (CATEGORIES_MAX, 46));
        // All 200 frequent ones, and of the others the first.
        assert_eq!((categories.values[0].as_str(), categories.values[54].as_str()), ("000", "100"));
    }
}
