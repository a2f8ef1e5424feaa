//! `DoPut` of `CommandStatementIngest`: a client's batches into a table.
//!
//! Messages are decoded in the call's own future and handed to the engine through a short queue, so a slow disk slows
//! the client down and nothing piles up. It knows how a stream ends, and nothing of tables.

use std::pin::pin;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::sql::CommandStatementIngest;
use futures::Stream;
use tokio::sync::mpsc;
use tonic::{Request, Status};

use super::decode::Incoming;
use super::execution;
use super::ingest_request::request_of;
use super::service::Shared;
use super::session::Caller;
use super::status::to_status;
use crate::engine::{BatchStream, IngestRequest, Kind, StatementContext};
use crate::limits::{INGEST_BATCHES_BUFFERED, INGEST_STALL};
use crate::{Error, Result};

/// Takes the rows of `request`; answers how many there were once they are durable.
pub async fn run(
    shared: &Shared,
    caller: &Caller,
    command: CommandStatementIngest,
    request: Request<impl Stream<Item = Result<FlightData, Status>> + Send + 'static>,
) -> Result<i64, Status> {
    let ctx = caller.statement();
    let mut run = shared.engine.queries().begin(&ctx, &described(&command));
    run.is(Kind::Effect);
    let done = async {
        run.admit().await?;
        let asked = request_of(command, request.metadata())?;
        let rows = taken(shared, &ctx, asked, request.into_inner()).await?;
        run.changed(Some(rows));
        Ok(rows)
    }
    .await;
    let rows = run.ended(done).map_err(|error| to_status(&error, &ctx.query_id))?;
    Ok(i64::try_from(rows).unwrap_or(i64::MAX))
}

/// How `system.queries` shows an ingestion, which has no text of its own.
fn described(command: &CommandStatementIngest) -> String {
    let name = [command.catalog.as_deref(), command.schema.as_deref(), Some(command.table.as_str())];
    let name: Vec<&str> = name.into_iter().flatten().collect();
    format!("-- bulk ingestion into {}", name.join("."))
}

async fn taken(
    shared: &Shared,
    ctx: &StatementContext,
    request: IngestRequest,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<u64> {
    let mut incoming = Incoming::new(messages, "the rows");
    let (schema, first) = ctx.run(begin(&mut incoming)).await?;
    let (sender, receiver) = mpsc::channel(INGEST_BATCHES_BUFFERED);
    let (engine, own) = (shared.engine.clone(), ctx.clone());
    let mut work =
        pin!(execution::change(ctx, async move { engine.ingest(&own, request, schema, until_end(receiver)).await }));
    let pump = pump(first, incoming, sender);
    tokio::select! {
        // Refused, or stopped, before all of it was sent.
        done = &mut work => return done,
        // What went wrong with the stream reaches the engine through the queue, and comes back as its answer.
        () = pump => {}
    }
    work.await
}

/// The schema, and the first batch where there is one.
async fn begin(incoming: &mut Incoming) -> Result<(SchemaRef, Option<RecordBatch>)> {
    let first = incoming.next().await?;
    let schema = incoming.schema().ok_or_else(|| Error::input("the stream of rows ended before its schema"))?;
    Ok((schema, first))
}

/// What waits in the queue. The end is said: a queue that just closes belongs to a client that went away.
enum Arrived {
    Batch(RecordBatch),
    End,
}

/// Moves batches from the wire to the engine until either has had enough. What goes wrong goes the same way.
async fn pump(first: Option<RecordBatch>, mut incoming: Incoming, queue: mpsc::Sender<Result<Arrived>>) {
    let mut next = Ok(first);
    loop {
        let arrived = match next {
            Ok(Some(batch)) => Ok(Arrived::Batch(batch)),
            Ok(None) => {
                // Tonic shows a call that its client cancelled as a stream that ended. The server drops such a call's
                // future the next time that it waits, which is here; past it, the end is an end.
                tokio::task::yield_now().await;
                Ok(Arrived::End)
            }
            Err(error) => Err(error),
        };
        let last = !matches!(arrived, Ok(Arrived::Batch(_)));
        // Where the engine has had enough, its answer says why.
        if queue.send(arrived).await.is_err() || last {
            return;
        }
        // A client that neither sends nor goes away would keep its place among the statements for ever.
        next = match tokio::time::timeout(INGEST_STALL, incoming.next()).await {
            Ok(next) => next,
            Err(_elapsed) => {
                Err(Error::deadline_exceeded(format!("no rows came for {} seconds", INGEST_STALL.as_secs())))
            }
        };
    }
}

/// The queue as the engine reads it: an error where it closes without an end.
fn until_end(queue: mpsc::Receiver<Result<Arrived>>) -> BatchStream {
    Box::pin(futures::stream::try_unfold(queue, |mut queue| async move {
        match queue.recv().await {
            Some(Ok(Arrived::Batch(batch))) => Ok(Some((batch, queue))),
            Some(Ok(Arrived::End)) => Ok(None),
            Some(Err(error)) => Err(error),
            None => Err(Error::cancelled("the client went away before all rows were there")),
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use futures::TryStreamExt;

    use super::*;
    use crate::Class;

    fn numbers(values: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter([("a", column)]).unwrap()
    }

    fn incoming(batches: Vec<RecordBatch>) -> Incoming {
        let schema = numbers(&[]).schema();
        let batches = futures::stream::iter(batches.into_iter().map(Ok));
        let messages = FlightDataEncoderBuilder::new().with_schema(schema).build(batches);
        Incoming::new(messages.map_err(Status::from), "the rows")
    }

    #[tokio::test]
    async fn all_batches_pass_the_queue_in_order_and_none_is_no_end() {
        for batches in [vec![], vec![numbers(&[1, 2]), numbers(&[3])]] {
            let mut stream = incoming(batches.clone());
            let (schema, first) = begin(&mut stream).await.unwrap();
            assert_eq!(schema, numbers(&[]).schema());
            let (sender, receiver) = mpsc::channel(1);
            let ((), read) =
                tokio::join!(pump(first, stream, sender), until_end(receiver).try_collect::<Vec<RecordBatch>>());
            assert_eq!(read.unwrap(), batches);
        }
    }

    #[tokio::test]
    async fn a_queue_that_just_closes_is_no_end() {
        let (sender, receiver) = mpsc::channel(2);
        sender.send(Ok(Arrived::Batch(numbers(&[1])))).await.unwrap();
        drop(sender);
        let error = until_end(receiver).try_collect::<Vec<RecordBatch>>().await.unwrap_err();
        assert_eq!(error.class(), Class::Cancelled);
    }

    #[tokio::test]
    async fn a_stream_without_a_schema_is_refused() {
        let mut stream = Incoming::new(futures::stream::empty(), "the rows");
        assert_eq!(begin(&mut stream).await.unwrap_err().class(), Class::Input);
    }
}
