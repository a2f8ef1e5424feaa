//! Parameters of algorithms: what each may be, and what a statement's literals make of them.
//!
//! Specifications are data, so that errors, defaults and documentation come from one place.

use super::Value;
use crate::{Error, Result};

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `TRUE` or `FALSE`.
    Boolean,
    /// A whole number from the first to the second.
    Integer(i64, i64),
    /// A number from the first, itself included.
    DoubleFrom(f64),
    /// A number above the first.
    DoubleAbove(f64),
    /// A number from the first to the second, both included.
    DoubleBetween(f64, f64),
    /// A number between the first and the second, neither included.
    DoubleInside(f64, f64),
    /// A number above the first and up to the second, itself included.
    DoubleAboveTo(f64, f64),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A number above the first, or one of these texts.
    AboveOrChoice(f64, &'static [&'static str]),
    /// A whole number from 1, a share above 0 and up to 1, or one of these texts.
    CountShareOrChoice(&'static [&'static str]),
    /// Any text.
    Text,
}

/// One parameter of an algorithm.
#[derive(Debug, Clone, Copy)]
pub struct Specification {
    /// The name, as SQL writes it.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is where a statement does not say; [`Default::Null`] also makes NULL a value that it may have.
    pub default: Default,
    /// What it does, in a sentence.
    pub doc: &'static str,
}

/// The value of a parameter that a statement leaves out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Default {
    /// A boolean.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number.
    Double(f64),
    /// A text.
    Text(&'static str),
    /// No value.
    Null,
}

impl Default {
    fn value(self) -> Value {
        match self {
            Default::Boolean(v) => Value::Boolean(v),
            Default::Integer(v) => Value::Integer(v),
            Default::Double(v) => Value::Double(v),
            Default::Text(v) => Value::Text(v.to_owned()),
            Default::Null => Value::Null,
        }
    }
}

/// The column with a weight for each row, for algorithms that can weigh rows. It is not a feature.
pub(crate) const SAMPLE_WEIGHT: Specification = Specification {
    name: "sample_weight",
    kind: Kind::Text,
    default: Default::Null,
    doc: "the column with the weight of each row, a number of at least 0; it is not a feature",
};

/// The weights of classes, for classifiers.
pub(crate) const CLASS_WEIGHT: Specification = Specification {
    name: "class_weight",
    kind: Kind::Text,
    default: Default::Null,
    doc: "'balanced' for weights inverse to the classes' rows, or weights by class as JSON: '{\"yes\": 5, \"no\": 1}'",
};

/// What a missing value is, for algorithms that compute with a feature's value.
pub(crate) const MISSING_MEAN: Specification = Specification {
    name: "missing",
    kind: Kind::Choice(&["mean", "error"]),
    default: Default::Text("mean"),
    doc: "what NULL in a feature counts as: the feature's mean in training, or an error",
};

/// What a missing value is, for trees.
pub(crate) const MISSING_BRANCH: Specification = Specification {
    name: "missing",
    kind: Kind::Choice(&["branch", "error"]),
    default: Default::Text("branch"),
    doc: "what NULL in a feature does: follow the branch that was learned for it, or an error",
};

/// Every parameter of an algorithm with its value, in the algorithm's order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parameters(Vec<(String, Value)>);

impl Parameters {
    /// Checks the given values and fills in the defaults. Names are compared without regard to case.
    pub fn resolve(algorithm: &str, known: &[Specification], given: &[(String, Value)]) -> Result<Self> {
        let mut values: Vec<(String, Value)> = known.iter().map(|s| (s.name.to_owned(), s.default.value())).collect();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in given {
            let Some(position) = known.iter().position(|s| s.name.eq_ignore_ascii_case(name)) else {
                return Err(unknown(algorithm, known, name));
            };
            let specification = &known[position];
            if seen.contains(&specification.name) {
                return Err(Error::input(format!("the parameter `{}` is given twice", specification.name)));
            }
            seen.push(specification.name);
            values[position].1 = specification.accept(algorithm, value)?;
        }
        Ok(Parameters(values))
    }

    /// All of them, as a run records them.
    pub fn into_inner(self) -> Vec<(String, Value)> {
        self.0
    }

    fn value(&self, name: &str) -> &Value {
        self.0.iter().find(|(known, _)| known == name).map_or(&Value::Null, |(_, value)| value)
    }

    /// A boolean parameter.
    pub fn boolean(&self, name: &str) -> bool {
        matches!(self.value(name), Value::Boolean(true))
    }

    /// A whole number, or `None` where it is NULL.
    pub fn integer(&self, name: &str) -> Option<usize> {
        match self.value(name) {
            Value::Integer(v) => usize::try_from(*v).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn double(&self, name: &str) -> f64 {
        match self.value(name) {
            Value::Double(v) => *v,
            _ => f64::NAN,
        }
    }

    /// A number, or `None` where it is NULL or a text.
    pub fn number(&self, name: &str) -> Option<f64> {
        number(self.value(name))
    }

    /// A text, or `None` where it is NULL or a number.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.value(name) {
            Value::Text(v) => Some(v),
            _ => None,
        }
    }

