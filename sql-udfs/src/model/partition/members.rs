//! The groups' own models, made ready block by block when a row first needs one.
//!
//! What is ready is bounded in bytes; the block that has been ready longest leaves first. A block that two queries need at
//! once is read once.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::groups::{GroupsFile, ModelRows};
use super::slots::{Slot, put_in, take_apart};
use crate::limits::GROUP_CACHE_BYTES;
use crate::model::artifact::{self, read_kernel};
use crate::model::kernel::Kernel;
use crate::model::onnx::Model;
use crate::model::onnx::view::{GraphView, malformed};
use crate::model::signature::{Signature, Task};
use crate::{Error, Result};

/// A model that answers for a group.
#[derive(Debug)]
pub(crate) struct Member {
    /// The model.
    pub kernel: Box<dyn Kernel>,
    /// The places of its classes in those of all groups; `None` where it has them all, or there are none.
    pub places: Option<Vec<u32>>,
}

impl Member {
    /// A model with those classes of all groups'.
    pub fn new(kernel: Box<dyn Kernel>, places: &[i64], classes: usize) -> Result<Self> {
        let whole = places.len() == classes;
        let places: Vec<u32> = places.iter().map(|place| u32::try_from(*place).unwrap_or(u32::MAX)).collect();
        if !places.is_sorted_by(|a, b| a < b) || places.last().is_some_and(|last| *last as usize >= classes) {
            return Err(malformed("expected a group's classes among those of all groups".to_owned()));
        }
        Ok(Member { kernel, places: (!whole).then_some(places) })
    }

    /// The place of one of its classes among all.
    pub fn place(&self, class: usize) -> usize {
        self.places.as_ref().map_or(class, |places| places[class] as usize)
    }
}

/// The ONNX model that the groups' of one shape are written against.
#[derive(Debug)]
struct Template {
    model: Model,
    slots: Vec<Slot>,
}

/// The models of a block of groups; `None` for a group without one.
pub(crate) type Block = Arc<Vec<Option<Member>>>;

/// All groups' models.
#[derive(Debug)]
pub(crate) struct Members {
    /// What a group's model takes and gives, with the classes of all groups.
    signature: Signature,
    templates: Vec<Template>,
    file: GroupsFile,
    /// The first group of each block, and behind them the number of groups.
    starts: Vec<usize>,
    ready: Vec<Mutex<Option<Block>>>,
    kept: Mutex<Kept>,
    bytes_max: usize,
}

