//! What SQL does to the catalog itself: schemas and views come and go, tables go.
//!
//! The files of a dropped table are removed behind the statement, after the writers that had begun, and only where
//! nothing pins a version of them. What a table's content is, this file does not know.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::Utc;
use uuid::Uuid;

use super::catalog::Names;
use super::open::Lake;
use super::{OnExisting, Relation, RelationKind, TableName};
use crate::error::{nearest, unknown};
use crate::limits::NAME_BYTES_MAX;
use crate::{Error, Result};

/// Schemas that no statement creates or drops: Limn's own.
const RESERVED: [&str; 2] = ["system", "information_schema"];

/// An id that no other relation ever has.
pub fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// Whether a directory's name can be the id of a table.
pub fn is_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Refuses names that nobody could type, print or store.
pub fn check_name(kind: &str, name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Error::input(format!("the name of a {kind} is empty")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::input(format!("the name of {kind} {name:?} has a control character")));
    }
    if name.len() > NAME_BYTES_MAX {
        let found = name.len();
        return Err(Error::input(format!(
            "the name of a {kind} is too long: expected at most {NAME_BYTES_MAX} bytes, found {found}"
        )));
    }
    Ok(())
}

fn refuse_reserved(schema: &str) -> Result<()> {
    match RESERVED.contains(&schema) {
        true => Err(Error::input(format!("schema `{schema}` is Limn's own"))),
        false => Ok(()),
    }
}

impl Names {
    /// The relations of a schema, or an error that offers the nearest.
    pub fn schema(&self, schema: &str) -> Result<&BTreeMap<String, Arc<Relation>>> {
        refuse_reserved(schema)?;
        let known = || self.schemas.keys().map(String::as_str);
        self.schemas.get(schema).ok_or_else(|| unknown("schema", schema, known()))
    }

    /// The relation of that name.
    pub fn find(&self, name: &TableName) -> Option<&Arc<Relation>> {
        self.schemas.get(&name.schema)?.get(&name.table)
    }

    /// The relation of that name, or an error that calls it a `kind` and offers the nearest.
    pub fn relation_of(&self, kind: &str, name: &TableName) -> Result<&Arc<Relation>> {
        let relations = self.schema(&name.schema)?;
        relations.get(&name.table).ok_or_else(|| self.unknown_relation(kind, name))
    }

    fn unknown_relation(&self, kind: &str, name: &TableName) -> Error {
        let own = self.schemas.get_key_value(&name.schema);
        let others = self.schemas.iter().filter(|(schema, _)| **schema != name.schema);
        // Names are compared without their schemas, whose likeness says nothing; the own schema's come first.
        let near = own.into_iter().chain(others).find_map(|(schema, relations)| {
            let table = nearest(&name.table, relations.keys().map(String::as_str))?;
            Some(format!(", the nearest is `{schema}.{table}`"))
        });
        Error::not_found(format!("unknown {kind} `{name}`{}", near.unwrap_or_default()))
    }

    /// An error where a table of the catalog lies in a directory already: two would not know of each other's writers.
    pub fn not_placed(&self, location: &Path) -> Result<()> {
        let mut all = self.schemas.values().flat_map(BTreeMap::values);
        match all.find(|relation| relation.location.as_deref() == Some(location)) {
            Some(known) => {
                Err(Error::already_exists(format!("`{}` is the table `{}` already", location.display(), known.name)))
            }
            None => Ok(()),
        }
    }

    /// Gives a relation its name; the schema exists.
    pub fn link(&mut self, relation: Arc<Relation>) {
        let schema = self.schemas.entry(relation.name.schema.clone()).or_default();
        schema.insert(relation.name.table.clone(), relation);
    }
}

/// The error for a name that is taken.
pub fn taken(relation: &Relation) -> Error {
    Error::already_exists(format!("{} `{}` already exists", relation.kind.word(), relation.name))
}

impl RelationKind {
    /// `table` or `view`.
    pub fn word(&self) -> &'static str {
        match self {
            RelationKind::Table => "table",
            RelationKind::View { .. } => "view",
        }
    }
}

/// What the statement that was used on a relation of the other kind should have been.
fn wrong_kind(relation: &Relation) -> Error {
    let (is, drop) = match &relation.kind {
        RelationKind::Table => ("a table", "DROP TABLE"),
        RelationKind::View { .. } => ("a view", "DROP VIEW"),
    };
    Error::input(format!("`{}` is {is}", relation.name)).with_hint(format!("use `{drop}`"))
}

impl Lake {
    /// The schemas, by name; `system` and `information_schema` are not the lake's.
    pub fn schemas(&self) -> Vec<String> {
        self.catalog().names().schemas.keys().cloned().collect()
    }

    /// All relations of a schema by name; `None` for an unknown schema.
    pub fn relations(&self, schema: &str) -> Option<Vec<Arc<Relation>>> {
        Some(self.catalog().names().schemas.get(schema)?.values().cloned().collect())
    }

    /// The relation of that name.
    pub fn find(&self, name: &TableName) -> Option<Arc<Relation>> {
        self.catalog().names().find(name).cloned()
    }

    /// The relation of that name, or an error that offers the nearest.
    pub fn relation(&self, name: &TableName) -> Result<Arc<Relation>> {
        self.catalog().names().relation_of("table", name).cloned()
    }

