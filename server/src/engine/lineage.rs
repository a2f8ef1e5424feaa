//! Lineage of what a statement writes: which models take part, what they were given, where it went.
//!
//! The statement's commit carries it, and the registry gets it once the commit has landed. A statement without a model in
//! it is left alone. It knows nothing of how rows are written.

use std::collections::BTreeSet;
use std::sync::Arc;

use limn_sql_udfs::model::reference::ModelRef;
use serde_json::json;

use super::catalog::TableRead;
use super::context::StatementContext;
use super::live_tables;
use super::open::Inner;
use crate::Result;
use crate::lake::{At, CommitNotes, TableName, is_temporary};
use crate::registry::{Prediction, TableAt, UsedModel};

/// The keys of a commit's `commitInfo`; each has a JSON text.
const MODELS: &str = "limn.models";
const SOURCES: &str = "limn.sources";

/// A statement that may write what models predicted, from its plan to its commit.
pub(super) struct Writing {
    inner: Arc<Inner>,
    prediction: Option<Prediction>,
}

impl Writing {
    /// The lineage of a planned statement that has read `reads` and is going to write to `target`. Notes it in the commit
    /// that is to come, and on disk.
    pub(super) async fn begin(
        inner: &Arc<Inner>,
        ctx: &StatementContext,
        reads: Vec<TableRead>,
        target: &TableName,
        notes: &mut CommitNotes,
    ) -> Result<Self> {
        let models = used_models(inner, ctx)?;
        if models.is_empty() {
            return Ok(Writing { inner: Arc::clone(inner), prediction: None });
        }
        let lasting = |read: &TableRead| !is_temporary(&read.id) && !live_tables::is_live(&read.name);
        let sources = reads.into_iter().filter(lasting).map(|read| TableAt {
            schema: read.name.schema,
            name: read.name.table,
            id: read.id,
            version: read.version,
        });
        let before = match inner.lake.find(target) {
            Some(relation) => Some(inner.lake.snapshot(&relation, At::Latest).await?.version),
            None => None,
        };
        let prediction = Prediction {
            query_id: ctx.query_id.clone(),
            user_name: ctx.principal.0.clone(),
            models,
            sources: sources.collect(),
            target_schema: target.schema.clone(),
            target_name: target.table.clone(),
            before,
        };
        notes.info.insert(MODELS.into(), json!(prediction.models).to_string());
        notes.info.insert(SOURCES.into(), json!(prediction.sources).to_string());
        inner.pending.begin(&prediction).await?;
        Ok(Writing { inner: Arc::clone(inner), prediction: Some(prediction) })
    }

    /// The statement has ended: `version` is what it made of the table, if it made one.
    pub(super) async fn end(self, version: Option<u64>) {
        let Some(prediction) = self.prediction else { return };
        let name = TableName { schema: prediction.target_schema.clone(), table: prediction.target_name.clone() };
        let target = version.and_then(|version| Some((version, self.inner.lake.find(&name)?)));
        match target {
            Some((version, relation)) => {
                let (schema, name) = (name.schema, name.table);
                let target = TableAt { schema, name, id: relation.id.clone(), version };
                self.inner.pending.committed(&self.inner.registry, &prediction, &target).await;
            }
            None => self.inner.pending.forget(&prediction.query_id).await,
        }
    }
}

/// The models that a planned statement has resolved, each version once.
fn used_models(inner: &Inner, ctx: &StatementContext) -> Result<Vec<UsedModel>> {
    let (_, models) = ctx.snapshots.to_lists();
    let mut versions: BTreeSet<(String, u64)> = BTreeSet::new();
    for (reference, version) in models {
        versions.insert((ModelRef::parse(&reference)?.name, version));
    }
    let index = inner.registry.index();
    let used = versions.into_iter().map(|(model, version)| {
        let artifact_sha256 = index.known_version(&model, version)?.artifact_sha256.clone();
        Ok(UsedModel { model, version, artifact_sha256 })
    });
    used.collect()
}
