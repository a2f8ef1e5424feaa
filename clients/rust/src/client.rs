//! A connection with a session: queries, updates, prepared statements.
//!
//! The session is named by the bearer token that the server gives in the handshake; cloned clients share it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo};
use futures::{Stream, TryStreamExt};
use prost::Message;
use prost::bytes::Bytes;
use tonic::Request;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;

use crate::connect::{self, Identity};
use crate::{Class, ConnectOptions, Error, Prepared, Result, Rows};

/// A client of one server. Cheap to clone; clones share connection and session.
#[derive(Debug, Clone)]
pub struct Client {
    inner: FlightServiceClient<Channel>,
    options: Arc<ConnectOptions>,
    identity: Arc<Mutex<Identity>>,
    timeout: Option<Duration>,
}

impl Client {
    /// Connects to a URL as [`ConnectOptions::parse`] reads it, and opens a session.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::connect_with(&ConnectOptions::parse(url)?).await
    }

    /// Connects and opens a session.
    ///
    /// `Unavailable` where nobody answers in time or the certificates do not suit each other, `Unauthenticated` where
    /// the server wants (other) credentials, `Input` where the options contradict themselves.
    pub async fn connect_with(options: &ConnectOptions) -> Result<Self> {
        let (inner, identity) = connect::open(options).await?;
        Ok(Client {
            inner,
            options: Arc::new(options.clone()),
            identity: Arc::new(Mutex::new(identity)),
            timeout: options.timeout,
        })
    }

    /// How this client was connected.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// A client of the same session whose calls may take this long each; `None` is without a bound.
    ///
    /// The deadline covers a result until its last row. A statement that exceeds it is stopped by the server and answers
    /// [`Class::DeadlineExceeded`].
    #[must_use]
    pub fn with_timeout(&self, timeout: Option<Duration>) -> Self {
        Client { timeout, ..self.clone() }
    }

    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Runs one statement and streams its rows; an effect is complete when this returns.
    ///
    /// Dropping the future or the rows cancels the statement on the server.
    pub async fn query(&self, sql: &str) -> Result<Rows> {
        self.rows(&CommandStatementQuery { query: sql.to_string(), transaction_id: None }).await
    }

    /// Runs one statement for its effect; the number of rows changed, or -1 for a query.
    pub async fn execute(&self, sql: &str) -> Result<i64> {
        let command = CommandStatementUpdate { query: sql.to_string(), transaction_id: None };
        let first = FlightData::new().with_descriptor(descriptor(&command));
        self.update(futures::stream::iter([first])).await
    }

    /// Prepares a statement with parameters `?` or `$1`, `$2`, …
    pub async fn prepare(&self, sql: &str) -> Result<Prepared> {
        Prepared::create(self.clone(), sql).await
    }

    /// `GetFlightInfo` and `DoGet` of a command.
    pub(crate) async fn rows(&self, command: &impl ProstMessageExt) -> Result<Rows> {
        let response = self.service().get_flight_info(self.request(descriptor(command))).await?;
        self.remember(response.metadata());
        self.redeem(response.into_inner()).await
    }

    /// `DoGet` of what a `FlightInfo` promises.
    pub(crate) async fn redeem(&self, info: FlightInfo) -> Result<Rows> {
        let ticket = match info.endpoint.as_slice() {
            [only] => only.ticket.clone(),
            [] => None,
            several => {
                let text = format!("expected one endpoint, found {}", several.len());
                return Err(Error::new(Class::Unsupported, text));
            }
        };
        let ticket = ticket.ok_or_else(|| Error::new(Class::Internal, "the server gave no ticket"))?;
        let response = self.service().do_get(self.request(ticket)).await?;
        Rows::new(self.clone(), info, response.into_inner())
    }

    /// `DoPut` of an update; its row count.
    pub(crate) async fn update(&self, messages: impl Stream<Item = FlightData> + Send + 'static) -> Result<i64> {
        let metadata = self.put(messages).await?;
        let metadata = metadata.ok_or_else(|| Error::new(Class::Internal, "the server answered no row count"))?;
        Ok(DoPutUpdateResult::decode(metadata)?.record_count)
    }

    /// `DoPut`; the metadata of the first answer. The rest is read, because an error may be at the end.
    pub(crate) async fn put(&self, messages: impl Stream<Item = FlightData> + Send + 'static) -> Result<Option<Bytes>> {
        let response = self.service().do_put(self.request(messages)).await?;
        self.remember(response.metadata());
        let mut answers = response.into_inner();
        let first = answers.message().await?.map(|result| result.app_metadata);
        while answers.message().await?.is_some() {}
        Ok(first)
    }

    /// `DoAction`; the bodies of its answers.
    pub(crate) async fn action(&self, name: &str, body: Vec<u8>) -> Result<Vec<Bytes>> {
        let response = self.service().do_action(self.request(Action::new(name, body))).await?;
        self.remember(response.metadata());
        let bodies = response.into_inner().map_ok(|result| result.body);
        Ok(bodies.try_collect().await?)
    }

    /// `DoAction` with one answer.
    pub(crate) async fn action_once(&self, name: &str, body: Vec<u8>) -> Result<Bytes> {
        let answer = self.action(name, body).await?.into_iter().next();
        answer.ok_or_else(|| Error::new(Class::Internal, format!("the server answered nothing to `{name}`")))
    }

    pub(crate) fn service(&self) -> FlightServiceClient<Channel> {
        self.inner.clone()
    }

    /// A call with the caller's identity and this client's deadline.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        self.identity().sign(request.metadata_mut());
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        request
    }

    pub(crate) fn remember(&self, metadata: &MetadataMap) {
        self.identity().remember(metadata);
    }

    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        // Port 1 is reserved and nobody listens on it.
        let error = Client::connect("grpc://ada:hidden@127.0.0.1:1").await.unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
        assert!(error.message().starts_with("cannot reach the server at `grpc://ada@127.0.0.1:1`: "), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_is_waited_for_in_vain_and_not_for_ever() {
        // It accepts and never answers.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut options = ConnectOptions::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        options.connect_timeout = Duration::from_millis(50);
        let error = Client::connect_with(&options).await.unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
        assert!(error.message().ends_with("no answer in 0.05 s"), "{error}");
    }
}
