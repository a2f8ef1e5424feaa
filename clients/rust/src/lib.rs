//! A typed Flight SQL client for Limn.
//!
//! `limn sql` and the kernel use it; it depends on nothing of the server and talks to any Flight SQL server, of which
//! it expects what Limn promises: one endpoint for each result.
//!
//! # Layout
//! - [`Client`]: connect, query, execute, prepare
//! - [`Rows`]: a result as it streams in
//! - [`Error`], [`Class`]: what went wrong, parsed back from the status
//! - [`split`]: a script into statements
//!
//! ```no_run
//! # async fn example() -> limn_client::Result<()> {
//! use futures::TryStreamExt;
//! let client = limn_client::Client::connect("grpc://127.0.0.1:50051").await?;
//! let rows = client.query("SELECT 1 AS one").await?;
//! println!("{:?}", rows.schema());
//! let batches: Vec<_> = rows.try_collect().await?;
//! # Ok(()) }
//! ```

mod client;
mod connect;
mod error;
mod options;
mod prepared;
mod rows;
pub mod split;

pub use client::Client;
pub use error::{Class, Error, Result};
pub use options::{ConnectOptions, DEFAULT_CONNECT_TIMEOUT, DEFAULT_PORT, Secret};
pub use prepared::Prepared;
pub use rows::{CancelHandle, Rows};
