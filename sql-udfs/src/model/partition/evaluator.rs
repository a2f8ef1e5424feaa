//! Scores rows by the model of their group.
//!
//! Rows of one group that are neighbours are scored where they are; scattered ones are gathered, group by group. A row of
//! a group without a model of its own goes to the model over all groups, or is an error that names the group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, ListArray, StringArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field};
use arrow::record_batch::RecordBatch;

use super::groups::GroupsFile;
use super::keys::{self, Coder, UNKNOWN};
use super::manifest::{Fallback, Manifest};
use super::members::{Block, Member, Members};
use crate::limits::SCORE_ROWS_PER_BLOCK;
use crate::model::artifact;
use crate::model::columns::strict_cast;
use crate::model::contents;
use crate::model::design::{Design, DesignColumns};
use crate::model::evaluator::Evaluator;
use crate::model::kernel::argmax;
use crate::model::native::labels;
use crate::model::onnx::view::malformed;
use crate::model::signature::{Feature, Missing, Signature, Task};
use crate::train::sha256_hex;
use crate::{Error, Result};

/// Rows of one group in a row, on average, below which rows are brought together first.
const RUN_ROWS_MIN: usize = 16;

/// A partitioned model, ready to score.
#[derive(Debug)]
pub struct PartitionedModel {
    manifest: Manifest,
    /// The group columns, then the features.
    signature: Signature,
    design: Design,
    coder: Coder,
    /// Why a group has no model of its own; `None` for those that have one.
    reasons: Vec<Option<String>>,
    members: Members,
    fallback: Option<Member>,
}

/// The parts of a partitioned model by their SHA-256.
pub type Parts = [(String, Vec<u8>)];

