//! `DESCRIBE MODEL`: what a version takes, gives, learned from and scored, one property a row.
//!
//! The features come in the order in which `PREDICT` takes them by position. It loads no artifact.

use arrow::array::RecordBatch;
use limn_sql_udfs::model::reference::{ModelRef, Selector};
use limn_sql_udfs::model::signature::{Categories, CategoryForm, ClassLabel, Missing};

use super::open::Inner;
use super::output::{table, texts};
use crate::Result;
use crate::registry::Run;

/// The rows of `DESCRIBE MODEL name [VERSION n | ALIAS a]`.
pub(super) fn answer(inner: &Inner, model: &str, version: Option<u64>, alias: Option<&str>) -> Result<RecordBatch> {
    let selector = match (version, alias) {
        (Some(version), _) => Selector::Version(version),
        (None, Some(alias)) => Selector::Alias(alias.to_string()),
        (None, None) => Selector::Latest,
    };
    let index = inner.registry.index();
    let found = index.resolve(&ModelRef { name: model.to_string(), selector })?;
    let signature = found.signature()?;
    let aliases: Vec<&str> =
        index.model_aliases(model).filter(|a| a.version == found.version).map(|a| a.alias.as_str()).collect();
    let mut rows: Vec<(String, String, String)> = Vec::new();
    let mut property = |name: &str, value: String| rows.push(("model".into(), name.into(), value));
    property("name", found.name.clone());
    property("version", found.version.to_string());
    property("aliases", aliases.join(", "));
    property("algorithm", found.algorithm.clone());
    property("task", found.task.clone());
    property("run_id", found.run_id.clone().unwrap_or_default());
    property("rows", found.rows.to_string());
    property("created_at", found.created_at.to_rfc3339());
    property("artifact_sha256", found.artifact_sha256.clone());
    property("artifact_bytes", found.artifact_bytes.to_string());
    property("missing", missing_text(signature.missing).into());
    let run = found.run_id.as_deref().and_then(|run_id| index.run(run_id));
    for (name, value) in run.map(run_properties).unwrap_or_default() {
        property(name, value);
    }
    if let Some(target) = &signature.target {
        rows.push(("target".into(), target.name.clone(), target.value_type.sql_name().into()));
    }
    let groups = found.run_id.as_deref().map(|run_id| group_columns(&index, run_id)).unwrap_or_default();
    for feature in &signature.features {
        let kind = if groups.contains(&feature.name) { "partition" } else { "feature" };
        rows.push((kind.into(), feature.name.clone(), feature.value_type.sql_name().into()));
    }
    for feature in &signature.features {
        if let Some(categories) = &feature.categories {
            rows.push(("categories".into(), feature.name.clone(), categories_text(categories)));
        }
    }
    for (place, class) in signature.classes.iter().enumerate() {
        rows.push(("class".into(), place.to_string(), class_text(class)));
    }
    if let Some(run_id) = &found.run_id {
        rows.extend(index.inputs(run_id).map(|input| {
            let table = format!("{}.{}", input.table_schema, input.table_name);
            ("source".to_string(), table, format!("version {}", input.version))
        }));
        let params = index.params(run_id).map(|p| ("parameter".to_string(), p.key.clone(), p.value.clone()));
        rows.extend(params);
        let metrics =
            index.latest_metrics(run_id).map(|m| ("metric".to_string(), m.key.clone(), format!("{:?}", m.value)));
        rows.extend(metrics);
    }
    table(vec![
        ("kind", texts(rows.iter().map(|(kind, _, _)| Some(kind)))),
        ("name", texts(rows.iter().map(|(_, name, _)| Some(name)))),
        ("value", texts(rows.iter().map(|(_, _, value)| Some(value)))),
    ])
}

/// What a run says of how a version came about.
fn run_properties(run: &Run) -> Vec<(&'static str, String)> {
    let texts = [
        ("trained_by", Some(run.user_name.clone())),
        ("seed", run.seed.map(|seed| seed.to_string())),
        ("engine_build", run.engine_build.clone()),
        ("cpu_level", run.cpu_level.clone()),
        ("statement", run.statement.clone()),
    ];
    texts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What the model does with NULL.
fn missing_text(missing: Missing) -> &'static str {
    match missing {
        Missing::Learned => "learned: the mean of the training rows, or a branch of its own",
        Missing::Error => "error",
    }
}

/// Texts that are listed of a feature.
const CATEGORIES_SHOWN: usize = 10;

/// The texts of a feature: how many, the first of them, and what becomes of others.
fn categories_text(categories: &Categories) -> String {
    let count = categories.values.len();
    let form = match categories.form {
        CategoryForm::Indicators => "one-hot",
        CategoryForm::Codes => "as a set",
    };
    let mut listed: Vec<&str> = categories.values.iter().take(CATEGORIES_SHOWN).map(String::as_str).collect();
    if count > CATEGORIES_SHOWN {
        listed.push("…");
    }
    let others = match categories.others {
        0 => String::new(),
        others => format!("; {others} rarer ones count as unknown"),
    };
    format!("{count} {form}: {}{others}", listed.join(", "))
}

/// The group columns of a partitioned model, as its run says them.
fn group_columns(index: &crate::registry::Index, run_id: &str) -> Vec<String> {
    let said = index.params(run_id).find(|param| param.key == "partition_by");
    said.and_then(|param| serde_json::from_str(&param.value).ok()).unwrap_or_default()
}

fn class_text(class: &ClassLabel) -> String {
    match class {
        ClassLabel::Boolean(value) => value.to_string(),
        ClassLabel::BigInt(value) => value.to_string(),
        ClassLabel::Text(value) => value.clone(),
    }
}
