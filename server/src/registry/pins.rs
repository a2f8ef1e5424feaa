//! The table versions that registered models need, so that nothing cleans them up.
//!
//! A policy that ends: the aliased versions of each model and its last few. It reads the index and decides nothing
//! about files.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::index::Index;
use super::published::Published;
use super::rows::ModelVersion;
use crate::lake::Pins;
use crate::limits::PINNED_VERSIONS_PER_MODEL;

/// The pins that follow from the durable rows.
///
/// It holds these rows only: a lake that held the registry, which holds the lake, would never be released.
pub struct RegistryPins(pub(super) Arc<Published>);

impl Pins for RegistryPins {
    fn pinned(&self, table_id: &str) -> Vec<u64> {
        self.0.read().index.pinned(table_id)
    }

    fn pinned_by(&self, table_id: &str) -> Vec<(u64, String)> {
        self.0.read().index.pinned_by(table_id)
    }
}

impl Index {
    /// The pinned versions of a table, ascending.
    pub(super) fn pinned(&self, table_id: &str) -> Vec<u64> {
        let needed = self.models().flat_map(|model| self.kept_versions(&model.name));
        let runs = needed.filter_map(|version| version.run_id.as_deref());
        let inputs = runs.flat_map(|run_id| self.inputs(run_id));
        let versions: BTreeSet<u64> =
            inputs.filter(|input| input.table_id == table_id).map(|input| input.version).collect();
        versions.into_iter().collect()
    }

    /// The pinned versions of a table, with the model versions that were trained on them.
    fn pinned_by(&self, table_id: &str) -> Vec<(u64, String)> {
        let mut all = BTreeSet::new();
        for version in self.models().flat_map(|model| self.kept_versions(&model.name)) {
            let inputs = version.run_id.as_deref().into_iter().flat_map(|run_id| self.inputs(run_id));
            for input in inputs.filter(|input| input.table_id == table_id) {
                all.insert((input.version, version.name.clone(), version.version));
            }
        }
        all.into_iter().map(|(at, name, version)| (at, format!("model `{name}` version {version}"))).collect()
    }

    /// The versions of a model that must stay reproducible; one may come twice.
    fn kept_versions<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a ModelVersion> {
        let aliased = self.model_aliases(name).filter_map(|alias| self.model_version(name, alias.version));
        aliased.chain(self.model_versions(name).rev().take(PINNED_VERSIONS_PER_MODEL))
    }
}
