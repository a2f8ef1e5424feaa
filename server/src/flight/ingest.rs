//! `DoPut` of `CommandStatementIngest`: a client's batches into a table.
//!
//! Messages are decoded in the call's own future and handed to the engine through a short queue, so a slow disk slows
//! the client down and nothing piles up. It knows how a stream ends, and nothing of tables.

use std::pin::pin;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::FlightData;
use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use futures::Stream;
use tokio::sync::mpsc;
use tonic::Status;

use super::decode::Incoming;
use super::execution;
use super::service::Shared;
use super::session::Caller;
use super::statement::outside_transactions;
use super::status::to_status;
use crate::engine::{BatchStream, IfExists, IfMissing, IngestRequest, Kind, StatementContext};
use crate::limits::{INGEST_BATCHES_BUFFERED, INGEST_STALL};
use crate::{Error, Result};

/// Takes the rows of `messages`; answers how many there were once they are durable.
pub async fn run(
    shared: &Shared,
    caller: &Caller,
    command: CommandStatementIngest,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<i64, Status> {
    let ctx = caller.statement();
    let mut run = shared.engine.queries().begin(&ctx, &described(&command));
    run.is(Kind::Effect);
    let done = async {
        run.admit().await?;
        let rows = taken(shared, &ctx, command, messages).await?;
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
    command: CommandStatementIngest,
    messages: impl Stream<Item = Result<FlightData, Status>> + Send + 'static,
) -> Result<u64> {
    let request = request_of(command)?;
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

/// What a client asks for.
fn request_of(command: CommandStatementIngest) -> Result<IngestRequest> {
    outside_transactions(command.transaction_id.as_ref())?;
    if let Some(option) = command.options.keys().min() {
        return Err(Error::input(format!("unknown ingestion option `{option}`, there are none")));
    }
    let asked = command.table_definition_options.ok_or_else(|| unspecified("table definition options"))?;
    let if_missing = match TableNotExistOption::try_from(asked.if_not_exist) {
        Ok(TableNotExistOption::Create) => IfMissing::Create,
        Ok(TableNotExistOption::Fail) => IfMissing::Fail,
        Ok(TableNotExistOption::Unspecified) | Err(_) => {
            return Err(unspecified("what to do where the table is missing"));
        }
    };
    let if_exists = match TableExistsOption::try_from(asked.if_exists) {
        Ok(TableExistsOption::Fail) => IfExists::Fail,
        Ok(TableExistsOption::Append) => IfExists::Append,
        Ok(TableExistsOption::Replace) => IfExists::Replace,
        Ok(TableExistsOption::Unspecified) | Err(_) => return Err(unspecified("what to do where the table exists")),
    };
    let CommandStatementIngest { catalog, schema, table, temporary, .. } = command;
    Ok(IngestRequest { catalog, schema, table, if_missing, if_exists, temporary })
}

fn unspecified(what: &str) -> Error {
    Error::input(format!("the ingestion does not say {what}"))
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
    use arrow_flight::sql::TableDefinitionOptions;
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

    fn command(if_not_exist: TableNotExistOption, if_exists: TableExistsOption) -> CommandStatementIngest {
        let options = TableDefinitionOptions { if_not_exist: if_not_exist as i32, if_exists: if_exists as i32 };
        CommandStatementIngest {
            table_definition_options: Some(options),
            table: "t".into(),
            schema: None,
            catalog: None,
            temporary: false,
            transaction_id: None,
            options: Default::default(),
        }
    }

    #[test]
    fn what_is_not_said_or_not_known_is_refused() {
        let good = command(TableNotExistOption::Create, TableExistsOption::Append);
        let request = request_of(good.clone()).unwrap();
        assert_eq!((request.if_missing, request.if_exists), (IfMissing::Create, IfExists::Append));
        for (bad, class) in [
            (command(TableNotExistOption::Unspecified, TableExistsOption::Append), Class::Input),
            (command(TableNotExistOption::Create, TableExistsOption::Unspecified), Class::Input),
            (CommandStatementIngest { table_definition_options: None, ..good.clone() }, Class::Input),
            (CommandStatementIngest { transaction_id: Some("x".into()), ..good.clone() }, Class::Unsupported),
            (CommandStatementIngest { options: [("k".into(), "v".into())].into(), ..good }, Class::Input),
        ] {
            assert_eq!(request_of(bad).unwrap_err().class(), class);
        }
    }
}
