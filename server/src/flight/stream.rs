//! A stream of batches as the messages of a `DoGet`.
//!
//! The engine runs ahead of a slow reader by a few batches, in a task of its own, where a panic becomes an error: a
//! stream that just ended would pass for a complete result. The schema is always sent, also before no rows. A client
//! that drops the stream cancels the statement. Whole results are never buffered. A statement whose reader is slow lets
//! others run meanwhile, and one that nobody reads for long ends.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow::record_batch::RecordBatch;
use arrow_flight::encode::{DictionaryHandling, FlightDataEncoder, FlightDataEncoderBuilder};
use arrow_flight::error::FlightError;
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::DropGuard;
use tonic::Status;

use super::compute;
use super::direct::{Messages, Place};
use super::execution;
use super::rope::{self, Ropes};
use super::status::to_status;
use crate::engine::{BatchStream, Run, StatementContext};
use crate::limits::{SLOW_READER_GRACE, WIRE_BATCHES_BUFFERED, WIRE_FLIGHT_DATA_BYTES, WIRE_MESSAGE_BYTES_MAX};
use crate::{Error, Result};

/// What every `DoGet` answers.
pub type FlightStream = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send + 'static>>;

/// The run of a statement, and its schema and batches once it has begun.
pub type Begun = (Run, Result<(SchemaRef, BatchStream)>);

/// Begins a statement, and answers its messages; it ends where nobody reads them for `stall`.
///
/// It begins in the task that computes its rows and does not wait to be asked for them: a short result is complete by
/// the time that its first message is sent.
pub async fn running(
    ctx: StatementContext,
    begun: impl Future<Output = Begun> + Send + 'static,
    stall: Duration,
) -> Result<Running> {
    let (work, outcome) = work(ctx, begun, stall);
    compute::spawn(work);
    outcome.running().await
}

/// The same for a statement that gives no more batches than wait for a reader: it is done to the end by the caller.
pub async fn complete(
    ctx: StatementContext,
    begun: impl Future<Output = Begun> + Send + 'static,
    stall: Duration,
) -> Result<Running> {
    let (work, outcome) = work(ctx, begun, stall);
    work.await;
    outcome.running().await
}

/// What the work on a statement tells.
struct Outcome {
    query_id: String,
    cancel: DropGuard,
    schema: oneshot::Receiver<Result<SchemaRef>>,
    batches: mpsc::Receiver<RecordBatch>,
    /// How it ended takes a way of its own: where nobody reads, the other one is full.
    ended: oneshot::Receiver<Result<()>>,
}

/// The work on a statement, and what it will tell.
fn work(
    ctx: StatementContext,
    begun: impl Future<Output = Begun> + Send + 'static,
    stall: Duration,
) -> (impl Future<Output = ()> + Send + 'static, Outcome) {
    let (sender, batches) = mpsc::channel(WIRE_BATCHES_BUFFERED);
    let (told, schema) = oneshot::channel();
    let (fate, ended) = oneshot::channel();
    let outcome =
        Outcome { query_id: ctx.query_id.clone(), cancel: ctx.cancel.clone().drop_guard(), schema, batches, ended };
    let work = async move {
        let (mut run, begun) = begun.await;
        match begun {
            Ok((schema, batches)) => {
                // Where nobody waits for it, the statement is cancelled, which the pump sees.
                let _waits = told.send(Ok(schema));
                pump(ctx, run, batches, Reader { sender, stall }, fate).await;
            }
            Err(error) => drop(told.send(Err(run.failed(error)))),
        }
    };
    (work, outcome)
}

impl Outcome {
    /// The statement, once it has begun.
    async fn running(self) -> Result<Running> {
        let stopping = || Error::unavailable("the server is stopping");
        let schema = self.schema.await.unwrap_or_else(|_| Err(stopping()))?;
        let last = futures::stream::once(self.ended).filter_map(move |fate| {
            let fate = fate.unwrap_or_else(|_| Err(stopping()));
            std::future::ready(fate.err().map(Err))
        });
        let results = ReceiverStream::new(self.batches).map(Ok).chain(last);
        let query_id = self.query_id;
        let batches = results.map_err(move |error: Error| to_status(&error, &query_id)).boxed();
        Ok(Running { schema, batches, cancel: self.cancel })
    }
}

