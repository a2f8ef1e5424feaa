//! A typed Flight SQL client for Limn.
//!
//! `limn sql` and the kernel use it; it depends on nothing of the server and talks to any Flight SQL server, of which
//! it expects what Limn promises: one endpoint for each result.
//!
//! # Layout
//! - [`ConnectOptions`]: where to connect, as whom, and how
//! - [`Client`]: query, execute, prepare, ingest; what is there; the session's options
//! - [`Prepared`], [`Parameters`], [`params!`]: statements with parameters
//! - [`Rows`]: a result as it streams in; [`CancelHandle`] stops it
//! - [`Error`], [`Class`]: what went wrong, parsed back from the status
//! - [`split`]: a script into statements
//!
//! ```no_run
//! # async fn example() -> limn_client::Result<()> {
//! use futures::TryStreamExt;
//! use limn_client::{Class, Client, ConnectOptions, params};
//!
//! let options = ConnectOptions::parse("grpc+tls://ada@lake.example:50051")?.with_password("secret");
//! let client = Client::connect_with(&options).await?;
//!
//! // A result streams in; dropping it, or its handle, cancels the statement.
//! let mut rows = client.query("SELECT hour, demand_mwh FROM readings").await?;
//! while let Some(batch) = rows.try_next().await? {
//!     println!("{} rows", batch.num_rows());
//! }
//!
//! // One row of parameters, or several.
//! let insert = client.prepare("INSERT INTO readings VALUES (?, ?)").await?;
//! insert.execute(vec![params![1, 512.5], params![2, None::<f64>]]).await?;
//!
//! match client.execute("DROP TABLE redings").await {
//!     Err(error) if error.class() == Class::NotFound => eprintln!("{}; {:?}", error.message(), error.hint()),
//!     other => println!("{} rows changed", other?),
//! }
//! # Ok(()) }
//! ```

mod client;
mod connect;
mod error;
mod ingest;
mod metadata;
mod options;
mod parameter;
mod prepared;
mod progress;
mod rows;
mod session;
pub mod split;

pub use client::Client;
pub use error::{Class, Error, Result};
pub use ingest::{IngestMode, IngestTarget};
pub use metadata::{ServerInfo, Table, TableFilter};
pub use options::{ConnectOptions, DEFAULT_CONNECT_TIMEOUT, DEFAULT_PORT, Secret};
pub use parameter::{Parameter, Parameters};
pub use prepared::Prepared;
pub use rows::{CancelHandle, Rows};
