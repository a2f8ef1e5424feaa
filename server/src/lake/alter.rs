//! ALTER TABLE and COMMENT ON: a table's columns, properties, constraints and comments, one commit each.
//!
//! A commit carries the whole metadata of a table, so each change is computed from the version that it replaces, alone
//! in the table's lane. What existing rows must meet is read from them first. It rewrites no data file: a change that
//! would need one (a new type, a column's end without column mapping) is refused.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::datasource::provider_as_source;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Action, Metadata, MetadataExt, MetadataValue, StructField, StructType};
use deltalake_core::protocol::DeltaOperation;
use deltalake_core::table::Constraint;
use deltalake_core::table::state::DeltaTableState;
use futures::TryStreamExt;
use serde_json::Value;

use super::constraints::{self, Constraints};
use super::definition::COMMENT;
use super::exclusive::{Prepare, Rewrite};
use super::open::Lake;
use super::provider::TableVersion;
use super::relations::check_name;
use super::rows::Rows;
use super::table::Table;
use super::types::storage_schema;
use super::{CommitNotes, Relation, properties, protocol};
use crate::error::unknown;
use crate::{Error, Result};

/// A change of what a table is declared to be.
#[derive(Debug, Clone)]
pub enum Alteration {
    /// New columns behind the others, NULL in the rows that are there.
    AddColumns {
        /// The columns, with their comments in their metadata.
        columns: Vec<FieldRef>,
        /// Columns that are there already are left as they are.
        if_not_exists: bool,
    },
    /// Properties get values.
    SetProperties(BTreeMap<String, String>),
    /// Properties go.
    UnsetProperties {
        /// Which.
        keys: Vec<String>,
        /// Those that are not there are no error.
        if_exists: bool,
    },
    /// A condition that every row meets.
    AddConstraint {
        /// Its name.
        name: String,
        /// The condition's text.
        condition: String,
    },
    /// A condition that rows need not meet any more.
    DropConstraint {
        /// Its name.
        name: String,
        /// Where it is not there, that is no error.
        if_exists: bool,
    },
    /// Whether a column may be NULL.
    Nullable {
        /// The column.
        column: String,
        /// Whether it may.
        nullable: bool,
    },
    /// A column's comment.
    CommentColumn {
        /// The column.
        column: String,
        /// `None` takes it away.
        comment: Option<String>,
    },
    /// The table's comment.
    Comment(Option<String>),
}

impl Lake {
    /// Changes what a table is declared to be; answers its version then. A change of nothing makes no version.
    pub async fn alter(
        &self,
        relation: &Arc<Relation>,
        alteration: Alteration,
        state: &SessionState,
        notes: CommitNotes,
    ) -> Result<u64> {
        let alter = Alter { relation: relation.clone(), alteration, state: state.clone() };
        self.rewrite(relation, notes, alter).await
    }
}

struct Alter {
    relation: Arc<Relation>,
    alteration: Alteration,
    state: SessionState,
}

/// What a table is declared to be, on its way from one version to the next.
struct Declared {
    metadata: Metadata,
    columns: StructType,
}

#[async_trait]
impl Prepare for Alter {
    async fn prepare(&self, table: &Arc<Table>, before: &DeltaTableState) -> Result<Option<Rewrite>> {
        let mut declared = Declared { metadata: before.metadata().clone(), columns: before.schema().as_ref().clone() };
        let operation = match &self.alteration {
            Alteration::AddColumns { columns, if_not_exists } => {
                self.add_columns(&mut declared, columns, *if_not_exists)?
            }
            Alteration::SetProperties(properties) => Some(set_properties(&mut declared, properties)?),
            Alteration::UnsetProperties { keys, if_exists } => self.unset(&mut declared, keys, *if_exists)?,
            Alteration::AddConstraint { name, condition } => {
                self.add_constraint(table, before, &mut declared, name, condition).await?
            }
            Alteration::DropConstraint { name, if_exists } => self.drop_constraint(&mut declared, name, *if_exists)?,
            Alteration::Nullable { column, nullable } => {
                self.set_nullable(table, before, &mut declared, column, *nullable).await?
            }
            Alteration::CommentColumn { column, comment } => {
                let change = |field: &mut StructField| match comment {
                    Some(text) => drop(field.metadata.insert(COMMENT.into(), MetadataValue::String(text.clone()))),
                    None => drop(field.metadata.remove(COMMENT)),
                };
                let fields = self.change_column(&mut declared, column, change)?;
                Some(DeltaOperation::UpdateFieldMetadata { fields: vec![fields] })
            }
            Alteration::Comment(comment) => Some(set_comment(&mut declared, comment.clone())?),
        };
        let Some(operation) = operation else { return Ok(None) };
        let mut actions = Vec::new();
        let needed = protocol::needed(before.protocol(), declared.metadata.configuration(), &declared.columns)?;
        actions.extend(needed.map(Action::Protocol));
        actions.push(Action::Metadata(declared.metadata));
        Ok(Some(Rewrite { actions, operation, metrics: None }))
    }
}