/// A statement that has begun.
pub struct Running {
    schema: SchemaRef,
    batches: BoxStream<'static, Result<RecordBatch, Status>>,
    cancel: DropGuard,
}

impl Running {
    /// Its messages, in `place` where there is one and they can go there; an empty stream stands for them then.
    pub fn to(self, place: Option<&Place>) -> Result<FlightStream> {
        let is_dictionary = |field: &&Field| matches!(field.data_type(), DataType::Dictionary(_, _));
        match place {
            Some(place) if !self.schema.flattened_fields().iter().any(is_dictionary) => {
                place.put(self.ropes()?);
                Ok(Box::pin(futures::stream::empty()))
            }
            _ => Ok(self.messages()),
        }
    }

    /// Its messages.
    pub fn messages(self) -> FlightStream {
        let messages = encode(self.schema, self.batches.map_err(FlightError::from)).map_err(Status::from);
        let messages = messages.and_then(|data| std::future::ready(within_limit(data)));
        Box::pin(UntilDropped { messages, _cancel: self.cancel })
    }

    /// Its messages as they go over the wire, whose buffers are those of the batches.
    fn ropes(self) -> Result<Messages> {
        let mut ropes = Ropes::new(&self.schema)?;
        let schema = FlightData::from(SchemaAsIpc::new(&self.schema, &IpcWriteOptions::default()));
        let first = futures::stream::iter([Ok(VecDeque::from([rope::whole(&schema)]))]);
        let rest = split(self.batches).map(move |batch| ropes.message(&batch?).map_err(|error| to_status(&error, "")));
        Ok(Box::pin(UntilDropped { messages: first.chain(rest), _cancel: self.cancel }))
    }
}

/// The messages of a result that is there already.
pub fn finished(schema: SchemaRef, batches: Vec<RecordBatch>) -> FlightStream {
    let results = futures::stream::iter(batches.into_iter().map(Ok));
    Box::pin(encode(schema, results).map_err(Status::from).and_then(|data| std::future::ready(within_limit(data))))
}

fn encode(
    schema: SchemaRef,
    batches: impl Stream<Item = Result<RecordBatch, FlightError>> + Send + 'static,
) -> FlightDataEncoder {
    FlightDataEncoderBuilder::new()
        .with_schema(schema)
        // The encoder's own splitting takes all rows for equally large and counts what a slice does not show.
        .with_max_flight_data_size(WIRE_MESSAGE_BYTES_MAX)
        // Where the schema has dictionaries, the client has asked for them.
        .with_dictionary_handling(DictionaryHandling::Resend)
        .build(split(batches))
}

/// The same rows in batches that every client takes.
fn split<E: Send + 'static>(
    batches: impl Stream<Item = Result<RecordBatch, E>> + Send + 'static,
) -> impl Stream<Item = Result<RecordBatch, E>> + Send + 'static {
    batches.map_ok(|batch| futures::stream::iter(pieces(batch).into_iter().map(Ok))).try_flatten()
}

/// A batch as batches of at most [`WIRE_FLIGHT_DATA_BYTES`], or of one row where a row is larger than that.
fn pieces(batch: RecordBatch) -> Vec<RecordBatch> {
    let mut pieces = Vec::new();
    let mut rest = batch;
    while rest.num_rows() > 1 && bytes(&rest) > WIRE_FLIGHT_DATA_BYTES {
        // The longest front that fits; a longer front is never smaller, so halving the doubt finds it.
        let (mut fits, mut too_many) = (1, rest.num_rows());
        while too_many - fits > 1 {
            let middle = fits + (too_many - fits) / 2;
            match bytes(&rest.slice(0, middle)) <= WIRE_FLIGHT_DATA_BYTES {
                true => fits = middle,
                false => too_many = middle,
            }
        }
        pieces.push(rest.slice(0, fits));
        rest = rest.slice(fits, rest.num_rows() - fits);
    }
    pieces.push(rest);
    pieces
}

