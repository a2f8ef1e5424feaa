//! A Flight connection that sends exactly the headers that a test says, and keeps nothing that comes back.
//!
//! For what stands before statements: handshakes, credentials, TLS. It knows nothing of Limn's crates.

use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, CommandStatementUpdate, ProstMessageExt};
use arrow_flight::{Action, Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use futures::TryStreamExt;
use prost::Message;
use prost::bytes::Bytes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::Outcome;

/// A connection; cloned ones share it and not their headers.
#[derive(Debug, Clone)]
pub struct Bare {
    service: FlightServiceClient<Channel>,
    headers: Vec<(&'static str, String)>,
}

/// What a handshake gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// The header `authorization`, whole.
    pub authorization: String,
    /// The payload of the one message.
    pub payload: Bytes,
}

impl Bare {
    /// Connects to `host:port` without TLS.
    pub async fn connect(address: &str) -> Outcome<Self> {
        Ok(Self::over(Endpoint::from_shared(format!("http://{address}"))?.connect().await?))
    }

    /// Over a connection that is there already.
    pub fn over(channel: Channel) -> Self {
        Bare { service: FlightServiceClient::new(channel), headers: Vec::new() }
    }

    /// The same connection with another header.
    #[must_use]
    pub fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut other = self.clone();
        other.headers.push((name, value.into()));
        other
    }

    /// The same connection as somebody.
    #[must_use]
    pub fn authorized(&self, value: impl Into<String>) -> Self {
        self.with("authorization", value)
    }

    /// A handshake of so many messages.
    pub async fn handshake(&mut self, messages: usize) -> Result<Greeting, Status> {
        let hello = futures::stream::iter(vec![HandshakeRequest::default(); messages]);
        let request = self.request(hello)?;
        let response = self.service.handshake(request).await?;
        let authorization = response.metadata().get("authorization").and_then(|value| value.to_str().ok());
        let authorization = authorization.ok_or_else(|| Status::unknown("no `authorization` header"))?.to_string();
        let answers: Vec<_> = response.into_inner().try_collect().await?;
        match answers.as_slice() {
            [answer] => Ok(Greeting { authorization, payload: answer.payload.clone() }),
            other => Err(Status::unknown(format!("expected one message, found {}", other.len()))),
        }
    }

    /// Runs a statement; its rows as SQL test files show them.
    pub async fn sql(&mut self, sql: &str) -> Result<Vec<Vec<String>>, Status> {
        let (rows, _) = self.sql_with_cookie(sql).await?;
        Ok(rows)
    }

    /// Runs a statement for its effect, in one call.
    pub async fn update(&mut self, sql: &str) -> Result<(), Status> {
        let command = CommandStatementUpdate { query: sql.into(), transaction_id: None };
        let message = FlightData::new().with_descriptor(descriptor(&command));
        let request = self.request(futures::stream::iter([message]))?;
        let _counts: Vec<_> = self.service.do_put(request).await?.into_inner().try_collect().await?;
        Ok(())
    }

    /// The same, and the cookie that the server set.
    pub async fn sql_with_cookie(&mut self, sql: &str) -> Result<(Vec<Vec<String>>, Option<String>), Status> {
        let command = CommandStatementQuery { query: sql.into(), transaction_id: None };
        let request = self.request(descriptor(&command))?;
        let response = self.service.get_flight_info(request).await?;
        let cookie = response.metadata().get("set-cookie").and_then(|value| value.to_str().ok());
        let cookie = cookie.and_then(|value| value.split(';').next()).map(str::to_string);
        let info = response.into_inner();
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let request = self.request(ticket.ok_or_else(|| Status::unknown("no ticket"))?)?;
        let stream = self.service.do_get(request).await?.into_inner().map_err(FlightError::from);
        let stream = FlightRecordBatchStream::new_from_flight_data(stream);
        let batches: Vec<_> = stream.try_collect().await.map_err(|error| match error {
            FlightError::Tonic(status) => *status,
            other => Status::unknown(other.to_string()),
        })?;
        let rows = crate::cells::rows(&batches).map_err(|failure| Status::unknown(failure.text()))?;
        Ok((rows, cookie))
    }

    /// An action without a body, or with one.
    pub async fn action(&mut self, name: &str, body: Vec<u8>) -> Result<Vec<Bytes>, Status> {
        let request = self.request(Action::new(name, body))?;
        self.service.do_action(request).await?.into_inner().map_ok(|result| result.body).try_collect().await
    }

    /// Each call of the service, and how it ended; none of them changes anything.
    pub async fn each_call(&mut self) -> Result<Vec<(&'static str, Code)>, Status> {
        let code = |status: Option<Status>| status.map_or(Code::Ok, |status| status.code());
        let query = CommandStatementQuery { query: "SELECT 1".into(), transaction_id: None };
        let update = CommandStatementUpdate { query: "RESET schema".into(), transaction_id: None };
        let put = FlightData::new().with_descriptor(descriptor(&update));
        let mut service = self.service.clone();
        let criteria = self.request(Criteria::default())?;
        let info = self.request(descriptor(&query))?;
        let poll = self.request(descriptor(&query))?;
        let schema = self.request(descriptor(&query))?;
        let ticket = self.request(Ticket { ticket: "no ticket".into() })?;
        let puts = self.request(futures::stream::iter([put]))?;
        let exchange = self.request(futures::stream::iter([FlightData::new()]))?;
        let close = self.request(Action::new("GetSessionOptions", Vec::new()))?;
        let empty = self.request(Empty {})?;
        Ok(vec![
            ("Handshake", code(self.handshake(1).await.err())),
            ("ListFlights", code(service.list_flights(criteria).await.err())),
            ("GetFlightInfo", code(service.get_flight_info(info).await.err())),
            ("PollFlightInfo", code(service.poll_flight_info(poll).await.err())),
            ("GetSchema", code(service.get_schema(schema).await.err())),
            ("DoGet", code(service.do_get(ticket).await.err())),
            ("DoPut", code(service.do_put(puts).await.err())),
            ("DoExchange", code(service.do_exchange(exchange).await.err())),
            ("DoAction", code(service.do_action(close).await.err())),
            ("ListActions", code(service.list_actions(empty).await.err())),
        ])
    }

    fn request<T>(&self, message: T) -> Result<Request<T>, Status> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            let value = value.parse().map_err(|_| Status::unknown(format!("`{value}` is no header")))?;
            request.metadata_mut().append(*name, value);
        }
        Ok(request)
    }
}

fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}
