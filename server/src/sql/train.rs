//! `TRAIN MODEL`: the statement's text to what it asks for.
//!
//! Clauses may come in any order, each once, before `AS query`. Clauses of the dialect that Limn does not do yet are
//! refused by name. It knows nothing of algorithms: names and parameters are checked by those who know them.

use limn_sql_udfs::model::reference::{check_alias, check_model_name};
use limn_sql_udfs::train::{Partition, Split, Value};
use sqlparser::ast::{Query, Value as SqlValue};
use sqlparser::tokenizer::Token;

use super::dialect::Cursor;
use super::statement::Statement;
use super::{partition, refresh, refuse};
use crate::{Error, Result};

/// The statement's form, for hints.
pub const FORM: &str = "TRAIN MODEL name [USING algorithm [(parameter = literal, …)]] [TARGET column] \
[PARTITION BY (column, …) [MIN ROWS n] [FALLBACK | NO FALLBACK]] \
[SPLIT RANDOM f | SPLIT BY TIME column f | SPLIT ON column | SPLIT NONE] \
[EXPERIMENT name] [ALIAS name] [SEED n] AS query, or TRAIN MODEL name REFRESH [EXPERIMENT name] [ALIAS name]";

/// The share that is held out where the statement does not say.
const HELD_OUT_DEFAULT: f64 = 0.2;

/// One parsed `TRAIN MODEL`.
#[derive(Debug, Clone)]
pub struct Train {
    /// The model's name, folded.
    pub model: String,
    /// The algorithm, folded; `None` to choose from the target's type.
    pub algorithm: Option<String>,
    /// The parameters as written, names folded.
    pub parameters: Vec<(String, Value)>,
    /// The target column, folded.
    pub target: Option<String>,
    /// One model for each group, where there are groups.
    pub partition: Option<Partition>,
    /// The split.
    pub split: Split,
    /// The experiment's name, as it is in a string, folded otherwise.
    pub experiment: Option<String>,
    /// The alias that the new version gets.
    pub alias: Option<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// The training query.
    pub query: Box<Query>,
}

/// Parses a statement that begins with `TRAIN`.
pub fn parse(mut cursor: Cursor<'_>) -> Result<Statement> {
    cursor.expect_words(&["TRAIN", "MODEL"]).map_err(|error| error.with_hint(FORM))?;
    let model = cursor.name_or_string("a model name")?;
    check_model_name(&model)?;
    if cursor.words(&["REFRESH"]) {
        return refresh::parse(cursor, model);
    }
    let mut clauses = Clauses::default();
    while !cursor.words(&["AS"]) {
        clauses.parse_one(&mut cursor)?;
    }
    let query = cursor.query()?;
    cursor.end()?;
    refuse::query(&query)?;
    let (algorithm, parameters) = match clauses.using {
        Some((algorithm, parameters)) => (Some(algorithm), parameters),
        None => (None, Vec::new()),
    };
    Ok(Statement::Train(Box::new(Train {
        model,
        algorithm,
        parameters,
        target: clauses.target,
        partition: clauses.partition,
        split: clauses.split.unwrap_or(Split::Random(HELD_OUT_DEFAULT)),
        experiment: clauses.experiment,
        alias: clauses.alias,
        seed: clauses.seed,
        query,
    })))
}

#[derive(Default)]
struct Clauses {
    using: Option<(String, Vec<(String, Value)>)>,
    target: Option<String>,
    partition: Option<Partition>,
    split: Option<Split>,
    experiment: Option<String>,
    alias: Option<String>,
    seed: Option<u64>,
}

impl Clauses {
    fn parse_one(&mut self, cursor: &mut Cursor<'_>) -> Result<()> {
        let Some(word) = cursor.peek_word() else {
            return Err(cursor.expected("a clause of `TRAIN MODEL` or `AS query`").with_hint(FORM));
        };
        match word.as_str() {
            "USING" => once(cursor, "USING", &mut self.using, using),
            "TARGET" => once(cursor, "TARGET", &mut self.target, |c| c.name("a target column")),
            "SPLIT" => once(cursor, "SPLIT", &mut self.split, split),
            "EXPERIMENT" => once(cursor, "EXPERIMENT", &mut self.experiment, |c| c.name_or_string("an experiment")),
            "ALIAS" => once(cursor, "ALIAS", &mut self.alias, |c| {
                let alias = c.name_or_string("an alias")?;
                check_alias(&alias)?;
                Ok(alias)
            }),
            "SEED" => once(cursor, "SEED", &mut self.seed, seed),
            "FEATURES" | "TUNE" => Err(later(&word)),
            "PARTITION" => once(cursor, "PARTITION", &mut self.partition, partition::clause),
            _ => Err(cursor.expected("a clause of `TRAIN MODEL` or `AS query`").with_hint(FORM)),
        }
    }
}

