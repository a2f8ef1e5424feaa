//! What is known of features, as what is known of design columns.

use super::evaluator::{FeatureRange, Known};
use super::kernel::ColumnRange;
use super::signature::{Categories, CategoryForm, Feature, ValueType};

/// The ranges of the design columns, in their order.
pub(super) fn of_columns(features: &[Feature], ranges: &[FeatureRange]) -> Vec<ColumnRange> {
    features.iter().zip(ranges).flat_map(|(feature, range)| of_feature(feature, range)).collect()
}

fn of_feature(feature: &Feature, range: &FeatureRange) -> Vec<ColumnRange> {
    match &feature.categories {
        None => vec![of_number(feature.value_type, range)],
        Some(categories) => of_texts(categories, range),
    }
}

fn none(missing: bool) -> ColumnRange {
    ColumnRange { low: f64::INFINITY, high: f64::NEG_INFINITY, missing, codes: None }
}

fn of_number(value_type: ValueType, range: &FeatureRange) -> ColumnRange {
    match &range.known {
        // Bounds that are no numbers say nothing.
        Known::Between(low, high) if value_type != ValueType::Text && !low.is_nan() && !high.is_nan() => {
            ColumnRange { low: *low, high: *high, missing: range.missing, codes: None }
        }
        Known::Texts(texts) if texts.is_empty() => none(range.missing),
        _ => ColumnRange { missing: range.missing, ..ColumnRange::unknown() },
    }
}

fn of_texts(categories: &Categories, range: &FeatureRange) -> Vec<ColumnRange> {
    let count = categories.values.len();
    let Known::Texts(texts) = &range.known else {
        // An unknown text is missing where texts are codes.
        let missing = range.missing || categories.form == CategoryForm::Codes;
        let any = ColumnRange { missing, ..ColumnRange::unknown() };
        return vec![any; if categories.form == CategoryForm::Codes { 1 } else { count }];
    };
    match categories.form {
        CategoryForm::Codes => {
            let place = |text: &String| categories.values.iter().position(|known| known == text);
            let codes: Vec<Option<usize>> = texts.iter().map(place).collect();
            let missing = range.missing || codes.contains(&None);
            let codes: Vec<f64> = codes.into_iter().flatten().map(|code| code as f64).collect();
            if codes.is_empty() {
                return vec![none(missing)];
            }
            let low = codes.iter().copied().fold(f64::INFINITY, f64::min);
            let high = codes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            vec![ColumnRange { low, high, missing, codes: Some(codes) }]
        }
        CategoryForm::Indicators => {
            let indicator = |known: &String| {
                let (is, others) = (texts.contains(known), texts.iter().any(|text| text != known));
                match (is, others) {
                    (false, false) => none(range.missing),
                    (true, false) => ColumnRange { low: 1.0, high: 1.0, missing: range.missing, codes: None },
                    (false, true) => ColumnRange { low: 0.0, high: 0.0, missing: range.missing, codes: None },
                    (true, true) => ColumnRange { low: 0.0, high: 1.0, missing: range.missing, codes: None },
                }
            };
            categories.values.iter().map(indicator).collect()
        }
    }
}
