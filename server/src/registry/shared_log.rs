//! The writer of a log that several servers share: what waits goes into the next numbered file, all of it in one frame.
//!
//! The number of a file is that of its first transaction. Where another server has made it, its transactions are
//! published here, what was staged on older rows is given up, and whoever waits decides anew; so no two servers give
//! the same number. It does not know what rows mean.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::frame::{self, Frames, Group};
use super::log::{Failure, Message, Outcome, Reply};
use super::published::{Published, State};
use super::transact::Staging;
use crate::lake::sequence::Sequence;
use crate::limits::REGISTRY_RECORD_BYTES_MAX;
use crate::{Error, Result};

/// The writer's state.
pub struct SharedLog {
    segments: Sequence,
    published: Arc<Published>,
    staging: Arc<Staging>,
    failure: Failure,
}

/// What becomes one frame.
#[derive(Default)]
struct Batch {
    groups: Vec<Group>,
    lines: Vec<Vec<u8>>,
    replies: Vec<Reply>,
    bytes: usize,
}

impl SharedLog {
    /// A writer that goes on after what is published.
    pub fn new(segments: Sequence, published: Arc<Published>, staging: Arc<Staging>) -> Self {
        SharedLog { segments, published, staging, failure: Failure::default() }
    }

    /// Stays empty: after a failed write the log is read again, and then says what became of it.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Starts the task; it ends at [`Message::Stop`] or when every sender is gone.
    pub fn start(self, mut queue: mpsc::Receiver<Message>) {
        tokio::spawn(async move {
            let mut next = None;
            loop {
                let message = match next.take() {
                    Some(message) => message,
                    None => match queue.recv().await {
                        Some(message) => message,
                        None => return,
                    },
                };
                match message {
                    Message::Rotate(answer) => {
                        let read = self.catch_up().await.map(|_| self.published.last().seq);
                        // Whoever asked may be gone.
                        drop(answer.send(read));
                    }
                    Message::Stop(answer) => return answer.send(()).unwrap_or_default(),
                    message => next = self.commit(message, &mut queue).await,
                }
            }
        });
    }

    /// Commits `first` and what waits behind it; gives back the message that did not belong to it.
    async fn commit(&self, first: Message, queue: &mut mpsc::Receiver<Message>) -> Option<Message> {
        let (batch, next) = self.gather(first, queue);
        let done = match batch.lines.is_empty() {
            true => self.catch_up().await.map(|found| if found { Outcome::Lost } else { Outcome::Durable }),
            false => self.append(&batch).await,
        };
        if done.is_err() {
            // What is in the queue was decided on rows that may never be.
            self.give_up();
        }
        for reply in batch.replies {
            let outcome = match (&done, reply.epoch) {
                // Decided on no rows: it only asked to see the newest.
                (Ok(_), u64::MAX) => Ok(Outcome::Durable),
                (done, _) => done.clone(),
            };
            // Whoever asked may be gone; the transaction holds all the same.
            drop(reply.answer.send(outcome));
        }
        next
    }

    fn gather(&self, first: Message, queue: &mut mpsc::Receiver<Message>) -> (Batch, Option<Message>) {
        let epoch = self.staging.lock().epoch;
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Append(_, _, reply) | Message::Barrier(reply) if reply.epoch < epoch => {
                    drop(reply.answer.send(Ok(Outcome::Lost)));
                }
                // Every line ends with a line feed in the frame.
                Message::Append(group, line, reply)
                    if batch.lines.is_empty() || batch.bytes + line.len() < REGISTRY_RECORD_BYTES_MAX =>
                {
                    batch.bytes += line.len() + 1;
                    batch.groups.push(group);
                    batch.lines.push(line);
                    batch.replies.push(reply);
                }
                Message::Barrier(reply) => batch.replies.push(reply),
                other => {
                    next = Some(other);
                    break;
                }
            }
            next = queue.try_recv().ok();
        }
        (batch, next)
    }

    async fn append(&self, batch: &Batch) -> Result<Outcome> {
        let number = self.published.last().seq + 1;
        let mut content = frame::header(number);
        content.extend(frame::frame(batch.lines.iter().map(Vec::as_slice))?);
        let made = self.segments.make(number, content).await.map_err(unwritten)?;
        if made {
            self.published.publish(batch.groups.clone());
            return Ok(Outcome::Durable);
        }
        if !self.catch_up().await? {
            return Err(Error::internal(format!("the registry's file {number} is taken and cannot be read")));
        }
        Ok(Outcome::Lost)
    }

    /// Publishes what other servers wrote; whether there was anything.
    async fn catch_up(&self) -> Result<bool> {
        let mut found = false;
        while let Some(groups) = read(&self.segments, self.published.last().seq + 1).await? {
            self.published.publish(groups);
            found = true;
        }
        if found {
            self.give_up();
        }
        Ok(found)
    }

    /// Gives up what is staged and not durable.
    fn give_up(&self) {
        let mut staged = self.staging.lock();
        staged.epoch += 1;
        staged.index = self.published.read().index.clone();
    }
}

fn unwritten(error: Error) -> Error {
    Error::unavailable(format!("the registry's log cannot be written: {}", error.message()))
        .with_hint("the change may have been made all the same: look before you send it again")
}

/// The transactions of a file; `None` where nobody has made it.
async fn read(segments: &Sequence, number: u64) -> Result<Option<Vec<Group>>> {
    let Some(content) = segments.read(number).await? else { return Ok(None) };
    let named = |error: Error| error.context(format!("the registry's file {number}"));
    frame::check_header(&content, number).map_err(named)?;
    let Frames { groups, fault, .. } = frame::read(&content);
    let in_order = groups.iter().zip(number..).all(|((_, group), expected)| group.stamp.seq == expected);
    if fault.is_some() || groups.is_empty() || !in_order {
        return Err(named(Error::internal("it is damaged".to_string())));
    }
    Ok(Some(groups.into_iter().map(|(_, group)| group).collect()))
}

/// Takes the log into what was folded.
pub async fn replay(segments: &Sequence, state: &mut State) -> Result<()> {
    let folded = state.index.last_seq();
    let numbers = segments.numbers().await?;
    // From the file that has the first transaction which is not folded; a file before it is folded whole.
    let from = numbers.iter().rev().find(|number| **number <= folded + 1).or(numbers.first());
    let Some(mut number) = from.copied() else { return Ok(()) };
    if number > folded + 1 {
        let missing = folded + 1..number;
        return Err(Error::internal(format!(
            "the registry lacks the transactions {} to {}",
            missing.start,
            number - 1
        )));
    }
    while let Some(groups) = read(segments, number).await? {
        groups.iter().for_each(|group| state.apply(group));
        number += groups.len() as u64;
    }
    Ok(())
}