fn once<T>(
    cursor: &mut Cursor<'_>,
    clause: &str,
    slot: &mut Option<T>,
    parse: impl FnOnce(&mut Cursor<'_>) -> Result<T>,
) -> Result<()> {
    cursor.words(&[clause]);
    match slot {
        Some(_) => Err(Error::input(format!("expected `{clause}` once, found it twice"))),
        None => {
            *slot = Some(parse(cursor)?);
            Ok(())
        }
    }
}

fn later(clause: &str) -> Error {
    Error::unsupported(format!("the clause `{clause}` of `TRAIN MODEL` is not supported yet"))
}

/// `algorithm [(name = literal, …)]`.
fn using(cursor: &mut Cursor<'_>) -> Result<(String, Vec<(String, Value)>)> {
    let algorithm = cursor.name("an algorithm")?;
    let mut parameters: Vec<(String, Value)> = Vec::new();
    if !cursor.token(&Token::LParen) {
        return Ok((algorithm, parameters));
    }
    while !cursor.token(&Token::RParen) {
        if !parameters.is_empty() {
            cursor.expect_token(&Token::Comma)?;
        }
        let name = cursor.name("a parameter")?;
        cursor.expect_token(&Token::Eq)?;
        let value = value_of(&name, cursor.literal(&format!("a literal for the parameter `{name}`"))?)?;
        if parameters.iter().any(|(known, _)| *known == name) {
            return Err(Error::input(format!("expected the parameter `{name}` once, found it twice")));
        }
        parameters.push((name, value));
    }
    Ok((algorithm, parameters))
}

fn value_of(name: &str, literal: SqlValue) -> Result<Value> {
    let refused = |found: &dyn std::fmt::Display| {
        Error::input(format!(
            "expected a number, text, TRUE, FALSE or NULL for the parameter `{name}`, found `{found}`"
        ))
    };
    match &literal {
        SqlValue::Boolean(value) => Ok(Value::Boolean(*value)),
        SqlValue::Null => Ok(Value::Null),
        SqlValue::SingleQuotedString(text) => Ok(Value::Text(text.clone())),
        SqlValue::Number(digits, _) => match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(integer), _) => Ok(Value::Integer(integer)),
            (_, Ok(double)) if double.is_finite() => Ok(Value::Double(double)),
            _ => Err(refused(digits)),
        },
        other => Err(refused(other)),
    }
}

/// `RANDOM f`, `BY TIME column f`, `ON column`, `NONE`.
fn split(cursor: &mut Cursor<'_>) -> Result<Split> {
    if cursor.words(&["NONE"]) {
        return Ok(Split::None);
    }
    if cursor.words(&["RANDOM"]) {
        return Ok(Split::Random(share(cursor)?));
    }
    if cursor.words(&["BY", "TIME"]) {
        let column = cursor.name("a time column")?;
        return Ok(Split::Time { column, held_out: share(cursor)? });
    }
    if cursor.words(&["ON"]) {
        return Ok(Split::Column(cursor.name("a boolean column")?));
    }
    Err(cursor.expected("`RANDOM f`, `BY TIME column f`, `ON column` or `NONE` after `SPLIT`"))
}

/// A held-out share; `0.2` where none is written.
fn share(cursor: &mut Cursor<'_>) -> Result<f64> {
    let Token::Number(digits, _) = cursor.parser.peek_token().token else {
        return Ok(HELD_OUT_DEFAULT);
    };
    match digits.parse::<f64>() {
        Ok(share) if (0.0..1.0).contains(&share) => {
            cursor.parser.next_token();
            Ok(share)
        }
        _ => Err(cursor.expected("a held-out share from 0 to below 1")),
    }
}

fn seed(cursor: &mut Cursor<'_>) -> Result<u64> {
    let seed = cursor.unsigned("a seed from 0 to 9223372036854775807")?;
    match i64::try_from(seed) {
        Ok(_) => Ok(seed),
        Err(_) => Err(Error::input(format!("expected a seed from 0 to {}, found `{seed}`", i64::MAX))),
    }
}