impl Alter {
    fn add_columns(
        &self,
        declared: &mut Declared,
        columns: &[FieldRef],
        if_not_exists: bool,
    ) -> Result<Option<DeltaOperation>> {
        refuse_mapping(&self.relation, &declared.metadata, "ADD COLUMN")?;
        let mut fields: Vec<StructField> = declared.columns.fields().cloned().collect();
        let mut added = Vec::new();
        for column in columns {
            check_name("column", column.name())?;
            let name = column.name().to_lowercase();
            if fields.iter().any(|field| field.name.to_lowercase() == name) {
                match if_not_exists {
                    true => continue,
                    false => {
                        let text = format!("column `{}` of `{}` already exists", column.name(), self.relation.name);
                        return Err(Error::already_exists(text));
                    }
                }
            }
            if !column.is_nullable() {
                return Err(Error::input(format!(
                    "column `{name}` is NOT NULL, and the rows that are there have none"
                ))
                .with_hint("add it without NOT NULL, fill it, and then ALTER COLUMN … SET NOT NULL"));
            }
            let field = kernel_field(column)?;
            fields.push(field.clone());
            added.push(field);
        }
        if added.is_empty() {
            return Ok(None);
        }
        declared.set_columns(fields)?;
        Ok(Some(DeltaOperation::AddColumn { fields: added }))
    }

    fn unset(&self, declared: &mut Declared, keys: &[String], if_exists: bool) -> Result<Option<DeltaOperation>> {
        let mut gone = HashMap::new();
        for key in keys {
            if key.starts_with(constraints::PREFIX) {
                return Err(constraint_hint(key));
            }
            if key.starts_with("delta.columnMapping.") || key.starts_with("delta.feature.") {
                return Err(Error::unsupported(format!("the property `{key}` cannot be taken away")));
            }
            match declared.metadata.configuration().get(key).cloned() {
                Some(value) => {
                    declared.metadata =
                        declared.metadata.clone().remove_config_key(key).map_err(super::error::metadata)?;
                    gone.insert(key.clone(), value);
                }
                None if if_exists => {}
                None => {
                    let known = declared.metadata.configuration().keys().map(String::as_str);
                    return Err(unknown("property", key, known).with_hint("or `UNSET TBLPROPERTIES IF EXISTS`"));
                }
            }
        }
        // The history's name for it is the one of deltalake, which has no other; no property has a value by it.
        let operation = DeltaOperation::SetTableProperties { properties: HashMap::new() };
        Ok((!gone.is_empty()).then_some(operation))
    }

    async fn add_constraint(
        &self,
        table: &Table,
        before: &DeltaTableState,
        declared: &mut Declared,
        name: &str,
        condition: &str,
    ) -> Result<Option<DeltaOperation>> {
        check_name("constraint", name)?;
        let key = format!("{}{name}", constraints::PREFIX);
        if let Some(known) = declared.metadata.configuration().get(&key) {
            let text = format!("constraint `{name}` of `{}` already exists: `{known}`", self.relation.name);
            return Err(Error::already_exists(text));
        }
        let schema = storage_schema(&before.snapshot().arrow_schema())?;
        let own = BTreeMap::from([(key.clone(), condition.to_string())]);
        self.read_all(table, before, &schema, Constraints::new(&own, &schema)?).await?;
        declared.set_property(&key, condition)?;
        let constraints = vec![Constraint::new(name, condition)];
        Ok(Some(DeltaOperation::AddConstraint { constraints }))
    }

    fn drop_constraint(&self, declared: &mut Declared, name: &str, if_exists: bool) -> Result<Option<DeltaOperation>> {
        let key = format!("{}{name}", constraints::PREFIX);
        if !declared.metadata.configuration().contains_key(&key) {
            let known =
                declared.metadata.configuration().keys().filter_map(|key| key.strip_prefix(constraints::PREFIX));
            return match if_exists {
                true => Ok(None),
                false => Err(unknown("constraint", name, known)),
            };
        }
        declared.metadata = declared.metadata.clone().remove_config_key(&key).map_err(super::error::metadata)?;
        Ok(Some(DeltaOperation::DropConstraint { name: name.to_string() }))
    }

    async fn set_nullable(
        &self,
        table: &Table,
        before: &DeltaTableState,
        declared: &mut Declared,
        column: &str,
        nullable: bool,
    ) -> Result<Option<DeltaOperation>> {
        let mut was = nullable;
        let field = self.change_column(declared, column, |field| {
            was = field.nullable;
            field.nullable = nullable;
        })?;
        if was == nullable {
            return Ok(None);
        }
        if nullable {
            return Ok(Some(DeltaOperation::DropColumnNotNull { column: field }));
        }
        let schema = storage_schema(&before.snapshot().arrow_schema())?;
        let strict = |known: &FieldRef| match known.name() == column {
            true => Arc::new(Field::clone(known).with_nullable(false)),
            false => known.clone(),
        };
        let strict: SchemaRef = Arc::new(Schema::new(schema.fields().iter().map(strict).collect::<Vec<_>>()));
        self.read_all(table, before, &strict, Constraints::default()).await?;
        Ok(Some(DeltaOperation::UpdateFieldMetadata { fields: vec![field] }))
    }

