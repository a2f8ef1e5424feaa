//! What the wire alone can do: an arrow-flight server that sends batches which it has in memory, and does nothing else.
//!
//! The benchmarks compare results' transfer with it: same library, same messages, no SQL, no files, no sessions.
//! `ceiling FILE.parquet` reads the file, prints its address, and serves until its standard input ends. The statement
//! `table` answers the file's rows, `series` ten million computed ones, anything else one row.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::flight_service_server::{FlightService, FlightServiceServer};
use arrow_flight::sql::server::FlightSqlService;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt, SqlInfo, TicketStatementQuery};
use arrow_flight::{FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use futures::{Stream, TryStreamExt, stream};
use limn_tests::{Context, Outcome, fail};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use prost::Message;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Rows of a batch, as Limn's engine makes them.
const BATCH_ROWS: usize = 8192;
const SERIES_ROWS: i64 = 10_000_000;
const SERIES_COLUMNS: i64 = 10;

#[derive(Clone)]
struct Ceiling {
    table: Arc<Vec<RecordBatch>>,
    series: Arc<Vec<RecordBatch>>,
    one: Arc<Vec<RecordBatch>>,
}

impl Ceiling {
    fn rows(&self, query: &[u8]) -> Result<(&Arc<Vec<RecordBatch>>, &RecordBatch), Status> {
        let batches = match query {
            b"table" => &self.table,
            b"series" => &self.series,
            _ => &self.one,
        };
        Ok((batches, batches.first().ok_or_else(|| Status::not_found("there is no batch"))?))
    }
}

type Answer = Pin<Box<dyn Stream<Item = Result<arrow_flight::FlightData, Status>> + Send>>;

#[tonic::async_trait]
impl FlightSqlService for Ceiling {
    type FlightService = Ceiling;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let (_, first) = self.rows(query.query.as_bytes())?;
        let ticket = TicketStatementQuery { statement_handle: query.query.into_bytes().into() };
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket.as_any().encode_to_vec()));
        let info = FlightInfo::new().try_with_schema(&first.schema()).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(request.into_inner())))
    }

    async fn do_get_statement(
        &self,
        ticket: TicketStatementQuery,
        _request: Request<Ticket>,
    ) -> Result<Response<<Self as FlightService>::DoGetStream>, Status> {
        let (batches, first) = self.rows(&ticket.statement_handle)?;
        let sent = stream::iter(Vec::clone(batches).into_iter().map(Ok));
        let encoded = FlightDataEncoderBuilder::new().with_schema(first.schema()).build(sent);
        let answer: Answer = Box::pin(encoded.map_err(Status::from));
        Ok(Response::new(answer))
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}

fn table(path: &str) -> Outcome<Vec<RecordBatch>> {
    let file = std::fs::File::open(path).context(format!("opening `{path}`"))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(BATCH_ROWS).build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

fn series(rows: i64) -> Outcome<Vec<RecordBatch>> {
    let step = i64::try_from(BATCH_ROWS)?;
    let batch = |from: i64| {
        let column = |c: i64| {
            let values = Int64Array::from_iter_values((from..rows.min(from + step)).map(|value| value + c));
            (format!("c{c}"), Arc::new(values) as ArrayRef)
        };
        Ok(RecordBatch::try_from_iter((0..SERIES_COLUMNS).map(column))?)
    };
    (0..rows).step_by(BATCH_ROWS).map(batch).collect()
}

#[tokio::main(flavor = "multi_thread")]
async fn main() -> Outcome {
    let path = std::env::args().nth(1).ok_or_else(|| fail("expected a Parquet file"))?;
    let ceiling = Ceiling {
        table: Arc::new(table(&path)?),
        series: Arc::new(series(SERIES_ROWS)?),
        one: Arc::new(series(1)?),
    };
    let incoming = TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.with_nodelay(Some(true));
    println!("grpc://{}", incoming.local_addr()?);
    std::io::stdout().flush()?;
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()).is_ok());
    let stop = async { drop(end.await) };
    Server::builder().add_service(FlightServiceServer::new(ceiling)).serve_with_incoming_shutdown(incoming, stop).await?;
    Ok(())
}
