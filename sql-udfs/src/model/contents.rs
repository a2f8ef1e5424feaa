//! What is in a model, as rows: the weights of linear models, the nodes of trees.
//!
//! Kernels know columns by number; here they get the names of features and texts back. It computes nothing.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Float64Builder, Int64Array, ListArray, ListBuilder, StringArray,
    StringBuilder,
};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use super::signature::{CategoryForm, ClassLabel, Signature};
use crate::Result;

/// What a linear model's constant is called among its terms.
const INTERCEPT: &str = "(intercept)";

/// The sums of a linear model, as its kernel has them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sums<'a> {
    /// The weight of each design column, for each sum.
    pub weights: &'a [Vec<f64>],
    /// The constant of each sum.
    pub constants: &'a [f64],
}

/// What a node of a tree asks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Question {
    /// The design column.
    pub column: usize,
    /// The value up to which the answer is yes.
    pub threshold: Option<f64>,
    /// The codes of the texts for which the answer is yes.
    pub codes: Option<Vec<u8>>,
    /// Whether a missing value is taken for a yes.
    pub missing_is_yes: bool,
    /// The node that comes after a yes.
    pub yes: usize,
    /// The node that comes after a no.
    pub no: usize,
    /// By how much asking lowered what was minimised.
    pub gain: Option<f64>,
}

/// A node of a tree: a question, or a leaf with its numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// The question; `None` for a leaf.
    pub question: Option<Question>,
    /// The leaf's numbers.
    pub values: Vec<f64>,
    /// The training rows that came here.
    pub rows: Option<u64>,
}

/// A design column by name: the feature, and the text that it is the indicator of.
fn columns(signature: &Signature) -> Vec<(&str, Option<&str>)> {
    let mut columns = Vec::new();
    for feature in &signature.features {
        match &feature.categories {
            Some(categories) if categories.form == CategoryForm::Indicators => {
                columns.extend(categories.values.iter().map(|text| (feature.name.as_str(), Some(text.as_str()))));
            }
            _ => columns.push((feature.name.as_str(), None)),
        }
    }
    columns
}

/// What the sum `number` of `count` is for: a class, or a number of its own; `None` for the only one of a number.
fn output(signature: &Signature, number: usize, count: usize) -> Option<String> {
    // One sum decides between two classes, for the second.
    let class = if count == 1 && signature.classes.len() == 2 { 1 } else { number };
    match signature.classes.get(class) {
        Some(ClassLabel::Boolean(value)) => Some(value.to_string()),
        Some(ClassLabel::BigInt(value)) => Some(value.to_string()),
        Some(ClassLabel::Text(value)) => Some(value.clone()),
        None => (count > 1).then(|| number.to_string()),
    }
}

/// The weights of a linear model, one a row: `output, term, feature, category, weight`.
pub(crate) fn coefficients(signature: &Signature, sums: Sums<'_>) -> Result<RecordBatch> {
    let columns = columns(signature);
    let (mut outputs, mut terms, mut features, mut categories) = (vec![], vec![], vec![], vec![]);
    let mut weights = Vec::new();
    for (number, (row, constant)) in sums.weights.iter().zip(sums.constants).enumerate() {
        let output = output(signature, number, sums.constants.len());
        outputs.extend(std::iter::repeat_n(output, row.len() + 1));
        terms.push(INTERCEPT.to_owned());
        features.push(None);
        categories.push(None);
        weights.push(*constant);
        for (weight, (feature, category)) in row.iter().zip(&columns) {
            terms.push(category.map_or_else(|| (*feature).to_owned(), |text| format!("{feature}={text}")));
            features.push(Some(*feature));
            categories.push(*category);
            weights.push(*weight);
        }
    }
    batch(vec![
        ("output", Arc::new(StringArray::from(outputs))),
        ("term", Arc::new(StringArray::from(terms))),
        ("feature", Arc::new(StringArray::from(features))),
        ("category", Arc::new(StringArray::from(categories))),
        ("weight", Arc::new(Float64Array::from(weights))),
    ])
}

/// The nodes of trees, one a row, the root of each tree first.
pub(crate) fn nodes(signature: &Signature, trees: &[Vec<Node>]) -> Result<RecordBatch> {
    let all: Vec<(usize, usize, usize, &Node)> =
        trees.iter().enumerate().flat_map(|(t, nodes)| placed(t, nodes)).collect();
    let columns = columns(signature);
    let asked = || all.iter().map(|(_, _, _, node)| node.question.as_ref());
    let numbers = |of: fn(&(usize, usize, usize, &Node)) -> usize| -> ArrayRef {
        Arc::new(all.iter().map(|place| Some(of(place) as i64)).collect::<Int64Array>())
    };
    let next = |of: fn(&Question) -> usize| -> ArrayRef {
        Arc::new(asked().map(|question| question.map(|question| of(question) as i64)).collect::<Int64Array>())
    };
    let feature = asked().map(|question| question.and_then(|question| Some(columns.get(question.column)?.0)));
    let operator = asked().map(|question| question.map(|question| if question.codes.is_some() { "in" } else { "<=" }));
    let threshold = asked().map(|question| question?.threshold);
    let missing = asked().map(|question| question.map(|question| question.missing_is_yes));
    let gain = asked().map(|question| question?.gain);
    let rows = all.iter().map(|(_, _, _, node)| node.rows.and_then(|rows| i64::try_from(rows).ok()));
    batch(vec![
        ("tree", numbers(|place| place.0)),
        ("node", numbers(|place| place.1)),
        ("depth", numbers(|place| place.2)),
        ("feature", Arc::new(feature.collect::<StringArray>())),
        ("operator", Arc::new(operator.collect::<StringArray>())),
        ("threshold", Arc::new(threshold.collect::<Float64Array>())),
        ("categories", Arc::new(texts(signature, &all))),
        ("missing_goes_yes", Arc::new(missing.collect::<BooleanArray>())),
        ("yes_node", next(|question| question.yes)),
        ("no_node", next(|question| question.no)),
        ("leaf_values", Arc::new(leaves(&all))),
        ("rows", Arc::new(rows.collect::<Int64Array>())),
        ("gain", Arc::new(gain.collect::<Float64Array>())),
    ])
}

