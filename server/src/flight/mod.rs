//! Arrow Flight SQL ⇄ engine. The only place that knows tonic and arrow_flight.
//!
//! Each method decodes, asks the engine, encodes. Nothing in here plans a statement or decides what it means.
//!
//! # Layout
//! - [`serve`]: the gRPC server and its limits; `linger`: how its connections end; `oversize`: what is too large
//! - `service`, `dispatch`: the calls, and each Flight SQL command to its file
//! - `statement`, `prepared`, `update`, `ingest`, `poll`: running statements; `execution` in what, on the
//!   threads of `compute`, `stream` to where
//! - `parameters`, `decode`, `ipc`: what clients bind and send; `ingest_request`, `references`: what they name
//! - `ticket`: what `GetFlightInfo` gives and `DoGet` takes
//! - `catalogs`, `schemas`, `tables`, `table_types`, `keys`, `type_info`, `sql_info`: metadata; `columns` names types
//! - `gate`, `auth`, `certificate`: who is let in
//! - `session`, `session_options`, `headers`, `handles`: who asks, in which session
//! - `fuzzed`: what holds for any bytes
//! - `cancel`, `schema`, `info`: smaller answers; `status`: errors, the one way

mod auth;
mod cancel;
mod catalogs;
mod certificate;
mod columns;
mod compute;
mod decode;
mod direct;
mod dispatch;
mod execution;
#[cfg(test)]
mod fuzzed;
mod gate;
mod handles;
mod headers;
mod info;
mod ingest;
mod ingest_request;
mod ipc;
mod keys;
mod linger;
mod oversize;
mod parameters;
mod plans;
mod poll;
mod prepared;
mod references;
mod rope;
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
use futures::stream::{self as streams, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::engine::{Engine, LocalSecret};
use crate::limits::{WIRE_HEADER_BYTES_MAX, WIRE_KEEPALIVE_INTERVAL, WIRE_KEEPALIVE_TIMEOUT, WIRE_MESSAGE_BYTES_MAX};
use crate::tls::{self, Connection, Protocol, Tls};
use crate::{Error, Result};

/// Where connections come from, and on what terms.
#[derive(Debug)]
pub struct Entrance {
    /// The listener for everyone.
    pub listener: TcpListener,
    /// Its certificates.
    pub tls: Option<Arc<Tls>>,
    /// A listener without TLS for this machine's own tools, who present the secret.
    pub local: Option<TcpListener>,
    /// What they present.
    pub local_secret: LocalSecret,
    /// Whether everyone is let in while there are no users.
    pub open: bool,
}

impl Entrance {
    fn incoming(listener: TcpListener, tls: Option<Arc<Tls>>, local: Option<TcpListener>) -> Incoming {
        let plain = |listener: TcpListener, local: bool| -> Incoming {
            let streams = TcpIncoming::from(listener).with_nodelay(Some(true));
            streams.map_ok(move |stream| linger::Lingering::new(Connection::Plain(stream), local)).boxed()
        };
        let main = match tls {
            None => plain(listener, false),
            Some(tls) => ReceiverStream::new(tls::accept(listener, tls, Protocol::Grpc))
                .map(|(connection, _)| Ok(linger::Lingering::new(connection, false)))
                .boxed(),
        };
        match local {
            None => main,
            Some(local) => streams::select(main, plain(local, true)).boxed(),
        }
    }
}

type Incoming = BoxStream<'static, std::io::Result<linger::Lingering>>;

/// Serves until `closing` fires and the open calls are answered. Once `draining` fires, it takes no new work.
pub async fn serve(
    entrance: Entrance,
    engine: Engine,
    draining: CancellationToken,
    closing: CancellationToken,
) -> Result<()> {
    let message_bytes = engine.limits().max_message_bytes;
    let Entrance { listener, tls, local, local_secret, open } = entrance;
    let gate = gate::Gate::new(engine.users().clone(), open, local_secret);
    let shared = Arc::new(service::Shared::new(engine, gate, draining)?);
    shared.show();
    let background = shared.background.clone();
    let tidy = closing.child_token();
    let _until_served = tidy.clone().drop_guard();
    tokio::spawn(Arc::clone(&shared).keep_tidy(tidy));
    let service = Arc::new(service::Service::new(shared));
    let grpc = FlightServiceServer::from_arc(Arc::clone(&service))
        .max_decoding_message_size(message_bytes)
        .max_encoding_message_size(WIRE_MESSAGE_BYTES_MAX + HEADROOM_BYTES);
    Server::builder()
        .http2_keepalive_interval(Some(WIRE_KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(WIRE_KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(WIRE_HEADER_BYTES_MAX)
        .add_service(oversize::Oversize::new(direct::Direct::new(grpc, service, message_bytes), message_bytes))
        .serve_with_incoming_shutdown(Entrance::incoming(listener, tls, local), closing.cancelled_owned())
        .await
        .map_err(|error| Error::internal(format!("the Flight SQL listener failed: {error}")))?;
    // Effects that somebody polls are no open calls, and are finished too.
    background.close();
    background.wait().await;
    Ok(())
}

/// What a message has around its body: the stream checks bodies with a text, tonic would check the whole without one.
const HEADROOM_BYTES: usize = 1024 * 1024;
