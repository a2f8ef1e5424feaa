//! `DESCRIBE MODEL`: what a version takes, gives, learned from and scored, one property a row.
//!
//! The features come in the order in which `PREDICT` takes them by position. It loads no artifact.

use arrow::array::RecordBatch;
use limn_sql_udfs::model::reference::{ModelRef, Selector};
use limn_sql_udfs::model::signature::ClassLabel;

use super::open::Inner;
use super::output::{table, texts};
use crate::Result;

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
    if let Some(target) = &signature.target {
        rows.push(("target".into(), target.name.clone(), target.value_type.sql_name().into()));
    }
    for feature in &signature.features {
        rows.push(("feature".into(), feature.name.clone(), feature.value_type.sql_name().into()));
    }
    for (place, class) in signature.classes.iter().enumerate() {
        rows.push(("class".into(), place.to_string(), class_text(class)));
    }
    if let Some(run_id) = &found.run_id {
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

fn class_text(class: &ClassLabel) -> String {
    match class {
        ClassLabel::Boolean(value) => value.to_string(),
        ClassLabel::BigInt(value) => value.to_string(),
        ClassLabel::Text(value) => value.clone(),
    }
}
