//! Groups of an older version that a refresh carries over as they are, in the order of their keys.
//!
//! Their models keep every bit; only the places of their classes may shift, where the rows that changed have new classes.

use crate::model::artifact;
use crate::model::onnx::view::malformed;
use crate::model::partition::PartitionedModel;
use crate::model::partition::groups::{GroupRow, ModelRows};
use crate::model::partition::keys::{GroupKey, KeySet};
use crate::model::partition::manifest::Fallback;
use crate::model::partition::slots::take_apart;
use crate::model::signature::ClassLabel;
use crate::train::partition::assemble::Group;
use crate::train::partition::group::FallbackModel;
use crate::train::plan::Plan;
use crate::train::{Part, Partition, Watch};
use crate::{Error, Result};

/// The older version, and what has changed since.
pub(in crate::train) struct Older<'a> {
    /// The older version.
    pub model: &'a PartitionedModel,
    /// Its parts.
    pub parts: &'a [(String, Vec<u8>)],
    /// The groups whose rows may have changed.
    pub changed: &'a KeySet,
}

impl Older<'_> {
    /// Fails where the older version is of another kind than what is to be trained.
    pub(super) fn check(&self, plan: &Plan, partition: &Partition, parameters: &str) -> Result<()> {
        let manifest = self.model.manifest();
        let same_features = manifest.signature.features.len() == plan.features.len()
            && manifest.signature.features.iter().zip(&plan.features).all(|(older, column)| {
                older.name == column.feature.name && older.value_type == column.feature.value_type
            });
        let same_columns = manifest.partition_by.iter().eq(plan.partition.iter().map(|column| &column.feature));
        let fallback = !matches!(manifest.fallback, Fallback::None);
        let same = manifest.algorithm == plan.algorithm.name()
            && manifest.parameters == parameters
            && manifest.signature.target.as_ref() == plan.target.as_ref().map(|target| &target.feature)
            && manifest.min_rows == partition.min_rows
            && fallback == partition.fallback;
        match same && same_features && same_columns {
            true => Ok(()),
            false => {
                Err(Error::input("the version to refresh was trained in another way: expected the same statement")
                    .with_hint("train the model anew"))
            }
        }
    }

    /// The model over all groups, which stays as it is.
    pub(super) fn fallback(&self, classes: &[ClassLabel]) -> Result<(Option<FallbackModel>, Fallback, Option<Part>)> {
        let fallback = self.model.manifest().fallback.clone();
        let Fallback::Model { sha256, .. } = &fallback else { return Ok((None, fallback, None)) };
        let found = self.parts.iter().find(|(name, _)| name == sha256);
        let (_, bytes) = found.ok_or_else(|| malformed(format!("the part `{sha256}` is missing")))?;
        let (signature, kernel) = artifact::read(bytes)?;
        let places = places(&signature.classes, classes)?;
        let part = Part { sha256: sha256.clone(), bytes: bytes.clone() };
        Ok((Some(FallbackModel { kernel, classes: places }), fallback, Some(part)))
    }
}

/// The places of some classes among others.
fn places(some: &[ClassLabel], all: &[ClassLabel]) -> Result<Vec<i64>> {
    let place = |class: &ClassLabel| all.iter().position(|known| known == class).map(|place| place as i64);
    let places = some.iter().map(place).collect::<Option<Vec<_>>>();
    places.ok_or_else(|| malformed("expected the classes of all groups".to_owned()))
}

/// The groups that are carried over.
pub(super) struct Carried<'a> {
    older: &'a Older<'a>,
    /// The places of the older version's classes among those of now.
    places: Vec<i64>,
    block: usize,
    /// The rest of the block that is being read, the next one last, with its place in the block.
    waiting: Vec<(usize, GroupRow)>,
    models: Option<ModelRows>,
}

impl<'a> Carried<'a> {
    /// All that have not changed.
    pub fn new(older: &'a Older<'a>, classes: &[ClassLabel]) -> Result<Self> {
        let places = places(&older.model.manifest().signature.classes, classes)?;
        Ok(Carried { older, places, block: 0, waiting: Vec::new(), models: None })
    }

    /// Writes those whose keys are less than `key`; all that are left where there is none.
    pub fn write(
        &mut self,
        key: Option<&GroupKey>,
        watch: &dyn Watch,
        mut write: impl FnMut(Group) -> Result<()>,
    ) -> Result<()> {
        loop {
            if self.waiting.is_empty() && !self.read(watch)? {
                return Ok(());
            }
            while let Some((row, group)) = self.waiting.pop() {
                if key.is_some_and(|key| *key <= group.key) {
                    self.waiting.push((row, group));
                    return Ok(());
                }
                if !self.older.changed.contains(&group.key) {
                    write(self.group(row, group)?)?;
                }
            }
        }
    }

    /// Reads the next block, where there is one.
    fn read(&mut self, watch: &dyn Watch) -> Result<bool> {
        let members = self.older.model.members();
        if self.block == members.blocks() {
            return Ok(false);
        }
        if watch.cancelled() {
            return Err(Error::cancelled());
        }
        self.waiting = members.file().rows(self.block)?.into_iter().enumerate().rev().collect();
        self.models = Some(members.file().models(self.block)?);
        self.block += 1;
        Ok(true)
    }

    fn group(&self, row: usize, group: GroupRow) -> Result<Group> {
        let GroupRow { key, reason, rows, rows_held_out, metrics: text, .. } = group;
        let models = self.models.as_ref().ok_or_else(|| Error::internal("expected a block of groups, found none"))?;
        let model = match self.older.model.members().onnx_of(models, row)? {
            None => Err(reason.unwrap_or_default()),
            Some(model) => {
                let place = |place: &i64| {
                    let found = usize::try_from(*place).ok().and_then(|place| self.places.get(place)).copied();
                    found.ok_or_else(|| malformed("expected a group's classes among those of all groups".to_owned()))
                };
                let places = models.classes(row).iter().map(place).collect::<Result<Vec<_>>>()?;
                Ok((take_apart(model), places))
            }
        };
        let read: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text)
            .map_err(|error| malformed(format!("expected metrics as a JSON object: {error}")))?;
        let metrics = read.into_iter().filter_map(|(name, value)| Some((name, value.as_f64()?))).collect();
        Ok(Group { key, model, rows, rows_held_out, metrics, text: Some(text) })
    }
}