/// A tree's nodes with the tree's number, their own, and their depth. A node's number is greater than its parent's, so one
/// pass finds all depths.
fn placed(tree: usize, nodes: &[Node]) -> Vec<(usize, usize, usize, &Node)> {
    let mut depths = vec![0; nodes.len()];
    for (number, node) in nodes.iter().enumerate() {
        if let Some(question) = &node.question {
            for next in [question.yes, question.no] {
                if let Some(depth) = depths.get(number).map(|depth| depth + 1)
                    && let Some(place) = depths.get_mut(next)
                {
                    *place = depth;
                }
            }
        }
    }
    nodes.iter().enumerate().zip(depths).map(|((number, node), depth)| (tree, number, depth, node)).collect()
}

/// The texts that each node's question is about.
fn texts(signature: &Signature, all: &[(usize, usize, usize, &Node)]) -> ListArray {
    // Codes are of features with one design column each; indicators of others come before.
    let features: Vec<_> = signature
        .features
        .iter()
        .flat_map(|feature| match &feature.categories {
            Some(categories) if categories.form == CategoryForm::Indicators => vec![None; categories.values.len()],
            categories => vec![categories.as_ref()],
        })
        .collect();
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (_, _, _, node) in all {
        let question = node.question.as_ref();
        let codes = question.and_then(|question| Some((question.column, question.codes.as_ref()?)));
        if let Some((column, codes)) = codes {
            let known = features.get(column).copied().flatten();
            for code in codes {
                lists.values().append_option(known.and_then(|known| known.values.get(usize::from(*code))));
            }
        }
        lists.append(codes.is_some());
    }
    lists.finish()
}

/// The numbers of leaves.
fn leaves(all: &[(usize, usize, usize, &Node)]) -> ListArray {
    let mut lists = ListBuilder::new(Float64Builder::new());
    for (_, _, _, node) in all {
        lists.values().append_slice(&node.values);
        lists.append(node.question.is_none());
    }
    lists.finish()
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch> {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, DataType::clone(array.data_type()), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    Ok(RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect())?)
}

#[cfg(test)]
mod tests {
    use arrow::util::pretty::pretty_format_batches;

    use super::*;
    use crate::model::signature::{Categories, Feature, Missing, Task, ValueType};

    fn signature(form: CategoryForm, classes: Vec<ClassLabel>) -> Signature {
        let categories = Categories { form, values: vec!["ä".into(), "b".into()], others: 0 };
        let color = Feature { categories: Some(categories), ..Feature::new("color", ValueType::Text) };
        Signature {
            task: Task::Classification,
            target: None,
            features: vec![color, Feature::new("x", ValueType::Double)],
            classes,
            missing: Missing::Learned,
        }
    }

    fn shown(batch: &RecordBatch) -> Vec<String> {
        let table = pretty_format_batches(std::slice::from_ref(batch)).unwrap().to_string();
        let cells =
            |line: &str| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ");
        table.lines().filter(|line| line.starts_with('|')).map(cells).collect()
    }

    #[test]
    fn weights_have_the_names_of_their_columns() {
        let classes = vec![ClassLabel::Text("no".into()), ClassLabel::Text("yes".into())];
        let sums = Sums { weights: &[vec![1.0, 2.0, -3.5]], constants: &[0.25] };
        let rows = coefficients(&signature(CategoryForm::Indicators, classes), sums).unwrap();
        let expected = [
            "output term feature category weight",
            "yes (intercept) 0.25",
            "yes color=ä color ä 1.0",
            "yes color=b color b 2.0",
            "yes x x -3.5",
        ];
        assert_eq!(shown(&rows), expected);
    }

    #[test]
    fn nodes_have_depths_and_texts() {
        let ask = |column, threshold, codes, yes, no| Question {
            column,
            threshold,
            codes,
            missing_is_yes: true,
            yes,
            no,
            gain: Some(0.5),
        };
        let node = |question| Node { question, values: Vec::new(), rows: Some(4) };
        let leaf = |value| Node { question: None, values: vec![value], rows: None };
        let tree = vec![
            node(Some(ask(0, None, Some(vec![1]), 2, 1))),
            node(Some(ask(1, Some(7.5), None, 3, 4))),
            leaf(1.0),
            leaf(2.0),
            leaf(3.0),
        ];
        let rows = nodes(&signature(CategoryForm::Codes, Vec::new()), &[tree]).unwrap();
        let expected = [
            "tree node depth feature operator threshold categories missing_goes_yes yes_node no_node leaf_values rows gain",
            "0 0 0 color in [b] true 2 1 4 0.5",
            "0 1 1 x <= 7.5 true 3 4 4 0.5",
            "0 2 1 [1.0]",
            "0 3 2 [2.0]",
            "0 4 2 [3.0]",
        ];
        assert_eq!(shown(&rows), expected);
    }
}
