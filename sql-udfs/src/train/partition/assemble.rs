//! Groups, one after another in ascending order of their keys, into a partitioned artifact; and the run's own metrics.
//!
//! A metric of the run is the mean over groups, each weighing as much as the rows that it was measured on.

use crate::limits::GROUPS_MAX;
use crate::model::onnx::Model;
use crate::model::partition::groups::{GroupModel, GroupRow, GroupsWriter};
use crate::model::partition::keys::GroupKey;
use crate::model::partition::manifest::{Fallback, Manifest};
use crate::model::partition::slots::{Apart, Flat, Slot, put_in};
use crate::model::signature::{Feature, Signature};
use crate::train::{Metric, Part, sha256_hex};
use crate::{Error, Result};

/// A group to be written.
pub(super) struct Group {
    pub key: GroupKey,
    /// Its graph apart and its classes, or why it has no model of its own.
    pub model: Result<(Apart, Vec<i64>), String>,
    pub rows: u64,
    pub rows_held_out: u64,
    /// Final metrics by name.
    pub metrics: Vec<(String, f64)>,
    /// The same as an older version has them, for a group that is carried over.
    pub text: Option<String>,
}

/// The first graph of a shape.
struct Template {
    blank: Model,
    slots: Vec<Slot>,
    signature: String,
}

/// An artifact that is being made.
pub(super) struct Assembly {
    templates: Vec<Template>,
    writer: GroupsWriter,
    /// For each metric its sum over groups times rows, and the rows.
    sums: Vec<(String, f64, f64)>,
    groups: u64,
    trained: u64,
    rows: u64,
    rows_held_out: u64,
    /// Why the first group without a model has none.
    pub first_reason: Option<String>,
}

/// What an artifact is made of beside its groups.
pub(super) struct Frame<'a> {
    pub algorithm: &'a str,
    pub parameters: String,
    /// What a group's model takes and gives.
    pub signature: Signature,
    pub partition_by: Vec<Feature>,
    pub min_rows: u64,
    pub fallback: Fallback,
    /// The file of the model over all groups.
    pub fallback_part: Option<Part>,
}

/// A finished artifact.
pub(super) struct Assembled {
    pub manifest: Vec<u8>,
    pub parts: Vec<Part>,
    pub metrics: Vec<Metric>,
    pub groups: u64,
    pub trained: u64,
    pub rows: u64,
    pub rows_held_out: u64,
}

impl Assembly {
    /// An artifact without groups.
    pub fn new(partition_by: &[Feature]) -> Result<Self> {
        Ok(Assembly {
            templates: Vec::new(),
            writer: GroupsWriter::new(partition_by)?,
            sums: Vec::new(),
            groups: 0,
            trained: 0,
            rows: 0,
            rows_held_out: 0,
            first_reason: None,
        })
    }

    /// Adds a group. `own_signature` is the JSON of the signature of its model.
    pub fn push(&mut self, group: Group, own_signature: impl FnOnce(&[i64]) -> Result<String>) -> Result<()> {
        let Group { key, model, rows, rows_held_out, metrics, text } = group;
        for (name, value) in &metrics {
            let weight = if name.starts_with("train_") || rows_held_out == 0 { rows } else { rows_held_out } as f64;
            match self.sums.iter_mut().find(|(known, _, _)| known == name) {
                Some((_, sum, weights)) => {
                    *sum += value * weight;
                    *weights += weight;
                }
                None => self.sums.push((name.clone(), value * weight, weight)),
            }
        }
        self.groups += 1;
        self.rows += rows;
        self.rows_held_out += rows_held_out;
        if self.groups > GROUPS_MAX as u64 {
            return Err(Error::exhausted(format!("expected at most {GROUPS_MAX} groups, found more")));
        }
        let (reason, model) = match model {
            Err(reason) => {
                self.first_reason.get_or_insert_with(|| reason.clone());
                (Some(reason), None)
            }
            Ok((apart, classes)) => {
                self.trained += 1;
                let graph = match self.templates.iter().position(|known| known.blank == apart.blank) {
                    Some(graph) => graph,
                    None => {
                        let signature = own_signature(&classes)?;
                        let template = Template { blank: apart.blank, slots: apart.slots.clone(), signature };
                        self.templates.push(template);
                        self.templates.len() - 1
                    }
                };
                let flat = Flat::new(&apart.slots, &self.templates[graph].slots);
                (None, Some(GroupModel { graph, classes, flat }))
            }
        };
        let metrics = text.unwrap_or_else(|| json(&metrics));
        self.writer.push(GroupRow { key, reason, rows, rows_held_out, metrics, model })
    }

    /// Whether a group has a model of its own.
    pub fn has_models(&self) -> bool {
        self.trained > 0
    }

    /// The artifact.
    pub fn finish(self, frame: Frame<'_>) -> Result<Assembled> {
        let part = |bytes: Vec<u8>| Part { sha256: sha256_hex(&bytes), bytes };
        let mut parts = vec![part(self.writer.finish()?)];
        for template in self.templates {
            let mut model = template.blank;
            put_in(&mut model, template.slots, Some(template.signature));
            parts.push(part(model.encode_to_bytes()));
        }
        let sha256s: Vec<String> = parts.iter().map(|part| part.sha256.clone()).collect();
        let manifest = Manifest::new(
            frame.algorithm,
            frame.parameters,
            frame.signature,
            frame.partition_by,
            frame.min_rows,
            frame.fallback,
            [self.groups, self.trained],
            sha256s[0].clone(),
            sha256s[1..].to_vec(),
        );
        parts.extend(frame.fallback_part);
        parts.sort_by(|a, b| a.sha256.cmp(&b.sha256));
        parts.dedup();
        let metric = |name: &str, value: f64| Metric { name: name.to_owned(), value, step: 0 };
        // Held-out metrics come first, as in every other training.
        let (train, held_out): (Vec<_>, Vec<_>) = self.sums.iter().partition(|(name, _, _)| name.starts_with("train_"));
        let mut metrics: Vec<Metric> =
            held_out.into_iter().chain(train).map(|(name, sum, weight)| metric(name, sum / weight)).collect();
        metrics.retain(|metric| metric.value.is_finite());
        metrics.push(metric("partitions", self.groups as f64));
        metrics.push(metric("partitions_fallback", (self.groups - self.trained) as f64));
        Ok(Assembled {
            manifest: manifest.write()?,
            parts,
            metrics,
            groups: self.groups,
            trained: self.trained,
            rows: self.rows,
            rows_held_out: self.rows_held_out,
        })
    }
}

/// Metrics as a JSON object, in their order.
fn json(metrics: &[(String, f64)]) -> String {
    let one = |(name, value): &(String, f64)| format!("{}: {value:?}", serde_json::Value::from(name.as_str()));
    format!("{{{}}}", metrics.iter().map(one).collect::<Vec<_>>().join(", "))
}