/// The blocks that are ready, the oldest first, with their bytes.
#[derive(Debug, Default)]
struct Kept {
    blocks: VecDeque<(usize, usize)>,
    bytes: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing is left half done where a panic could happen.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Members {
    /// Groups whose constants are in `file` and whose graphs are like `graphs`.
    pub fn new(signature: Signature, graphs: &[Vec<u8>], file: GroupsFile) -> Result<Self> {
        let mut templates = Vec::new();
        for graph in graphs {
            let model = Model::decode_from_bytes(graph)?;
            // A template is a whole model, and must be one that we would write.
            artifact::read_model(&model)?;
            let slots = take_apart(model.clone()).slots;
            templates.push(Template { model, slots });
        }
        let mut starts = vec![0];
        for count in file.blocks() {
            starts.push(starts.last().copied().unwrap_or(0) + count);
        }
        let ready = (1..starts.len()).map(|_| Mutex::new(None)).collect();
        let kept = Mutex::default();
        Ok(Members { signature, templates, file, starts, ready, kept, bytes_max: GROUP_CACHE_BYTES })
    }

    /// Keeps at most so many bytes ready.
    #[cfg(test)]
    pub fn keep_at_most(&mut self, bytes: usize) {
        self.bytes_max = bytes;
    }

    /// The bytes that are ready.
    #[cfg(test)]
    pub fn kept_bytes(&self) -> usize {
        lock(&self.kept).bytes
    }

    /// The file of groups.
    pub fn file(&self) -> &GroupsFile {
        &self.file
    }

    /// The number of blocks.
    pub fn blocks(&self) -> usize {
        self.ready.len()
    }

    /// The block of a group, and its place there.
    pub fn place(&self, group: usize) -> (usize, usize) {
        let block = self.starts.partition_point(|start| *start <= group) - 1;
        (block, group - self.starts[block])
    }

    /// The number of a block's first group.
    pub fn first(&self, block: usize) -> usize {
        self.starts[block]
    }

    /// The models of a block.
    pub fn block(&self, block: usize) -> Result<Block> {
        let mut ready = lock(&self.ready[block]);
        if let Some(members) = &*ready {
            return Ok(Arc::clone(members));
        }
        let (members, bytes) = self.read(block)?;
        *ready = Some(Arc::clone(&members));
        drop(ready);
        self.keep(block, bytes);
        Ok(members)
    }

    fn keep(&self, block: usize, bytes: usize) {
        let mut leaving = Vec::new();
        {
            let mut kept = lock(&self.kept);
            kept.blocks.push_back((block, bytes));
            kept.bytes += bytes;
            while kept.bytes > self.bytes_max && kept.blocks.len() > 1 {
                if let Some((oldest, bytes)) = kept.blocks.pop_front() {
                    kept.bytes -= bytes;
                    leaving.push(oldest);
                }
            }
        }
        leaving.into_iter().for_each(|block| *lock(&self.ready[block]) = None);
    }

    fn read(&self, block: usize) -> Result<(Block, usize)> {
        let rows = self.file.models(block)?;
        let mut scratch: Vec<Option<Model>> = self.templates.iter().map(|_| None).collect();
        let mut members = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for row in 0..rows.len() {
            let Some(graph) = rows.graph(row) else {
                members.push(None);
                continue;
            };
            let template = self.template(graph)?;
            let model = scratch[graph].get_or_insert_with(|| template.model.clone());
            let (slots, size) = rows.slots(row, &template.slots)?;
            bytes += size;
            put_in(model, slots, None);
            let places = rows.classes(row);
            let signature = self.own_signature(places)?;
            let kernel = read_kernel(&GraphView::new(model)?, &signature)?;
            members.push(Some(Member::new(kernel, places, self.signature.classes.len())?));
        }
        Ok((Arc::new(members), bytes))
    }

    fn template(&self, graph: usize) -> Result<&Template> {
        let found = self.templates.get(graph);
        found.ok_or_else(|| malformed(format!("expected one of {} graphs, found {graph}", self.templates.len())))
    }

    /// The signature of a group's own model.
    fn own_signature(&self, places: &[i64]) -> Result<std::borrow::Cow<'_, Signature>> {
        own_signature(&self.signature, places)
    }

    /// A group's own model as ONNX, or `None` where it has none.
    pub fn onnx(&self, group: usize) -> Result<Option<Model>> {
        let (block, row) = self.place(group);
        self.onnx_of(&self.file.models(block)?, row)
    }

    /// The ONNX model of a row.
    pub fn onnx_of(&self, rows: &ModelRows, row: usize) -> Result<Option<Model>> {
        let Some(graph) = rows.graph(row) else { return Ok(None) };
        let template = self.template(graph)?;
        let mut model = template.model.clone();
        let signature = self.own_signature(rows.classes(row))?;
        let signature = serde_json::to_string(&signature).map_err(|error| Error::internal(error.to_string()))?;
        put_in(&mut model, rows.slots(row, &template.slots)?.0, Some(signature));
        // It leaves the house, so it must be one that we would write.
        artifact::read_model(&model)?;
        Ok(Some(model))
    }
}

/// The signature of a model with some of all groups' classes.
pub(crate) fn own_signature<'a>(whole: &'a Signature, places: &[i64]) -> Result<std::borrow::Cow<'a, Signature>> {
    if whole.task != Task::Classification || places.len() == whole.classes.len() {
        return Ok(std::borrow::Cow::Borrowed(whole));
    }
    let class = |place: &i64| usize::try_from(*place).ok().and_then(|place| whole.classes.get(place)).cloned();
    let classes = places.iter().map(class).collect::<Option<Vec<_>>>();
    let classes = classes.filter(|classes| classes.len() >= 2);
    let classes =
        classes.ok_or_else(|| malformed("expected a group's classes among those of all groups".to_owned()))?;
    Ok(std::borrow::Cow::Owned(Signature { classes, ..whole.clone() }))
}