impl PartitionedModel {
    /// Puts a partitioned model together. Each part must have the hash by which the manifest calls it.
    pub fn load(manifest: &[u8], parts: &Parts) -> Result<Self> {
        let manifest = Manifest::read(manifest)?;
        let part = |sha256: &str| {
            let found = parts.iter().find(|(name, _)| name == sha256);
            let (_, bytes) = found.ok_or_else(|| malformed(format!("the part `{sha256}` is missing")))?;
            match sha256_hex(bytes) == sha256 {
                true => Ok(bytes),
                false => Err(malformed(format!("the part `{sha256}` has other bytes than the manifest says"))),
            }
        };
        let file = GroupsFile::open(part(&manifest.groups_sha256)?.clone(), &manifest.partition_by)?;
        let groups = file.groups()?;
        let width = manifest.partition_by.len();
        let coder = Coder::of(width, groups.iter().map(|(key, _, _)| key));
        if groups.len() as u64 != manifest.groups || coder.len() != groups.len() {
            return Err(malformed(format!("expected {} different groups, found {}", manifest.groups, groups.len())));
        }
        let missing = |reason: Option<String>| reason.unwrap_or_else(|| "it has none".to_owned());
        let reasons = groups.into_iter().map(|(_, reason, own)| (!own).then(|| missing(reason))).collect();
        let graphs = manifest.graphs_sha256.iter().map(|sha256| part(sha256).cloned()).collect::<Result<Vec<_>>>()?;
        let fallback = match &manifest.fallback {
            Fallback::Model { sha256, .. } => Some(read_fallback(part(sha256)?, &manifest.signature)?),
            Fallback::None | Fallback::Failed(_) => None,
        };
        Ok(PartitionedModel {
            signature: manifest.whole_signature(),
            design: Design::new(&manifest.signature.features),
            members: Members::new(manifest.signature.clone(), &graphs, file)?,
            coder,
            reasons,
            fallback,
            manifest,
        })
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn members(&self) -> &Members {
        &self.members
    }

    /// The values of a group's columns.
    pub(super) fn key(&self, group: usize) -> keys::GroupKey {
        self.coder.key(group as u32)
    }

    /// The model over all groups.
    pub(super) fn fallback(&self) -> Option<&Member> {
        self.fallback.as_ref()
    }

    #[cfg(test)]
    pub(crate) fn members_mut(&mut self) -> &mut Members {
        &mut self.members
    }

    /// The number of the group columns, which are the first of the signature's features.
    pub fn partition_columns(&self) -> usize {
        self.manifest.partition_by.len()
    }

    /// The ONNX artifact of the model that answers for a group, which is given by its columns' names with their values as
    /// text, `None` for NULL.
    pub fn onnx_of(&self, group: &[(String, Option<String>)], parts: &Parts) -> Result<Vec<u8>> {
        let columns = &self.manifest.partition_by;
        let known = || columns.iter().map(|column| column.name.as_str());
        if let Some((name, _)) = group.iter().find(|(name, _)| known().all(|known| known != name)) {
            return Err(Error::unknown("group column", name, known()));
        }
        let value = |column: &Feature| {
            let Some((_, value)) = group.iter().find(|(name, _)| *name == column.name) else {
                return Err(Error::input(format!("expected a value for the group column `{}`", column.name)));
            };
            let text: ArrayRef = Arc::new(StringArray::from(vec![value.as_deref()]));
            strict_cast(&text, &column.value_type.arrow())
                .map_err(|error| Error::input(format!("group column `{}`: {}", column.name, error.message())))
        };
        self.onnx(&columns.iter().map(value).collect::<Result<Vec<_>>>()?, parts)
    }

    /// The ONNX artifact of the model that answers for a group, which is that of one row of the group columns: its own, or
    /// else the model over all groups.
    pub fn onnx(&self, group: &[ArrayRef], parts: &Parts) -> Result<Vec<u8>> {
        let found = self.coder.look_up(&self.manifest.partition_by, group)?;
        let number = found.first().copied().unwrap_or(UNKNOWN);
        if let Some(None) = self.reasons.get(number as usize)
            && let Some(model) = self.members.onnx(number as usize)?
        {
            return Ok(model.encode_to_bytes());
        }
        match &self.manifest.fallback {
            Fallback::Model { sha256, .. } => match parts.iter().find(|(name, _)| name == sha256) {
                Some((_, bytes)) => Ok(bytes.clone()),
                None => Err(malformed(format!("the part `{sha256}` is missing"))),
            },
            _ => Err(self.no_model(number, group, 0)),
        }
    }

    fn scored(&self, features: &[ArrayRef], rows: usize, visit: &mut dyn FnMut(Scored<'_>)) -> Result<()> {
        let width = self.partition_columns();
        if features.len() != self.signature.features.len() || features.iter().any(|f| f.len() != rows) {
            return Err(Error::internal(format!(
                "expected {} feature columns of {rows} rows, found {}",
                self.signature.features.len(),
                features.len()
            )));
        }
        let groups = self.coder.look_up(&self.manifest.partition_by, &features[..width])?;
        let all = &self.manifest.signature.features;
        let columns = self.design.read(&features[width..], &vec![true; all.len()])?;
        columns.refuse_missing(all, &vec![self.signature.missing == Missing::Error; all.len()])?;
        let mut pass = Pass {
            model: self,
            features,
            columns: &columns,
            blocks: vec![None; self.members.blocks()],
            scratch: self.design.scratch(),
            gathered: vec![Vec::new(); self.design.width()],
            scores: Vec::new(),
        };
        let runs = 1 + groups.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if rows >= runs * RUN_ROWS_MIN {
            let mut start = 0;
            for run in groups.chunk_by(|a, b| a == b) {
                pass.run(run[0], start, start + run.len(), visit)?;
                start += run.len();
            }
            return Ok(());
        }
        let mut order: Vec<u64> =
            groups.iter().zip(0_u64..).map(|(group, row)| u64::from(*group) << 32 | row).collect();
        order.sort_unstable();
        let places: Vec<u32> = order.iter().map(|entry| *entry as u32).collect();
        let mut start = 0;
        for run in order.chunk_by(|a, b| a >> 32 == b >> 32) {
            pass.gather((run[0] >> 32) as u32, &places[start..start + run.len()], visit)?;
            start += run.len();
        }
        Ok(())
    }

    /// The error of a row that no model answers for.
    fn no_model(&self, group: u32, features: &[ArrayRef], row: usize) -> Error {
        let columns = &self.manifest.partition_by;
        let one: Vec<ArrayRef> = features.iter().take(columns.len()).map(|array| array.slice(row, 1)).collect();
        let mut coder = Coder::new(columns.len());
        let name = match coder.grow(columns, &one) {
            Ok(_) if coder.len() == 1 => keys::display(columns, &coder.key(0)),
            _ => "of this row".to_owned(),
        };
        let why = match self.reasons.get(group as usize) {
            Some(reason) => reason.clone().unwrap_or_default(),
            None => "the training query had no row of it".to_owned(),
        };
        let error = Error::input(format!("the group {name} has no model: {why}"));
        match &self.manifest.fallback {
            Fallback::Failed(reason) => error.with_hint(format!("there is no model over all groups either: {reason}")),
            _ => error.with_hint("trained with FALLBACK, a model over all groups answers for it"),
        }
    }

    fn lists(&self, lists: Lists) -> Result<ArrayRef> {
        let Lists { places, numbers } = lists;
        let mut values = Vec::with_capacity(numbers.len());
        for (start, length) in &places {
            values.extend_from_slice(&numbers[*start..*start + *length]);
        }
        let offsets = OffsetBuffer::from_lengths(places.iter().map(|(_, length)| *length));
        let field = Arc::new(Field::new("item", DataType::Float64, true));
        Ok(Arc::new(ListArray::try_new(field, offsets, Arc::new(Float64Array::from(values)), None)?))
    }
}

/// The model over all groups, which may have fewer classes than these.
pub(crate) fn read_fallback(artifact: &[u8], signature: &Signature) -> Result<Member> {
    let (own, kernel) = artifact::read(artifact)?;
    let place = |class| signature.classes.iter().position(|known| known == class);
    let places = own.classes.iter().map(|class| place(class).map(|place| place as i64)).collect::<Option<Vec<_>>>();
    let places = places.ok_or_else(|| malformed("expected the classes of all groups".to_owned()))?;
    if own.task != signature.task || own.features != signature.features {
        return Err(malformed("expected a model over all groups with the groups' features".to_owned()));
    }
    Member::new(kernel, &places, signature.classes.len())
}

/// Rows of one group with their numbers.
struct Scored<'a> {
    /// The rows; `None` where they are neighbours.
    rows: Option<&'a [u32]>,
    /// The first row, where they are neighbours.
    start: usize,
    member: &'a Member,
    /// The kernel's numbers, row by row.
    scores: &'a [f64],
}

impl Scored<'_> {
    /// Calls `each` with every row and its numbers.
    fn each(&self, mut each: impl FnMut(usize, &[f64])) {
        let width = self.member.kernel.width();
        for (place, numbers) in self.scores.chunks_exact(width).enumerate() {
            each(self.rows.map_or(self.start + place, |rows| rows[place] as usize), numbers);
        }
    }
}

