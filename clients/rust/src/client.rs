//! A connection with a session: queries, updates, prepared statements.
//!
//! The session is named by the bearer token that the server gives in the handshake; cloned clients share it.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::datatypes::Schema;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt};
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, IpcMessage};
use futures::{Stream, TryStreamExt};
use prost::Message;
use tonic::Request;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::{Class, Error, Prepared, Result, Rows};

/// Bytes of one message from the server.
const MESSAGE_BYTES_MAX: usize = 65 * 1024 * 1024;

/// A client of one server. Cheap to clone; clones share connection and session.
#[derive(Debug, Clone)]
pub struct Client {
    inner: FlightServiceClient<Channel>,
    // The server may replace the token in any response.
    token: Arc<Mutex<Option<MetadataValue<tonic::metadata::Ascii>>>>,
}

impl Client {
    /// Connects to `grpc://HOST:PORT` (also `grpc+tcp`, `flightsql`, `http`, or none) and opens a session.
    pub async fn connect(url: &str) -> Result<Self> {
        let unreachable = |error: tonic::transport::Error| {
            Error::new(Class::Unavailable, format!("cannot reach the server at `{url}`: {}", root(&error)))
        };
        let endpoint = Endpoint::from_shared(http_url(url)?)
            .map_err(|_| {
                Error::new(Class::Input, format!("expected a URL like `grpc://localhost:50051`, found `{url}`"))
            })?
            .tcp_nodelay(true);
        let channel = endpoint.connect().await.map_err(unreachable)?;
        let inner = FlightServiceClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let client = Client { inner, token: Arc::default() };
        let hello = futures::stream::iter([HandshakeRequest::default()]);
        let response = client.service().handshake(hello).await?;
        client.remember(response.metadata());
        Ok(client)
    }

    /// Runs one statement and streams its rows; an effect is complete when this returns.
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
        let info = response.into_inner();
        let affected = u64::try_from(info.total_records).ok();
        let schema = schema_of(&info)?;
        let ticket = info.endpoint.into_iter().next().and_then(|endpoint| endpoint.ticket);
        let ticket = ticket.ok_or_else(|| Error::new(Class::Internal, "the server gave no ticket"))?;
        let response = self.service().do_get(self.request(ticket)).await?;
        let messages = response.into_inner().map_err(FlightError::from);
        Ok(Rows {
            schema: Arc::new(schema),
            affected,
            batches: FlightRecordBatchStream::new_from_flight_data(messages),
        })
    }

    /// `DoPut` of an update; its row count.
    pub(crate) async fn update(&self, messages: impl Stream<Item = FlightData> + Send + 'static) -> Result<i64> {
        let metadata = self.put(messages).await?;
        let metadata = metadata.ok_or_else(|| Error::new(Class::Internal, "the server answered no row count"))?;
        Ok(DoPutUpdateResult::decode(metadata)?.record_count)
    }

    /// `DoPut`; the metadata of the first answer.
    pub(crate) async fn put(
        &self,
        messages: impl Stream<Item = FlightData> + Send + 'static,
    ) -> Result<Option<prost::bytes::Bytes>> {
        let response = self.service().do_put(self.request(messages)).await?;
        self.remember(response.metadata());
        Ok(response.into_inner().message().await?.map(|result| result.app_metadata))
    }

    /// `DoAction`; the bodies of its answers.
    pub(crate) async fn action(&self, action: Action) -> Result<Vec<prost::bytes::Bytes>> {
        let response = self.service().do_action(self.request(action)).await?;
        self.remember(response.metadata());
        let bodies = response.into_inner().map_ok(|result| result.body);
        Ok(bodies.try_collect().await?)
    }

    fn service(&self) -> FlightServiceClient<Channel> {
        self.inner.clone()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", token);
        }
        request
    }

    fn remember(&self, metadata: &MetadataMap) {
        if let Some(token) = metadata.get("authorization") {
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        }
    }
}

pub(crate) fn descriptor(command: &impl ProstMessageExt) -> FlightDescriptor {
    FlightDescriptor::new_cmd(command.as_any().encode_to_vec())
}

fn schema_of(info: &FlightInfo) -> Result<Schema> {
    Ok(Schema::try_from(IpcMessage(info.schema.clone()))?)
}

/// The URL as tonic wants it.
fn http_url(url: &str) -> Result<String> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("grpc", url));
    match scheme.to_ascii_lowercase().as_str() {
        "grpc" | "grpc+tcp" | "flightsql" | "http" => Ok(format!("http://{rest}")),
        "grpc+tls" | "https" => Err(Error::new(Class::Unsupported, "this client does not speak TLS yet")),
        other => {
            Err(Error::new(Class::Input, format!("expected a URL like `grpc://localhost:50051`, found `{other}:`")))
        }
    }
}

/// The innermost cause, which is the one that says something.
fn root<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_every_client_tool() {
        for url in ["grpc://h:1", "grpc+tcp://h:1", "flightsql://h:1", "http://h:1", "GRPC://h:1", "h:1"] {
            assert_eq!(http_url(url).unwrap(), "http://h:1", "{url}");
        }
        assert_eq!(http_url("grpc+tls://h:1").unwrap_err().class(), Class::Unsupported);
        assert_eq!(http_url("ftp://h:1").unwrap_err().class(), Class::Input);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        // Port 1 is reserved and nobody listens on it.
        let error = Client::connect("grpc://127.0.0.1:1").await.unwrap_err();
        assert_eq!(error.class(), Class::Unavailable);
        assert!(error.message().starts_with("cannot reach the server at `grpc://127.0.0.1:1`: "), "{error}");
    }
}
