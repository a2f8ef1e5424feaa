//! `REPRODUCE MODEL`: the training behind a version once more, on the very table versions that it read.
//!
//! The statement, its parameters and what its names meant come from the run. A table is found by its id, so that one which
//! was dropped and created again is noticed. Data that are gone are an answer, not an error. It knows nothing of
//! algorithms, and registers nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use limn_sql_udfs::model::reference::ModelRef;
use serde_json::{Value, json};

use super::catalog::Scope;
use super::context::{Snapshots, StatementContext};
use super::open::Inner;
use super::recorded::{self, SessionNote};
use super::session::Session;
use super::{Answer, DEFAULT_SCHEMA, SYSTEM_SCHEMA, output, refresh, train};
use crate::lake::TableName;
use crate::lake::types::wire_schema;
use crate::registry::{Input, ModelVersion, Run};
use crate::sql::{Statement, parse};
use crate::training::{self, Again, Job, Read, RowCounts};
use crate::{Class, Error, Result};

/// The columns of the one row that `REPRODUCE MODEL` answers.
pub(super) fn result_schema() -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, true);
    let number = |name: &str| Field::new(name, DataType::Int64, true);
    wire_schema(&Schema::new(vec![
        text("model"),
        number("version"),
        Field::new("reproduced", DataType::Boolean, true),
        text("expected_sha256"),
        text("artifact_sha256"),
        text("differences"),
        number("rows"),
        number("train_ms"),
    ]))
}

/// Runs `REPRODUCE MODEL`; the answer is its one row.
pub(super) async fn run(scope: Scope, model: &ModelRef) -> Result<Answer> {
    let recorded = Recorded::of(&scope.inner, model)?;
    let mut differences = training::environment_differences(&recorded.run);
    let gone = scope.ctx.run(recorded.gone(&scope)).await?;
    let again = match gone.is_empty() {
        true => again(&scope, &recorded).await?,
        false => Err(gone),
    };
    let again = match again {
        Ok(again) => {
            differences.extend(training::outcome_differences(&recorded.version.artifact_sha256, recorded.rows, &again));
            Some(again)
        }
        Err(reasons) => {
            differences.extend(reasons);
            None
        }
    };
    let row = answer(&recorded.version, again.as_ref(), differences)?;
    Ok(output::finished(row, Some(1)))
}

/// Trains again; what stands in the way of it, where something does.
async fn again(scope: &Scope, recorded: &Recorded) -> Result<Result<Again, Vec<Value>>> {
    let ctx = recorded.context(&scope.ctx);
    let trained = async {
        let scope = Scope::new(&scope.inner, &ctx);
        let job = match parse(&recorded.statement)? {
            Statement::Train(mut statement) => {
                statement.seed = recorded.run.seed.and_then(|seed| u64::try_from(seed).ok()).or(statement.seed);
                train::job(scope.clone(), &statement, &recorded.statement, &recorded.parameters()?).await?
            }
            Statement::Refresh(_) => recorded.refresh(&scope).await?,
            _ => {
                let run_id = &recorded.run.run_id;
                return Err(Error::internal(format!("the run `{run_id}` did not come from `TRAIN MODEL`")));
            }
        };
        let other = recorded.other_reads(&job.reads);
        if !other.is_empty() {
            return Ok(Err(other));
        }
        let of = (recorded.version.name.as_str(), recorded.version.version);
        training::reproduce(&scope.inner.registry, job, of).await.map(Ok)
    };
    match trained.await {
        // What worked the first time and is refused now is a difference as any other.
        Err(error) if matches!(error.class(), Class::Input | Class::NotFound | Class::Unsupported) => {
            Ok(Err(vec![json!({"what": "statement", "message": error.message()})]))
        }
        other => other,
    }
}

/// What the registry knows of the training behind a version.
struct Recorded {
    version: ModelVersion,
    run: Run,
    statement: String,
    inputs: Vec<Input>,
    params: Vec<(String, String)>,
    session: SessionNote,
    rows: RowCounts,
}

impl Recorded {
    fn of(inner: &Inner, model: &ModelRef) -> Result<Self> {
        let index = inner.registry.index();
        let version = index.resolve(model)?.clone();
        let shown = format!("{}/{}", version.name, version.version);
        let Some(run) = version.run_id.as_deref().and_then(|run_id| index.run(run_id)).cloned() else {
            return Err(Error::unsupported(format!("model `{shown}` has no run of Limn to repeat: it was imported")));
        };
        let Some(statement) = run.statement.clone() else {
            return Err(Error::unsupported(format!("model `{shown}` cannot be reproduced: its run has no statement")));
        };
        let params: Vec<(String, String)> =
            index.params(&run.run_id).map(|param| (param.key.clone(), param.value.clone())).collect();
        let count = |key: &str| params.iter().find(|(known, _)| known == key)?.1.parse().ok();
        let rows = RowCounts { train: version.rows, held_out: count("rows_held_out"), dropped: count("rows_dropped") };
        let session = match &run.session {
            Some(text) => SessionNote::from_text(text)?,
            // What runs of the first format had no place for.
            None => SessionNote {
                catalog: super::CATALOG.into(),
                schema: DEFAULT_SCHEMA.into(),
                timezone: "UTC".into(),
                views: Vec::new(),
                models: Vec::new(),
            },
        };
        let inputs = index.inputs(&run.run_id).cloned().collect();
        Ok(Recorded { version, statement, inputs, params, session, rows, run })
    }