/// The scoring of one batch.
struct Pass<'a> {
    model: &'a PartitionedModel,
    features: &'a [ArrayRef],
    columns: &'a DesignColumns<'a>,
    /// The blocks of members that the batch has needed.
    blocks: Vec<Option<Block>>,
    scratch: Vec<Vec<f64>>,
    gathered: Vec<Vec<f64>>,
    scores: Vec<f64>,
}

impl<'a> Pass<'a> {
    /// Neighbouring rows of one group.
    fn run(&mut self, group: u32, start: usize, end: usize, visit: &mut dyn FnMut(Scored<'_>)) -> Result<()> {
        let model = self.model;
        let Some(member) = member(model, group, &mut self.blocks)? else {
            return Err(model.no_model(group, self.features, start));
        };
        for start in (start..end).step_by(SCORE_ROWS_PER_BLOCK) {
            let end = end.min(start + SCORE_ROWS_PER_BLOCK);
            self.scores.clear();
            self.scores.resize((end - start) * member.kernel.width(), 0.0);
            let block = self.columns.block(start, end, &mut self.scratch);
            member.kernel.score_block(&block, &mut self.scores);
            visit(Scored { rows: None, start, member, scores: &self.scores });
        }
        Ok(())
    }

    /// Rows of one group from all over the batch.
    fn gather(&mut self, group: u32, rows: &[u32], visit: &mut dyn FnMut(Scored<'_>)) -> Result<()> {
        let model = self.model;
        let Some(member) = member(model, group, &mut self.blocks)? else {
            return Err(model.no_model(group, self.features, rows[0] as usize));
        };
        for rows in rows.chunks(SCORE_ROWS_PER_BLOCK) {
            self.columns.gather(rows, &mut self.gathered);
            self.scores.clear();
            self.scores.resize(rows.len() * member.kernel.width(), 0.0);
            let block: Vec<&[f64]> = self.gathered.iter().map(Vec::as_slice).collect();
            member.kernel.score_block(&block, &mut self.scores);
            visit(Scored { rows: Some(rows), start: 0, member, scores: &self.scores });
        }
        Ok(())
    }
}

/// What answers for a group.
fn member<'b>(model: &'b PartitionedModel, group: u32, blocks: &'b mut [Option<Block>]) -> Result<Option<&'b Member>> {
    let Some(None) = model.reasons.get(group as usize) else { return Ok(model.fallback.as_ref()) };
    let (block, row) = model.members.place(group as usize);
    let members = match &mut blocks[block] {
        Some(members) => members,
        empty => empty.insert(model.members.block(block)?),
    };
    match members.get(row) {
        Some(Some(member)) => Ok(Some(member)),
        _ => Err(malformed("expected a model for a group, found none".to_owned())),
    }
}

/// A list of numbers for each row, which may come in any order.
struct Lists {
    /// The place of the first number of each row's list, and its length.
    places: Vec<(usize, usize)>,
    numbers: Vec<f64>,
}

impl Lists {
    fn new(rows: usize) -> Self {
        Lists { places: vec![(0, 0); rows], numbers: Vec::new() }
    }

    fn put(&mut self, row: usize, numbers: &[f64]) {
        self.places[row] = (self.numbers.len(), numbers.len());
        self.numbers.extend_from_slice(numbers);
    }
}

impl Evaluator for PartitionedModel {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn describe(&self) -> String {
        let Manifest { trained, groups, .. } = &self.manifest;
        format!("native, one model for each of {trained} groups of {groups}")
    }

    fn coefficients(&self) -> Result<Option<RecordBatch>> {
        super::contents::rows(self, |kernel, signature| {
            kernel.sums().map(|sums| contents::coefficients(signature, sums)).transpose()
        })
    }

    fn trees(&self) -> Result<Option<RecordBatch>> {
        super::contents::rows(self, |kernel, signature| {
            kernel.trees().map(|trees| contents::nodes(signature, &trees)).transpose()
        })
    }

    fn predict(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        match self.signature.task {
            Task::Regression => {
                let mut out = vec![0.0; rows];
                self.scored(features, rows, &mut |scored| match scored.rows {
                    None => out[scored.start..scored.start + scored.scores.len()].copy_from_slice(scored.scores),
                    Some(_) => scored.each(|row, numbers| out[row] = numbers[0]),
                })?;
                Ok(Arc::new(Float64Array::new(ScalarBuffer::from(out), None)))
            }
            Task::Classification => {
                let mut chosen = vec![0; rows];
                self.scored(features, rows, &mut |scored| {
                    scored.each(|row, numbers| chosen[row] = scored.member.place(argmax(numbers)));
                })?;
                labels(&self.signature, chosen.into_iter())
            }
            Task::Clustering => {
                let mut chosen = vec![-1; rows];
                self.scored(features, rows, &mut |scored| {
                    scored.each(|row, numbers| {
                        let best = argmax(numbers);
                        // A row of no cluster has no number above 0.
                        chosen[row] = if numbers[best] > 0.0 { best as i64 } else { -1 };
                    });
                })?;
                Ok(Arc::new(Int64Array::from(chosen)))
            }
            Task::Anomaly => {
                let mut out = vec![0; rows];
                self.scored(features, rows, &mut |scored| {
                    scored.each(|row, numbers| out[row] = numbers[0] as i64);
                })?;
                Ok(Arc::new(Int64Array::from(out)))
            }
            Task::Reduction => {
                let mut lists = Lists::new(rows);
                self.scored(features, rows, &mut |scored| scored.each(|row, numbers| lists.put(row, numbers)))?;
                self.lists(lists)
            }
        }
    }

    fn predict_proba(&self, features: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let task = self.signature.task;
        if matches!(task, Task::Regression | Task::Reduction) {
            return Err(Error::input(format!(
                "expected a model of classes, clusters or anomalies, found a {}, which gives no probabilities",
                task.name()
            )));
        }
        let mut lists = Lists::new(rows);
        let mut only_chooses = false;
        let mut all = vec![0.0; self.signature.classes.len()];
        self.scored(features, rows, &mut |scored| {
            only_chooses |= task != Task::Anomaly && !scored.member.kernel.has_probabilities();
            scored.each(|row, numbers| match (task, &scored.member.places) {
                (Task::Anomaly, _) => lists.put(row, &numbers[1..]),
                (_, None) => lists.put(row, numbers),
                (_, Some(places)) => {
                    all.fill(0.0);
                    places.iter().zip(numbers).for_each(|(place, number)| all[*place as usize] = *number);
                    lists.put(row, &all);
                }
            });
        })?;
        match only_chooses {
            true => Err(Error::input("expected a model that gives probabilities, found one that only chooses")),
            false => self.lists(lists),
        }
    }
}
