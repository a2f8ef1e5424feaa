//! Which version of Delta's protocol a table needs for what is declared of it.
//!
//! A table is raised to what its own declarations ask for and no further, because every step keeps older readers and
//! writers out. See <https://github.com/delta-io/delta/blob/master/PROTOCOL.md#valid-feature-names-in-table-features>.

use std::collections::BTreeSet;

use deltalake_core::kernel::{Protocol, StructType};
use serde_json::{Value, json};

use super::constraints;
use crate::{Error, Result};

/// The first writer version whose features are listed by name, and the first such reader version.
const NAMED_WRITER: i64 = 7;
const NAMED_READER: i64 = 3;

/// A feature of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Feature {
    name: &'static str,
    /// The writer version that brought it, where it is older than names.
    writer: Option<i64>,
    /// The reader version that brought it, where readers must know it; `None` inside where it is younger than versions.
    reader: Option<Option<i64>>,
}

const APPEND_ONLY: Feature = Feature { name: "appendOnly", writer: Some(2), reader: None };
const INVARIANTS: Feature = Feature { name: "invariants", writer: Some(2), reader: None };
const CHECKS: Feature = Feature { name: "checkConstraints", writer: Some(3), reader: None };
const CHANGE_FEED: Feature = Feature { name: "changeDataFeed", writer: Some(4), reader: None };
const GENERATED: Feature = Feature { name: "generatedColumns", writer: Some(4), reader: None };
const MAPPING: Feature = Feature { name: "columnMapping", writer: Some(5), reader: Some(Some(2)) };
const NO_ZONE: Feature = Feature { name: "timestampNtz", writer: None, reader: Some(None) };

/// Those that a version stands for.
const OF_VERSIONS: [Feature; 6] = [APPEND_ONLY, INVARIANTS, CHECKS, CHANGE_FEED, GENERATED, MAPPING];

/// The key of a column's expression, where it is generated.
pub const GENERATION: &str = "delta.generationExpression";

/// The protocol that a table with these properties and columns needs, where it is not `now`.
pub fn needed<'a>(
    now: &Protocol,
    properties: impl IntoIterator<Item = (&'a String, &'a String)>,
    columns: &StructType,
) -> Result<Option<Protocol>> {
    let mut features = Vec::new();
    for (key, value) in properties {
        match key.as_str() {
            "delta.appendOnly" if value == "true" => features.push(APPEND_ONLY),
            "delta.enableChangeDataFeed" if value == "true" => features.push(CHANGE_FEED),
            "delta.columnMapping.mode" if value != "none" => features.push(MAPPING),
            other if other.starts_with(constraints::PREFIX) => features.push(CHECKS),
            _ => {}
        }
    }
    if columns.fields().any(|field| field.metadata.contains_key(GENERATION)) {
        features.push(GENERATED);
    }
    if deltalake_core::kernel::contains_timestampntz(columns.fields()) {
        features.push(NO_ZONE);
    }
    let mut protocol = serde_json::to_value(now).map_err(unreadable)?;
    let before = protocol.clone();
    for feature in features {
        add(&mut protocol, feature);
    }
    match protocol == before {
        true => Ok(None),
        false => serde_json::from_value(protocol).map(Some).map_err(unreadable),
    }
}

fn unreadable(error: serde_json::Error) -> Error {
    Error::internal(format!("a table's protocol has no text: {error}"))
}

fn add(protocol: &mut Value, feature: Feature) {
    let version = |protocol: &Value, key: &str| protocol.get(key).and_then(Value::as_i64).unwrap_or(1);
    let (reader, writer) = (version(protocol, "minReaderVersion"), version(protocol, "minWriterVersion"));
    match feature.writer {
        Some(least) if writer < NAMED_WRITER => protocol["minWriterVersion"] = json!(writer.max(least)),
        _ => {
            let old = OF_VERSIONS.iter().filter(|old| old.writer.is_some_and(|since| since <= writer));
            let old = old.map(|old| old.name).filter(|_| writer < NAMED_WRITER);
            name(protocol, "writerFeatures", old.chain([feature.name]));
            protocol["minWriterVersion"] = json!(NAMED_WRITER);
        }
    }
    match feature.reader {
        None => {}
        Some(Some(least)) if reader < NAMED_READER => protocol["minReaderVersion"] = json!(reader.max(least)),
        Some(_) => {
            let mapped = (reader == 2).then_some(MAPPING.name);
            name(protocol, "readerFeatures", mapped.into_iter().chain([feature.name]));
            protocol["minReaderVersion"] = json!(NAMED_READER);
        }
    }
}

/// Puts names into a list of features, each once.
fn name<'a>(protocol: &mut Value, list: &str, names: impl Iterator<Item = &'a str>) {
    let known = protocol.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut all: Vec<Value> = known;
    let mut seen: BTreeSet<String> = all.iter().filter_map(Value::as_str).map(str::to_string).collect();
    for name in names {
        if seen.insert(name.to_string()) {
            all.push(json!(name));
        }
    }
    protocol[list] = Value::Array(all);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use deltalake_core::kernel::{DataType, StructField};

    use super::*;

    fn raised(now: Value, properties: &[(&str, &str)], columns: Vec<StructField>) -> Option<Value> {
        let now: Protocol = serde_json::from_value(now).unwrap();
        let properties: BTreeMap<String, String> =
            properties.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let needed = needed(&now, &properties, &StructType::try_new(columns).unwrap()).unwrap();
        needed.map(|protocol| serde_json::to_value(protocol).unwrap())
    }

    fn plain() -> Value {
        json!({ "minReaderVersion": 1, "minWriterVersion": 2 })
    }

    fn column(data_type: DataType) -> Vec<StructField> {
        vec![StructField::nullable("a", data_type)]
    }

    #[test]
    fn a_table_is_raised_no_further_than_it_needs() {
        assert_eq!(raised(plain(), &[("delta.appendOnly", "true")], column(DataType::LONG)), None);
        let raised_to = |properties: &[(&str, &str)]| {
            let raised = raised(plain(), properties, column(DataType::LONG)).unwrap();
            (raised["minReaderVersion"].as_i64().unwrap(), raised["minWriterVersion"].as_i64().unwrap())
        };
        assert_eq!(raised_to(&[("delta.constraints.a", "a > 0")]), (1, 3));
        assert_eq!(raised_to(&[("delta.enableChangeDataFeed", "true"), ("delta.constraints.a", "a > 0")]), (1, 4));
        assert_eq!(raised_to(&[("delta.columnMapping.mode", "name")]), (2, 5));
    }

    #[test]
    fn what_has_no_version_is_named_with_what_the_version_stood_for() {
        let now = json!({ "minReaderVersion": 1, "minWriterVersion": 3 });
        let raised = raised(now, &[], column(DataType::TIMESTAMP_NTZ)).unwrap();
        let writer = json!(["appendOnly", "invariants", "checkConstraints", "timestampNtz"]);
        assert_eq!(raised["minWriterVersion"], 7);
        assert_eq!(raised["writerFeatures"], writer);
        assert_eq!((&raised["minReaderVersion"], &raised["readerFeatures"]), (&json!(3), &json!(["timestampNtz"])));
    }

    #[test]
    fn a_table_with_names_gets_another_name() {
        let now = json!({ "minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"],
            "writerFeatures": ["deletionVectors"] });
        let raised = raised(now, &[("delta.constraints.a", "a > 0")], column(DataType::LONG)).unwrap();
        assert_eq!(raised["writerFeatures"], json!(["deletionVectors", "checkConstraints"]));
        assert_eq!(raised["readerFeatures"], json!(["deletionVectors"]));
    }
}