    /// Puts a value in the place of a text that stands for it.
    pub fn replace(&mut self, name: &str, text: &str, value: Value) {
        if let Some((_, current)) = self.0.iter_mut().find(|(known, _)| known == name)
            && matches!(current, Value::Text(found) if found == text)
        {
            *current = value;
        }
    }

    /// Puts a value in the place of NULL, where an algorithm's default depends on the data.
    pub fn settle(&mut self, name: &str, value: Value) {
        if let Some((_, current)) = self.0.iter_mut().find(|(known, current)| known == name && *current == Value::Null)
        {
            *current = value;
        }
    }
}

impl Specification {
    fn accept(&self, algorithm: &str, value: &Value) -> Result<Value> {
        let accepted = match (self.kind, value) {
            (_, Value::Null) => (self.default == Default::Null).then_some(Value::Null),
            (Kind::Boolean, Value::Boolean(_)) => Some(value.clone()),
            (Kind::Integer(from, to), Value::Integer(v)) => (from..=to).contains(v).then(|| value.clone()),
            (Kind::DoubleFrom(from), _) => number(value).filter(|v| *v >= from).map(Value::Double),
            (Kind::DoubleAbove(above), _) => number(value).filter(|v| *v > above).map(Value::Double),
            (Kind::DoubleBetween(from, to), _) => number(value).filter(|v| (from..=to).contains(v)).map(Value::Double),
            (Kind::DoubleInside(above, below), _) => {
                number(value).filter(|v| *v > above && *v < below).map(Value::Double)
            }
            (Kind::DoubleAboveTo(above, to), _) => number(value).filter(|v| *v > above && *v <= to).map(Value::Double),
            (Kind::Choice(texts) | Kind::AboveOrChoice(_, texts) | Kind::CountShareOrChoice(texts), Value::Text(v)) => {
                texts.iter().find(|text| text.eq_ignore_ascii_case(v)).map(|text| Value::Text((*text).to_owned()))
            }
            (Kind::AboveOrChoice(above, _), _) => number(value).filter(|v| *v > above).map(Value::Double),
            (Kind::CountShareOrChoice(_), Value::Integer(v)) => (*v >= 1).then(|| value.clone()),
            (Kind::CountShareOrChoice(_), Value::Double(v)) => (*v > 0.0 && *v <= 1.0).then(|| value.clone()),
            (Kind::Text, Value::Text(_)) => Some(value.clone()),
            _ => None,
        };
        accepted.ok_or_else(|| {
            let found = match value {
                Value::Text(text) => format!("'{text}'"),
                Value::Boolean(v) => v.to_string().to_uppercase(),
                Value::Null => "NULL".to_owned(),
                other => other.to_string(),
            };
            Error::input(format!(
                "parameter `{}` of {algorithm}: expected {}, found {found}",
                self.name,
                self.expected()
            ))
        })
    }

    /// The value where a statement leaves it out.
    pub fn default_value(&self) -> Value {
        self.default.value()
    }

    /// What the parameter may be, in words.
    pub fn expected(&self) -> String {
        let kind = match self.kind {
            Kind::Boolean => "TRUE or FALSE".to_owned(),
            Kind::Integer(from, to) => format!("a whole number from {from} to {to}"),
            Kind::DoubleFrom(from) => format!("a number of at least {from}"),
            Kind::DoubleAbove(above) => format!("a number above {above}"),
            Kind::DoubleBetween(from, to) => format!("a number from {from} to {to}"),
            Kind::DoubleInside(above, below) => format!("a number between {above} and {below}"),
            Kind::DoubleAboveTo(above, to) => format!("a number above {above} and up to {to}"),
            Kind::Choice(texts) => choices(texts),
            Kind::AboveOrChoice(above, texts) => format!("a number above {above}, {}", choices(texts)),
            Kind::CountShareOrChoice([]) => "a whole number from 1, or a share above 0 and up to 1".to_owned(),
            Kind::CountShareOrChoice(texts) => {
                let count = "a whole number from 1, a share above 0 and up to 1";
                if texts.is_empty() { count.to_owned() } else { format!("{count}, {}", choices(texts)) }
            }
            Kind::Text => "text".to_owned(),
        };
        match self.default {
            Default::Null => format!("{kind}, or NULL"),
            _ => kind,
        }
    }
}

fn choices(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("'{text}'")).collect::<Vec<_>>().join(" or ")
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(v) => Some(*v as f64),
        Value::Double(v) if v.is_finite() => Some(*v),
        _ => None,
    }
}

fn unknown(algorithm: &str, known: &[Specification], name: &str) -> Error {
    let names: Vec<String> = known.iter().map(|s| format!("`{}`", s.name)).collect();
    Error::unknown(&format!("parameter of {algorithm}"), name, known.iter().map(|s| s.name))
        .with_hint(format!("{algorithm} has the parameters {}", names.join(", ")))
}
