//! From a model reference in a query to an evaluator: resolve once per statement, load once per artifact.
//!
//! It knows nothing of SQL text or of how models are trained.

use std::sync::Arc;

use datafusion::catalog::{MemTable, TableProvider};
use limn_sql_udfs::functions::predict::BoundModel;
use limn_sql_udfs::model::evaluator::{self, Evaluator};
use limn_sql_udfs::model::partition::{self, PartitionedModel};
use limn_sql_udfs::model::reference::{ModelRef, Selector};

use super::catalog::Scope;
use super::context::StatementContext;
use super::open::Inner;
use crate::sql::scan::{Contents, ContentsCall};
use crate::{Error, Result};

/// What `reference` means in this statement, loaded and ready to score.
pub(super) async fn bind(inner: &Inner, ctx: &StatementContext, reference: &str) -> Result<Arc<BoundModel>> {
    let parsed = ModelRef::parse(reference)?;
    // A statement, and a ticket that carries its snapshots, sees one version even if the alias moves meanwhile.
    let wanted = match ctx.snapshots.model(reference) {
        Some(version) => ModelRef { name: parsed.name, selector: Selector::Version(version) },
        None => parsed,
    };
    let (name, version, sha256) = {
        let index = inner.registry.index();
        let found = index.resolve(&wanted)?;
        (found.name.clone(), found.version, found.artifact_sha256.clone())
    };
    ctx.snapshots.fix_model(reference, version);
    let evaluator = load(inner, &sha256).await.map_err(|error| error.context(format!("model `{name}/{version}`")))?;
    Ok(Arc::new(BoundModel { name, version, sha256, evaluator }))
}

/// The parts of a partitioned model's artifact by their hashes; none of any other model's.
pub(super) async fn parts(inner: &Inner, artifact: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut parts = Vec::new();
    if partition::is_partitioned(artifact) {
        for sha256 in partition::parts(artifact)? {
            let bytes = inner.registry.artifact(&sha256).await?;
            parts.push((sha256, bytes));
        }
    }
    Ok(parts)
}

/// The table that a model is read as.
pub(super) async fn contents(scope: &Scope, call: &ContentsCall) -> Result<Arc<dyn TableProvider>> {
    let model = bind(&scope.inner, &scope.ctx, &call.reference).await?;
    let (rows, what) = match call.contents {
        Contents::Coefficients => (model.evaluator.coefficients()?, "coefficients"),
        Contents::Trees => (model.evaluator.trees()?, "trees"),
    };
    let shown = format!("{}/{}", model.name, model.version);
    let rows = rows.ok_or_else(|| Error::unsupported(format!("model `{shown}` has no {what}")))?;
    Ok(Arc::new(MemTable::try_new(rows.schema(), vec![vec![rows]])?))
}

async fn load(inner: &Inner, sha256: &str) -> Result<Arc<dyn Evaluator>> {
    if let Some(evaluator) = inner.models.find(sha256) {
        return Ok(evaluator);
    }
    let artifact = inner.registry.artifact(sha256).await?;
    let parts = parts(inner, &artifact).await?;
    // What a kernel holds is about what its artifact holds; the groups of a partitioned model have a bound of their own.
    let bytes = artifact.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>();
    let load = move || -> limn_sql_udfs::Result<Arc<dyn Evaluator>> {
        match partition::is_partitioned(&artifact) {
            true => Ok(Arc::new(PartitionedModel::load(&artifact, &parts)?)),
            false => evaluator::load(&artifact),
        }
    };
    let evaluator = match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => loaded?,
        Err(error) => return Err(Error::internal(format!("loading a model failed: {error}"))),
    };
    inner.models.keep(sha256, &evaluator, bytes);
    Ok(evaluator)
}
