//! `ALTER MODEL … SET|UNSET ALIAS` and `DROP MODEL`.
//!
//! Each is one transaction of the registry: it checks against the current rows and writes under the same lock.

use super::open::Inner;
use super::{Answer, output};
use crate::Result;
use crate::registry::{ModelAlias, Row};
use crate::sql::model::{AlterModel, ModelTarget};

/// Sets, moves or unsets an alias.
pub(super) async fn alter(inner: &Inner, alter: AlterModel) -> Result<Answer> {
    let AlterModel { model, alias, version } = alter;
    inner
        .registry
        .transact(move |index| {
            index.known_model(&model)?;
            let row = match version {
                Some(version) => {
                    index.known_version(&model, version)?;
                    Row::ModelAlias(ModelAlias { name: model.clone(), alias: alias.clone(), version })
                }
                None => {
                    if index.model_alias(&model, &alias).is_none() {
                        return Err(index.unknown_alias(&model, &alias));
                    }
                    Row::UnsetAlias { name: model.clone(), alias: alias.clone() }
                }
            };
            Ok((vec![row], ()))
        })
        .await?;
    output::done()
}

/// Drops a model with all its versions and aliases, or one version.
pub(super) async fn drop(inner: &Inner, target: ModelTarget, if_exists: bool) -> Result<Answer> {
    inner
        .registry
        .transact(move |index| {
            if if_exists && index.model(&target.model).is_none() {
                return Ok((Vec::new(), ()));
            }
            let rows = match target.version {
                Some(version) => index.drop_model_version(&target.model, version)?,
                None => index.drop_model(&target.model)?,
            };
            Ok((rows, ()))
        })
        .await?;
    output::done()
}