    /// Creates a schema; `false` where it was there and that is allowed.
    pub async fn create_schema(&self, name: &str, if_not_exists: bool) -> Result<bool> {
        check_name("schema", name)?;
        refuse_reserved(name)?;
        let created = self.catalog().change(|names| match names.schemas.contains_key(name) {
            true if if_not_exists => Ok(None),
            true => Err(Error::already_exists(format!("schema `{name}` already exists"))),
            false => {
                names.schemas.insert(name.to_string(), BTreeMap::new());
                Ok(Some(()))
            }
        });
        Ok(created.await?.is_some())
    }

    /// Drops a schema; with `cascade` all that is in it. `false` where it was not there and that is allowed.
    pub async fn drop_schema(&self, name: &str, if_exists: bool, cascade: bool) -> Result<bool> {
        refuse_reserved(name)?;
        if name == super::catalog::DEFAULT_SCHEMA {
            return Err(Error::input(format!("schema `{name}` is where sessions begin; it stays")));
        }
        let dropped = self.catalog().change(|names| {
            let count = match names.schema(name) {
                Ok(relations) => relations.len(),
                Err(_) if if_exists => return Ok(None),
                Err(error) => return Err(error),
            };
            if count > 0 && !cascade {
                let relations = if count == 1 { "relation" } else { "relations" };
                return Err(Error::input(format!("schema `{name}` has {count} {relations}"))
                    .with_hint("drop them first, or use `DROP SCHEMA … CASCADE`"));
            }
            Ok(names.schemas.remove(name))
        });
        let Some(relations) = dropped.await? else { return Ok(false) };
        for relation in relations.into_values() {
            self.discard(&relation);
        }
        Ok(true)
    }

    /// Stores a view; `false` where the name was taken and that is allowed.
    pub async fn create_view(&self, name: &TableName, sql: &str, on_existing: OnExisting) -> Result<bool> {
        check_name("view", &name.table)?;
        let relation = Arc::new(Relation {
            name: name.clone(),
            id: new_id(),
            kind: RelationKind::View { sql: sql.to_string() },
            created_at: Utc::now(),
            location: None,
        });
        let created = self.catalog().change(|names| {
            let existing = names.schema(&name.schema)?.get(&name.table);
            match (existing, on_existing) {
                (Some(_), OnExisting::Keep) => return Ok(None),
                (Some(existing), OnExisting::Fail) => return Err(taken(existing)),
                (Some(existing), OnExisting::Replace) if matches!(existing.kind, RelationKind::Table) => {
                    return Err(wrong_kind(existing));
                }
                _ => {}
            }
            names.link(relation.clone());
            Ok(Some(()))
        });
        Ok(created.await?.is_some())
    }

    /// Gives a table another name, or another schema. Whoever reads it goes on reading it.
    pub async fn rename(&self, relation: &Arc<Relation>, to: &TableName) -> Result<()> {
        check_name("table", &to.table)?;
        let renamed = Arc::new(Relation { name: to.clone(), ..relation.as_ref().clone() });
        let changed = self.catalog().change(|names| {
            if names.find(&relation.name).is_none_or(|found| found.id != relation.id) {
                return Err(Error::not_found(format!("table `{}` was dropped", relation.name)));
            }
            if let Some(existing) = names.schema(&to.schema)?.get(&to.table) {
                return Err(taken(existing));
            }
            if let Some(relations) = names.schemas.get_mut(&relation.name.schema) {
                relations.remove(&relation.name.table);
            }
            names.link(renamed.clone());
            Ok(Some(()))
        });
        changed.await.map(drop)
    }

    /// Drops a table (`view` = false) or a view. `false` where it was not there and that is allowed.
    pub async fn drop_relation(&self, name: &TableName, view: bool, if_exists: bool) -> Result<bool> {
        let dropped = self.catalog().change(|names| {
            let relation = match names.relation_of(if view { "view" } else { "table" }, name) {
                Ok(relation) => relation.clone(),
                Err(_) if if_exists => return Ok(None),
                Err(error) => return Err(error),
            };
            if matches!(relation.kind, RelationKind::View { .. }) != view {
                return Err(wrong_kind(&relation));
            }
            if let Some(relations) = names.schemas.get_mut(&name.schema) {
                relations.remove(&name.table);
            }
            Ok(Some(relation))
        });
        let dropped = dropped.await?;
        if let Some(relation) = &dropped {
            self.discard(relation);
        }
        Ok(dropped.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_nobody_can_type_are_refused() {
        for name in ["", "a\nb", "\u{0}", &"ä".repeat(NAME_BYTES_MAX)] {
            assert!(check_name("table", name).is_err(), "{name:?}");
        }
        check_name("table", "größe der Küche").unwrap();
    }

    #[test]
    fn only_ids_are_ids() {
        assert!(is_id(&new_id()));
        for name in ["", "..", "0123", &"g".repeat(32), &"A".repeat(32)] {
            assert!(!is_id(name), "{name:?}");
        }
    }

    #[test]
    fn an_unknown_table_is_told_with_the_nearest() {
        let mut names = Names::default();
        let name = TableName { schema: "main".into(), table: "readings".into() };
        let relation =
            Relation { name, id: new_id(), kind: RelationKind::Table, created_at: Utc::now(), location: None };
        names.link(Arc::new(relation));
        let wrong = TableName { schema: "main".into(), table: "reading".into() };
        let error = names.relation_of("table", &wrong).unwrap_err();
        assert_eq!(error.message(), "unknown table `main.reading`, the nearest is `main.readings`");
    }
}