/// The bytes that a batch's own rows take; an array that cannot tell counts whole.
fn bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

/// The bytes of a column; of a list, those of the items that its rows have, not of all that it shares a buffer with.
fn column_bytes(column: &ArrayRef) -> usize {
    let items = |values: &ArrayRef, first: usize, last: usize| column_bytes(&values.slice(first, last - first));
    let offset = |offset: Option<&i32>| offset.and_then(|at| usize::try_from(*at).ok()).unwrap_or(0);
    match column.data_type() {
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            items(list.values(), offset(list.offsets().first()), offset(list.offsets().last())) + 4 * list.len()
        }
        DataType::Map(_, _) => {
            let map = column.as_map();
            let (first, last) = (offset(map.offsets().first()), offset(map.offsets().last()));
            map.entries().columns().iter().map(|values| items(values, first, last)).sum::<usize>() + 4 * map.len()
        }
        DataType::Struct(_) => column.as_struct().columns().iter().map(column_bytes).sum(),
        _ => column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size()),
    }
}

/// Where batches go, and how long they wait for somebody to take them.
struct Reader {
    sender: mpsc::Sender<RecordBatch>,
    stall: Duration,
}

/// Moves batches from the engine to the wire until either has had enough.
async fn pump(
    ctx: StatementContext,
    mut run: Run,
    mut batches: BatchStream,
    reader: Reader,
    fate: oneshot::Sender<Result<()>>,
) {
    let ended = execution::catch(async {
        loop {
            let next = async { batches.next().await.transpose() };
            let Some(batch) = ctx.run(next).await? else { return Ok(()) };
            let bytes = u64::try_from(bytes(&batch)).unwrap_or(u64::MAX);
            run.sent(u64::try_from(batch.num_rows()).unwrap_or(u64::MAX), bytes);
            ctx.run(hand_over(&mut run, batch, &reader)).await?;
        }
    })
    .await;
    // What the statement holds goes first: its reader may take its time to hear of the end.
    drop(batches);
    let ended = run.ended(ended);
    drop(run);
    // Where the receiver is gone, nobody is left to be told.
    let _ = fate.send(ended);
}

/// Gives a batch to the reader, who may be slow but not asleep.
async fn hand_over(run: &mut Run, batch: RecordBatch, reader: &Reader) -> Result<()> {
    let mut place = std::pin::pin!(reader.sender.reserve());
    let reserved = match tokio::time::timeout(SLOW_READER_GRACE.min(reader.stall), &mut place).await {
        Ok(reserved) => reserved,
        Err(_slow) => {
            run.pause();
            tokio::time::timeout(reader.stall, &mut place).await.map_err(|_asleep| {
                Error::exhausted(format!(
                    "nobody read the result for {} ms, so the statement was cancelled",
                    reader.stall.as_millis()
                ))
                .with_hint("read results as they come, or save them in a table; the limit is `result_read_stall`")
            })?
        }
    };
    reserved.map_err(|_| Error::cancelled("the client went away"))?.send(batch);
    run.resume().await
}

/// One row can be larger than any message may be; splitting batches does not help it.
fn within_limit(data: FlightData) -> Result<FlightData, Status> {
    match data.data_body.len() {
        0..=WIRE_MESSAGE_BYTES_MAX => Ok(data),
        bytes => Err(to_status(&rope::too_large(bytes), "")),
    }
}

/// A stream of messages that cancels its statement when it is dropped, read to the end or not.
struct UntilDropped<S> {
    messages: S,
    _cancel: DropGuard,
}

