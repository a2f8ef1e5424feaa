//! Arrow Flight SQL ⇄ engine. The only place that knows tonic and arrow_flight.
//!
//! Each method decodes, asks the engine, encodes. Nothing in here plans a statement or decides what it means.
//!
//! # Layout
//! - [`serve`]: the gRPC server and its limits; `linger`: how its connections end
//! - `service`, `dispatch`: the calls, and each Flight SQL command to its file
//! - `statement`, `prepared`, `update`, `ingest`, `poll`: running statements; `execution` in what, `stream` to where
//! - `parameters`, `decode`: what clients bind and send
//! - `ticket`: what `GetFlightInfo` gives and `DoGet` takes
//! - `catalogs`, `schemas`, `tables`, `table_types`, `keys`, `type_info`, `sql_info`: metadata; `columns` names types
//! - `auth`, `session`, `session_options`, `handles`: who asks, in which session
//! - `cancel`, `schema`, `info`: smaller answers; `status`: errors, the one way

mod auth;
mod cancel;
mod catalogs;
mod columns;
mod decode;
mod dispatch;
mod execution;
mod handles;
mod info;
mod ingest;
mod keys;
mod linger;
mod parameters;
mod poll;
mod prepared;
mod schema;
mod schemas;
mod service;
mod session;
mod session_options;
mod sql_info;
mod statement;
mod status;
mod stream;
mod table_types;
mod tables;
mod ticket;
mod type_info;
mod update;

use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use futures::TryStreamExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::engine::Engine;
use crate::limits::{WIRE_HEADER_BYTES_MAX, WIRE_KEEPALIVE_INTERVAL, WIRE_KEEPALIVE_TIMEOUT, WIRE_MESSAGE_BYTES_MAX};
use crate::telemetry::Metrics;
use crate::{Error, Result};

/// Serves until `draining` fires and the open calls are answered; `stopping` cancels those that still run.
pub async fn serve(
    listener: TcpListener,
    engine: Engine,
    metrics: Metrics,
    draining: CancellationToken,
    stopping: CancellationToken,
) -> Result<()> {
    let shared = Arc::new(service::Shared::new(engine, metrics, stopping)?);
    let background = shared.background.clone();
    let service = FlightServiceServer::new(service::Service::new(shared))
        .max_decoding_message_size(WIRE_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(WIRE_MESSAGE_BYTES_MAX + HEADROOM_BYTES);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).map_ok(linger::Lingering::new);
    Server::builder()
        .http2_keepalive_interval(Some(WIRE_KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(WIRE_KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(WIRE_HEADER_BYTES_MAX)
        .add_service(service)
        .serve_with_incoming_shutdown(incoming, draining.cancelled_owned())
        .await
        .map_err(|error| Error::internal(format!("the Flight SQL listener failed: {error}")))?;
    // Effects that somebody polls are no open calls, and are finished too.
    background.close();
    background.wait().await;
    Ok(())
}

/// What a message has around its body: the stream checks bodies with a text, tonic would check the whole without one.
const HEADROOM_BYTES: usize = 1024 * 1024;
