//! `CREATE TABLE … SHALLOW CLONE`: a table with the rows of another's version and a history of its own, without copying
//! a byte.
//!
//! The new table's directory gets a second name (a hard link) for each data file, and a first commit that names them.
//! So either table may be changed, vacuumed and dropped, and any reader of Delta finds every file where it looks.

use std::sync::Arc;

use chrono::Utc;
use deltalake_core::Path;
use deltalake_core::kernel::transaction::CommitBuilder;
use deltalake_core::kernel::{Action, Add, LogicalFileView, MetadataExt};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::table::state::DeltaTableState;
use serde_json::json;

use super::alter::refuse_mapping;
use super::open::{Creating, Lake};
use super::relations::{check_name, new_id, taken};
use super::table::Table;
use super::{At, CommitNotes, Relation, RelationKind, TableName, commit};
use crate::{Error, Result};

impl Lake {
    /// Makes a table like a version of another; `false` where the name was taken and that is allowed.
    pub async fn clone_table(
        &self,
        name: &TableName,
        source: &Arc<Relation>,
        at: At,
        if_not_exists: bool,
        notes: CommitNotes,
    ) -> Result<bool> {
        check_name("table", &name.table)?;
        if let RelationKind::View { .. } = source.kind {
            return Err(Error::input(format!("expected a table to clone, found the view `{}`", source.name)));
        }
        if source.location.is_some() {
            return Err(Error::unsupported(format!(
                "`{}` is not in the data directory, so it cannot be cloned",
                source.name
            ))
            .with_hint("CREATE TABLE … AS SELECT * FROM … copies it"));
        }
        let (lake, source, gate) = (self.clone(), source.clone(), notes.gate.clone());
        let relation = Arc::new(Relation {
            name: name.clone(),
            id: new_id(),
            kind: RelationKind::Table,
            created_at: Utc::now(),
            location: None,
        });
        commit::run(&gate, async move {
            lake.catalog().settled().await?;
            match lake.catalog().names().schema(&relation.name.schema)?.get(&relation.name.table) {
                Some(_) if if_not_exists => return Ok(false),
                Some(existing) => return Err(taken(existing)),
                None => {}
            }
            let version = lake.snapshot(&source, at).await?.version;
            let state = lake.table(&source)?.at(version).await?;
            refuse_mapping(&source, state.metadata(), "SHALLOW CLONE")?;
            let creating = Creating::new(&lake, relation.clone());
            lake.clone_into(&relation, &source, &state, &notes).await?;
            let linked =
                lake.catalog().change(|names| match names.schema(&relation.name.schema)?.get(&relation.name.table) {
                    Some(_) if if_not_exists => Ok(None),
                    Some(existing) => Err(taken(existing)),
                    None => {
                        names.link(relation.clone());
                        Ok(Some(()))
                    }
                });
            let created = linked.await?.is_some();
            if created {
                creating.done();
            }
            Ok(created)
        })
        .await
    }

    /// The files and the first commit.
    async fn clone_into(
        &self,
        relation: &Relation,
        source: &Relation,
        state: &DeltaTableState,
        notes: &CommitNotes,
    ) -> Result<()> {
        let (from, to) = (self.table(source)?, self.table(relation)?);
        // Nobody removes a file of the source meanwhile.
        let _beside = from.lane().shared().await;
        let mut adds = Vec::new();
        let files: Vec<LogicalFileView> = state.snapshot().log_data().iter().collect();
        for file in files {
            if file.deletion_vector_descriptor().is_some() {
                return Err(Error::unsupported(format!(
                    "`{}` has deletion vectors, so it cannot be cloned",
                    source.name
                ))
                .with_hint("OPTIMIZE writes its files anew without them"));
            }
            self.link(&file.object_store_path(), &from, &to).await?;
            adds.push(Action::Add(added(&file)));
        }
        let delta_id = uuid::Uuid::new_v4().to_string();
        let metadata = state.metadata().clone().with_table_id(delta_id).map_err(super::error::metadata)?;
        let metadata = metadata.with_name(relation.name.to_string()).map_err(super::error::metadata)?;
        let protocol = state.protocol().clone();
        let operation = DeltaOperation::Create {
            mode: SaveMode::ErrorIfExists,
            location: to.log_store().config().location().clone(),
            protocol: protocol.clone(),
            metadata: metadata.clone(),
        };
        let mut notes = notes.clone();
        notes.info.insert("cloneSource".into(), source.name.to_string());
        notes.info.insert("cloneSourceVersion".into(), state.version().to_string());
        let metrics = json!({ "numFiles": adds.len() });
        let actions = [Action::Protocol(protocol), Action::Metadata(metadata)].into_iter().chain(adds).collect();
        let guarded = to.guarded(&notes.gate, None);
        let commit = CommitBuilder::from(commit::properties(&notes, Some(metrics))).with_actions(actions).build(
            None,
            guarded.clone(),
            operation,
        );
        commit::outcome(&guarded, commit.await).map(drop)
    }

    async fn link(&self, file: &Path, from: &Table, to: &Table) -> Result<()> {
        let at = |table: &Table| -> Path { Path::from(table.path()).parts().chain(file.parts()).collect() };
        match self.store().hard_link(&at(from), &at(to)).await {
            // Two entries of a log may name one file.
            Ok(()) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(super::error::store(&error)),
        }
    }
}

/// A file of a version as a file of a new table.
fn added(file: &LogicalFileView) -> Add {
    Add {
        path: file.path().into_owned(),
        partition_values: file.partition_values_map(),
        size: file.size(),
        modification_time: file.modification_time(),
        data_change: true,
        stats: file.stats(),
        ..Default::default()
    }
}
