//! The writer of the registry's log: one thread that writes and syncs what waits, all of it in one frame.
//!
//! It owns the open segment. After a failed write or sync nobody knows what the disk holds, so it refuses everything
//! from then on, until the registry is opened again. It does not know what rows mean: it hands durable transactions
//! to [`Published`].

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use tokio::sync::{mpsc, oneshot};

use super::frame::{self, Group};
use super::published::Published;
use super::segment;
use crate::lake::disk::{Disk, DiskFile};
use crate::limits::REGISTRY_RECORD_BYTES_MAX;
use crate::{Error, Result};

/// What the thread is asked to do, in order.
pub enum Message {
    /// Make a transaction durable and publish it.
    Append(Group, Vec<u8>, Reply),
    /// Answer once everything before is durable.
    Barrier(Reply),
    /// Begin a new segment where the open one has frames; answers the last durable sequence number.
    Rotate(oneshot::Sender<Result<u64>>),
    /// End.
    Stop(oneshot::Sender<()>),
}

/// Who waits for a transaction, or for all before.
pub struct Reply {
    /// On which of the staged rows, counted by how often they were given up, this was decided.
    pub epoch: u64,
    /// The one who waits.
    pub answer: oneshot::Sender<Result<Outcome>>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable, and it was decided on the newest rows.
    Durable,
    /// Another server was first: decide anew.
    Lost,
}

/// Why the log takes no more writes; empty while it does.
pub type Failure = Arc<OnceLock<Error>>;

/// The thread's state.
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file: Box<dyn DiskFile>,
    has_frames: bool,
    published: Arc<Published>,
    failure: Failure,
}

impl LogWriter {
    /// A writer that appends to the segment `first_seq`, which is in place and durable.
    pub fn open(disk: Arc<dyn Disk>, dir: PathBuf, first_seq: u64, published: Arc<Published>) -> Result<Self> {
        let path = segment::path(&dir, first_seq);
        let file = disk.append(&path).map_err(|error| segment::named(error, &path))?;
        let has_frames = published.last().seq >= first_seq;
        Ok(LogWriter { disk, dir, file, has_frames, published, failure: Failure::default() })
    }

    /// Where the thread says that it takes no more writes.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Starts the thread; it ends at [`Message::Stop`] or when every sender is gone.
    pub fn start(mut self, mut queue: mpsc::Receiver<Message>) -> Result<()> {
        let run = move || {
            let mut next = None;
            while let Some(message) = next.take().or_else(|| queue.blocking_recv()) {
                match message {
                    Message::Rotate(answer) => drop(answer.send(self.rotate())),
                    Message::Stop(answer) => {
                        drop(self);
                        // Whoever asked may be gone.
                        answer.send(()).unwrap_or_default();
                        return;
                    }
                    message => next = self.commit(message, &mut queue),
                }
            }
        };
        let thread = std::thread::Builder::new().name("registry-log".into()).spawn(run);
        thread.map(drop).map_err(|error| Error::from(error).context("the registry's writer cannot start"))
    }

    /// Commits `first` and what waits behind it as one frame; gives back the message that did not belong to it.
    fn commit(&mut self, first: Message, queue: &mut mpsc::Receiver<Message>) -> Option<Message> {
        let (mut groups, mut lines, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                // Every line ends with a line feed in the frame.
                Message::Append(group, line, answer)
                    if lines.is_empty() || bytes + line.len() < REGISTRY_RECORD_BYTES_MAX =>
                {
                    bytes += line.len() + 1;
                    groups.push(group);
                    lines.push(line);
                    answers.push(answer);
                }
                Message::Barrier(answer) => answers.push(answer),
                other => {
                    next = Some(other);
                    break;
                }
            }
            next = queue.try_recv().ok();
        }
        let done = self.append(&lines);
        if done.is_ok() {
            self.published.publish(groups);
        }
        for answer in answers {
            // Whoever asked may be gone; the transaction holds all the same.
            drop(answer.answer.send(done.clone().map(|()| Outcome::Durable)));
        }
        next
    }

    fn append(&mut self, lines: &[Vec<u8>]) -> Result<()> {
        self.check()?;
        if lines.is_empty() {
            return Ok(());
        }
        let frame = frame::frame(lines.iter().map(Vec::as_slice))?;
        self.has_frames = true;
        self.file.write_all(&frame).and_then(|()| self.file.sync()).map_err(|error| self.fail(&error))
    }

    fn rotate(&mut self) -> Result<u64> {
        self.check()?;
        let last = self.published.last().seq;
        if self.has_frames {
            // Once the next segment may exist, appending to the one before it would make two stories of one log.
            let path = segment::path(&self.dir, last + 1);
            segment::write(self.disk.as_ref(), &self.dir, last + 1, &[]).map_err(|error| self.fail(&error))?;
            self.file = self.disk.append(&path).map_err(|error| self.fail(&error))?;
            self.has_frames = false;
        }
        Ok(last)
    }

    fn check(&self) -> Result<()> {
        self.failure.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn fail(&self, error: &dyn std::fmt::Display) -> Error {
        tracing::error!(%error, dir = %self.dir.display(), "the registry's log cannot be written");
        let error = Error::unavailable(format!("the registry's log cannot be written: {error}")).with_hint(
            "the registry is read-only until the server starts again; an unanswered change may be there then",
        );
        self.failure.get_or_init(|| error).clone()
    }
}