impl<S: Stream + Unpin> Stream for UntilDropped<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.messages.poll_next_unpin(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StringArray};
    use arrow::datatypes::{Field, Int64Type, Schema};
    use arrow_flight::decode::FlightRecordBatchStream;
    use tonic::Code;

    use super::*;
    use crate::engine::{Principal, Queries, Session};
    use crate::limits::Limits;
    use crate::telemetry::Metrics;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
    }

    fn numbers(from: i64, to: i64) -> RecordBatch {
        RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(from..to))]).unwrap()
    }

    struct Fixture {
        ctx: StatementContext,
        queries: Queries,
    }

    impl Fixture {
        fn new() -> Self {
            let ctx = StatementContext::new(Principal::anonymous(), Arc::new(Session::new()));
            Fixture { ctx, queries: Queries::new(&Limits::default(), Metrics::default()) }
        }

        async fn run(&self, batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static) -> FlightStream {
            self.stalling(batches, Duration::from_secs(600)).await
        }

        async fn stalling(
            &self,
            batches: impl Stream<Item = Result<RecordBatch>> + Send + 'static,
            stall: Duration,
        ) -> FlightStream {
            let run = self.queries.begin(&self.ctx, "SELECT 1");
            let begun: Begun = (run, Ok((schema(), Box::pin(batches))));
            running(self.ctx.clone(), std::future::ready(begun), stall).await.unwrap().messages()
        }
    }

    #[tokio::test]
    async fn no_rows_still_send_the_schema() {
        let fixture = Fixture::new();
        for messages in [fixture.run(futures::stream::empty()).await, finished(schema(), vec![])] {
            let all: Vec<FlightData> = messages.try_collect().await.unwrap();
            assert_eq!(all.len(), 1);
            assert_eq!(&Schema::try_from(&all[0]).unwrap(), schema().as_ref());
        }
    }

    #[tokio::test]
    async fn batches_arrive_in_order() {
        let fixture = Fixture::new();
        let batches = futures::stream::iter((0..10).map(|i| Ok(numbers(i * 10, i * 10 + 10))));
        let messages = fixture.run(batches).await.map_err(FlightError::from);
        let read: Vec<RecordBatch> =
            FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
        assert_eq!(arrow::compute::concat_batches(&schema(), &read).unwrap(), numbers(0, 100));
    }

    #[tokio::test]
    async fn large_batches_are_split_below_the_smallest_client() {
        let text = "x".repeat(1000);
        let column: ArrayRef = Arc::new(StringArray::from_iter_values((0..20_000).map(|_| text.as_str())));
        let batch = RecordBatch::try_from_iter(vec![("s", column)]).unwrap();
        let messages: Vec<FlightData> = finished(batch.schema(), vec![batch]).try_collect().await.unwrap();
        assert!(messages.len() > 5);
        assert!(messages.iter().all(|data| data.data_body.len() < 4 * 1024 * 1024));
    }

    #[tokio::test]
    async fn rows_of_different_sizes_are_split_by_their_bytes() {
        let mut texts = vec!["small".to_string(); 8000];
        texts.splice(0..0, (0..4).map(|_| "x".repeat(1_800_000)));
        let column: ArrayRef = Arc::new(StringArray::from(texts));
        let batch = RecordBatch::try_from_iter(vec![("s", column)]).unwrap();
        let messages: Vec<FlightData> = finished(batch.schema(), vec![batch.clone()]).try_collect().await.unwrap();
        assert!(messages.iter().all(|data| data.data_body.len() < 4 * 1024 * 1024));
        assert!(messages.len() < 12, "{} messages", messages.len());
        let decoded = futures::stream::iter(messages.into_iter().map(Ok));
        let read: Vec<RecordBatch> =
            FlightRecordBatchStream::new_from_flight_data(decoded).try_collect().await.unwrap();
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &read).unwrap(), batch);
    }

    #[test]
    fn lists_are_split_too() {
        let lists = (0..4000_i64).map(|i| Some(vec![Some(i); 200]));
        let column: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
        let batch = RecordBatch::try_from_iter(vec![("l", column)]).unwrap();
        let split = pieces(batch.clone());
        assert!((3..=8).contains(&split.len()), "{} pieces", split.len());
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &split).unwrap(), batch);
    }

    #[tokio::test]
    async fn dropping_the_stream_cancels_the_statement() {
        let fixture = Fixture::new();
        let mut messages = fixture.run(futures::stream::pending()).await;
        assert!(messages.next().await.is_some(), "the schema comes first");
        assert!(!fixture.ctx.cancel.is_cancelled());
        drop(messages);
        assert!(fixture.ctx.cancel.is_cancelled());
    }

    #[tokio::test]
    async fn an_error_or_a_panic_never_looks_like_the_end() {
        let failing = futures::stream::iter([Ok(numbers(0, 1)), Err(Error::conflict("lost"))]);
        let all: Vec<_> = Fixture::new().run(failing).await.collect().await;
        assert_eq!(all.last().unwrap().as_ref().unwrap_err().code(), Code::Aborted);
        let panicking = futures::stream::once(async { panic!("boom") });
        let all: Vec<_> = Fixture::new().run(panicking).await.collect().await;
        assert_eq!(all.last().unwrap().as_ref().unwrap_err().code(), Code::Internal);
    }

    #[tokio::test]
    async fn a_result_that_nobody_reads_ends_in_an_error_and_holds_nothing() {
        let fixture = Fixture::new();
        let (alive, ended) = oneshot::channel::<()>();
        let endless = futures::stream::unfold(alive, |alive| async move { Some((Ok(numbers(0, 10)), alive)) });
        let mut messages = fixture.stalling(endless, Duration::from_millis(20)).await;
        assert!(messages.next().await.is_some(), "the schema comes first");
        // The engine's stream is dropped although the reader has neither read on nor gone away.
        assert!(ended.await.is_err());
        fixture.queries.idle().await;
        let rest: Vec<_> = messages.collect().await;
        assert!(rest.len() <= WIRE_BATCHES_BUFFERED + 2, "{} messages were kept", rest.len());
        let status = rest.last().unwrap().as_ref().unwrap_err();
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.message().contains("`result_read_stall`"), "{}", status.message());
        assert_eq!(fixture.queries.records()[0].error_class, Some("exhausted"));
    }

    #[tokio::test]
    async fn a_cancelled_statement_ends_in_cancelled() {
        let fixture = Fixture::new();
        let messages = fixture.run(futures::stream::pending()).await;
        fixture.ctx.cancel.cancel();
        let all: Vec<_> = messages.collect().await;
        assert_eq!(all.last().unwrap().as_ref().unwrap_err().code(), Code::Cancelled);
    }

    #[tokio::test]
    async fn a_passed_deadline_ends_in_deadline_exceeded() {
        let mut fixture = Fixture::new();
        fixture.ctx.deadline = Some(std::time::Instant::now());
        let all: Vec<_> = fixture.run(futures::stream::pending()).await.collect().await;
        assert_eq!(all.last().unwrap().as_ref().unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[tokio::test]
    async fn what_does_not_begin_is_an_error_and_no_stream() {
        let fixture = Fixture::new();
        let run = fixture.queries.begin(&fixture.ctx, "SELECT 1");
        let begun: Begun = (run, Err(Error::not_found("gone")));
        let answer = running(fixture.ctx.clone(), std::future::ready(begun), Duration::from_secs(600)).await;
        assert_eq!(answer.err().map(|error| error.class()), Some(crate::Class::NotFound));
        fixture.queries.idle().await;
        assert_eq!(fixture.queries.records()[0].error_class, Some("not_found"));
    }

    #[tokio::test]
    async fn a_client_that_leaves_before_it_begins_cancels_it() {
        let fixture = Fixture::new();
        let (entered, inside) = oneshot::channel();
        let own = fixture.ctx.clone();
        let run = fixture.queries.begin(&fixture.ctx, "SELECT 1");
        let begun = async move {
            entered.send(()).unwrap();
            (run, own.run(std::future::pending()).await)
        };
        let mut answer = Box::pin(running(fixture.ctx.clone(), begun, Duration::from_secs(600)));
        tokio::select! {
            _ = &mut answer => panic!("it has begun"),
            inside = inside => inside.unwrap(),
        }
        drop(answer);
        fixture.queries.idle().await;
        assert_eq!(fixture.queries.records()[0].error_class, Some("cancelled"));
    }
}