    /// The training of the groups that had changed when the model was refreshed.
    async fn refresh(&self, scope: &Scope) -> Result<Job> {
        let table = self.inputs.first().map_or("", |input| input.table_id.as_str());
        let base = refresh::Base::of_run(&self.run, &self.params, table)?;
        let job = refresh::job(scope.clone(), base, &self.statement).await?;
        job.ok_or_else(|| Error::internal(format!("the run `{}` refreshed nothing", self.run.run_id)))
    }

    fn parameters(&self) -> Result<Vec<datafusion::scalar::ScalarValue>> {
        match &self.run.parameters {
            Some(text) => recorded::from_text(text),
            None => Ok(recorded::from_shown(self.params.iter().map(|(key, value)| (key.as_str(), value.as_str())))),
        }
    }

    /// The statement's own context in a session like the run's, with every table and model at its version.
    fn context(&self, ctx: &StatementContext) -> StatementContext {
        let session = Session::new();
        session.set_schema(&self.session.schema);
        let mut tables: BTreeMap<String, u64> = BTreeMap::new();
        for input in &self.inputs {
            let id = if input.table_schema == SYSTEM_SCHEMA { SYSTEM_SCHEMA } else { &input.table_id };
            // A table that was read at its latest version and at others by clauses: the clauses still say which.
            let version = tables.entry(id.to_string()).or_default();
            *version = input.version.max(*version);
        }
        let snapshots = Snapshots::from_lists(tables.into_iter().collect(), self.session.models.clone());
        StatementContext { session: Arc::new(session), snapshots, ..ctx.clone() }
    }

    /// What of the data is not there any more.
    async fn gone(&self, scope: &Scope) -> Result<Vec<Value>> {
        let lake = &scope.inner.lake;
        let mut gone = Vec::new();
        for (schema, table, id) in &self.session.views {
            let name = TableName { schema: schema.clone(), table: table.clone() };
            let message = match lake.find(&name) {
                Some(found) if found.id == *id => continue,
                Some(_) => format!("the view `{name}` was replaced"),
                None => format!("the view `{name}` was dropped"),
            };
            gone.push(json!({"what": "view", "view": name.to_string(), "message": message}));
        }
        for input in self.inputs.iter().filter(|input| input.table_schema != SYSTEM_SCHEMA) {
            let name = TableName { schema: input.table_schema.clone(), table: input.table_name.clone() };
            let message = match lake.find(&name) {
                Some(found) if found.id == input.table_id => lake.gone(&found, input.version).await?,
                Some(_) => Some(format!("`{name}` was dropped, and is another table now")),
                None => Some(format!("`{name}` was dropped")),
            };
            if let Some(message) = message {
                gone.push(json!({"what": "data", "table": name.to_string(), "table_id": input.table_id,
                    "version": input.version, "message": message}));
            }
        }
        Ok(gone)
    }

    /// What the query reads now and did not then, or the other way round.
    fn other_reads(&self, reads: &[Read]) -> Vec<Value> {
        let then: BTreeSet<(&str, u64)> = self.inputs.iter().map(|i| (i.table_id.as_str(), i.version)).collect();
        let now: BTreeSet<(&str, u64)> = reads.iter().map(|read| (read.id.as_str(), read.version)).collect();
        let only_then = self.inputs.iter().filter(|i| !now.contains(&(i.table_id.as_str(), i.version)));
        let only_now = reads.iter().filter(|read| !then.contains(&(read.id.as_str(), read.version)));
        let told = |schema: &str, table: &str, version: u64, message: &str| {
            let table = format!("{schema}.{table}");
            json!({"what": "data", "table": table, "version": version, "message": message})
        };
        let only_then =
            only_then.map(|i| told(&i.table_schema, &i.table_name, i.version, "the query does not read it any more"));
        let only_now = only_now.map(|r| told(&r.schema, &r.table, r.version, "the query did not read it then"));
        only_then.chain(only_now).collect()
    }
}

fn answer(version: &ModelVersion, again: Option<&Again>, differences: Vec<Value>) -> Result<RecordBatch> {
    let text = |value: Option<&str>| Arc::new(StringArray::from(vec![value]));
    let number = |value: Option<u64>| Arc::new(Int64Array::from(vec![value.and_then(|v| i64::try_from(v).ok())]));
    let found = again.map(|again| again.artifact_sha256.as_str());
    let reproduced = found == Some(version.artifact_sha256.as_str());
    Ok(RecordBatch::try_new(
        result_schema(),
        vec![
            text(Some(&version.name)),
            number(Some(version.version)),
            Arc::new(BooleanArray::from(vec![reproduced])),
            text(Some(&version.artifact_sha256)),
            text(found),
            text(Some(&Value::Array(differences).to_string())),
            number(again.map(|again| again.rows.train)),
            number(again.map(|again| again.train_ms)),
        ],
    )?)
}
