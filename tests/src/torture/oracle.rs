//! The oracle: a table kept in memory, on which the statements are done in the order of the log.
//!
//! Every version of the log must be one statement that was asked for, once, whole, with the count that was answered; every
//! statement that was answered and changed something must be a version; none that was refused may be one. A statement
//! without an answer may be there or not: it is known by its id where it came that far, by the new ids of its rows, or by
//! what the version has, which is what the table had before and that statement done to it. It reads no table itself.

use std::collections::BTreeMap;

use serde_json::Value;

use super::op::{Op, Rows};
use super::session::{Asked, Reply};
use crate::rival::Rival;
use crate::{Context, Outcome, ensure, fail};

/// One table.
#[derive(Debug)]
pub struct Oracle {
    /// Its name.
    pub name: &'static str,
    /// Its directory.
    pub log: Rival,
    /// Its rows at each version.
    pub versions: Vec<Rows>,
    /// Statements by how they are named, that are in no version yet.
    asked: BTreeMap<String, Asked>,
    tally: Tally,
}

/// How many statements ended how.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Versions, by the kind of statement.
    pub versions: BTreeMap<String, u64>,
    /// Answered, and nothing to do.
    pub nothing: u64,
    /// Refused for a conflict.
    pub refused: u64,
    /// Without an answer, and in the log.
    pub landed: u64,
    /// Without an answer, and not in the log.
    pub lost: u64,
}

impl Tally {
    /// Adds another table's.
    pub fn add(&mut self, other: &Tally) {
        for (kind, count) in &other.versions {
            *self.versions.entry(kind.clone()).or_default() += count;
        }
        self.nothing += other.nothing;
        self.refused += other.refused;
        self.landed += other.landed;
        self.lost += other.lost;
    }
}

/// Whether a commit is the server's own, which puts rows into other files and changes none.
fn is_care(commit: &[Value]) -> bool {
    let of_nobody =
        |action: &Value| action["commitInfo"]["operation"] == "OPTIMIZE" && action["commitInfo"]["queryId"].is_null();
    let moves = |action: &Value| {
        ["add", "remove"].iter().all(|kind| action[kind].is_null() || action[kind]["dataChange"] == false)
    };
    commit.iter().any(of_nobody) && commit.iter().all(moves)
}

/// The first word of a statement's name.
fn kind(op: &Op) -> String {
    let text = format!("{op:?}");
    text.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_string()
}

impl Oracle {
    /// A table as it is before the writers begin.
    pub fn new(name: &'static str, log: Rival, versions: Vec<Rows>) -> Self {
        Oracle { name, log, versions, asked: BTreeMap::new(), tally: Tally::default() }
    }

    /// What it has seen so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The rows as of the last version.
    pub fn rows(&self) -> Outcome<&Rows> {
        self.versions.last().context("no version")
    }

    /// A statement that was sent to this table.
    pub fn asked(&mut self, asked: Asked) -> Outcome {
        let query_id = match &asked.reply {
            Reply::Done(answer) => answer.query_id.clone(),
            Reply::Refused { conflict: false, status, .. } => {
                return Err(fail(format!("`{}` of {:?}: {status}", self.name, asked.op)));
            }
            Reply::Refused { query_id, .. } => Some(query_id.clone()),
            Reply::None(_) => None,
        };
        let name = query_id.unwrap_or_else(|| format!("unnamed {}", self.asked.len() + self.versions.len() * 1000));
        let twice = self.asked.insert(name, asked);
        ensure(twice.is_none(), || format!("two statements have one id: {twice:?}"))
    }

    /// Does to the model what the log has; `rows_at` reads a version of the table.
    pub async fn follow<Reading>(&mut self, mut rows_at: impl FnMut(u64) -> Reading) -> Outcome
    where
        Reading: Future<Output = Outcome<Rows>>,
    {
        let commits = self.log.commits()?;
        for (version, commit) in (0..).zip(&commits).skip(self.versions.len()) {
            let what = format!("version {version} of `{}`", self.name);
            if is_care(commit) {
                let rows = self.rows()?.clone();
                *self.tally.versions.entry("Care".into()).or_default() += 1;
                self.versions.push(rows);
                continue;
            }
            let asked = match self.named(commit) {
                Some(asked) => asked,
                None => {
                    let found = rows_at(version).await.context(&what)?;
                    self.without_answer(&found).context(format!("{what} is of no statement, or of one done before"))?
                }
            };
            self.land(version, asked).context(what)?;
        }
        self.end_round()
    }

    /// The statement that a commit names, by its id or by the ids of the rows that it brings.
    fn named(&mut self, commit: &[Value]) -> Option<Asked> {
        let id = commit.iter().find_map(|action| action["commitInfo"]["queryId"].as_str())?;
        if let Some(asked) = self.asked.remove(id) {
            return Some(asked);
        }
        let stats = commit.iter().find_map(|action| action["add"]["stats"].as_str())?;
        let least = serde_json::from_str::<Value>(stats).ok()?["minValues"]["id"].as_i64()?;
        let brings = |asked: &Asked| match &asked.op {
            Op::Ingest(rows) => rows.contains_key(&least) && !matches!(asked.reply, Reply::Refused { .. }),
            _ => false,
        };
        let name = self.asked.iter().find(|(_, asked)| brings(asked)).map(|(name, _)| name.clone())?;
        self.asked.remove(&name)
    }

    /// A statement without an answer that gives these rows.
    fn without_answer(&mut self, found: &Rows) -> Option<Asked> {
        let gives = |asked: &Asked| {
            matches!(asked.reply, Reply::None(_))
                && asked.op.apply(&self.versions).is_some_and(|(rows, _)| rows == *found)
        };
        let name = self.asked.iter().find(|(_, asked)| gives(asked)).map(|(name, _)| name.clone())?;
        self.asked.remove(&name)
    }

    fn land(&mut self, version: u64, asked: Asked) -> Outcome {
        let op = &asked.op;
        let (rows, expected) = op.apply(&self.versions).context(format!("{op:?} makes no sense"))?;
        match &asked.reply {
            Reply::Done(answer) => {
                ensure(op.answers_rows() || answer.changed == expected, || {
                    format!("{op:?}: expected {expected} rows, found {}", answer.changed)
                })?;
                ensure(answer.version.is_none_or(|said| said == version), || format!("{op:?} said {answer:?}"))?;
            }
            Reply::Refused { status, .. } => return Err(fail(format!("{op:?} was refused: {status}"))),
            Reply::None(_) => self.tally.landed += 1,
        }
        *self.tally.versions.entry(kind(op)).or_default() += 1;
        self.versions.push(rows);
        Ok(())
    }

    /// What is in no version by now is to be in none.
    fn end_round(&mut self) -> Outcome {
        for (_, asked) in std::mem::take(&mut self.asked) {
            match &asked.reply {
                Reply::Done(answer) if answer.changed > 0 => {
                    return Err(fail(format!(
                        "`{}`: {:?} was answered with {answer:?} and is in no version",
                        self.name, asked.op
                    )));
                }
                Reply::Done(_) => self.tally.nothing += 1,
                Reply::Refused { .. } => self.tally.refused += 1,
                Reply::None(_) => self.tally.lost += 1,
            }
        }
        Ok(())
    }
}