    /// Reads every row and fails with the first that `schema` or `constraints` does not allow.
    async fn read_all(
        &self,
        table: &Table,
        before: &DeltaTableState,
        schema: &SchemaRef,
        constraints: Constraints,
    ) -> Result<()> {
        let provider = Arc::new(TableVersion::new(table, before).await?);
        let plan = LogicalPlanBuilder::scan("rows", provider_as_source(provider), None)?.build()?;
        let name = self.relation.name.to_string();
        let rows = Rows::plan(plan, schema, constraints, &name, &self.state, None).await?;
        let source: Arc<dyn ExecutionPlan> = rows.to_exec()?;
        let mut batches = execute_stream(source, self.state.task_ctx())?;
        loop {
            match batches.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) => return Err(rows.failure().unwrap_or_else(|| Error::from(error))),
            }
        }
    }

    /// Changes one column's field; answers it.
    fn change_column(
        &self,
        declared: &mut Declared,
        column: &str,
        change: impl FnOnce(&mut StructField),
    ) -> Result<StructField> {
        let mut fields: Vec<StructField> = declared.columns.fields().cloned().collect();
        let Some(field) = fields.iter_mut().find(|field| field.name == column) else {
            return Err(unknown("column", column, declared.columns.fields().map(|field| field.name.as_str())));
        };
        change(field);
        let changed = field.clone();
        declared.set_columns(fields)?;
        Ok(changed)
    }
}

impl Declared {
    fn set_columns(&mut self, fields: Vec<StructField>) -> Result<()> {
        self.columns = StructType::try_new(fields).map_err(|error| Error::input(error.to_string()))?;
        self.metadata = self.metadata.clone().with_schema(&self.columns).map_err(super::error::metadata)?;
        Ok(())
    }

    fn set_property(&mut self, key: &str, value: &str) -> Result<()> {
        let changed = self.metadata.clone().add_config_key(key.to_string(), value.to_string());
        self.metadata = changed.map_err(super::error::metadata)?;
        Ok(())
    }
}

fn set_properties(declared: &mut Declared, given: &BTreeMap<String, String>) -> Result<DeltaOperation> {
    for (key, value) in given {
        if key.starts_with(constraints::PREFIX) {
            return Err(constraint_hint(key));
        }
        if declared.metadata.configuration().get(key) != Some(value) {
            properties::check(key, value)?;
        }
        if matches!(key.as_str(), "delta.minReaderVersion" | "delta.minWriterVersion") {
            return Err(Error::unsupported(format!("the property `{key}` follows from what the table declares")));
        }
        declared.set_property(key, value)?;
    }
    let properties = given.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    Ok(DeltaOperation::SetTableProperties { properties })
}

fn constraint_hint(key: &str) -> Error {
    Error::input(format!("the property `{key}` is a constraint, which existing rows must meet"))
        .with_hint("ALTER TABLE t ADD CONSTRAINT name CHECK (condition), or DROP CONSTRAINT name")
}

fn set_comment(declared: &mut Declared, comment: Option<String>) -> Result<DeltaOperation> {
    let unreadable = |error: serde_json::Error| Error::internal(format!("a table's metadata has no text: {error}"));
    let mut metadata = serde_json::to_value(&declared.metadata).map_err(unreadable)?;
    metadata["description"] = comment.clone().map_or(Value::Null, Value::String);
    declared.metadata = serde_json::from_value(metadata).map_err(unreadable)?;
    let update =
        deltalake_core::operations::update_table_metadata::TableMetadataUpdate { name: None, description: comment };
    Ok(DeltaOperation::UpdateTableMetadata { metadata_update: update })
}

/// A column as Delta has it, its comment included.
pub(super) fn kernel_field(column: &FieldRef) -> Result<StructField> {
    let schema = storage_schema(&Schema::new(vec![column.clone()]))?;
    let plain: StructType = schema.as_ref().try_into_kernel().map_err(|error: arrow::error::ArrowError| {
        Error::unsupported(format!("column `{}` has a type that Delta does not have: {error}", column.name()))
    })?;
    let field = plain.fields().next().cloned();
    let mut field = field.ok_or_else(|| Error::internal(format!("column `{}` got lost", column.name())))?;
    let noted = column.metadata().iter().map(|(key, value)| (key.clone(), MetadataValue::String(value.clone())));
    field.metadata.extend(noted);
    Ok(field)
}

/// Refuses a change that deltalake could not live with in a table with column mapping.
pub(super) fn refuse_mapping(relation: &Relation, metadata: &Metadata, change: &str) -> Result<()> {
    match metadata.configuration().get("delta.columnMapping.mode").map(String::as_str) {
        None | Some("none") => Ok(()),
        Some(mode) => Err(Error::unsupported(format!(
            "`{change}` of `{}`, whose columns have a mapping (`delta.columnMapping.mode` = `{mode}`)",
            relation.name
        ))),
    }
}
