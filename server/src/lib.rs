//! Limn's server: the engine, the registry, and the protocol edges.
//!
//! # Layout, from the edges down
//! - [`command`]: `limn serve`, `limn demo`, `limn sql`
//! - [`flight`]: Arrow Flight SQL ⇄ engine; the only place that knows tonic and arrow_flight
//! - [`http`]: health and metrics; the only place that knows axum
//! - [`engine`]: sessions, planning, execution, cancellation: Arrow in and out, no protocol
//! - [`sql`]: the dialect: statements, version clauses, rewrites; parses and plans, executes nothing
//! - [`training`]: a TRAIN statement, start to end
//! - [`registry`]: experiments, runs, models, versions, aliases, as system tables
//! - [`lake`]: catalog, Delta tables, commits, storage; the only place that knows deltalake
//! - [`tls`]: certificates and handshakes of both listeners
//! - [`config`], [`limits`], [`error`], [`telemetry`], [`allocator`]
//!
//! Edges → engine → sql; engine → training → registry → lake. Nothing points back up; what a lower part needs from
//! above is a trait that it owns.

pub mod allocator;
pub mod command;
pub mod config;
pub mod engine;
pub mod error;
pub mod flight;
pub mod http;
pub mod lake;
pub mod limits;
pub mod registry;
pub mod sql;
pub mod telemetry;
pub mod tls;
pub mod training;

pub use error::{Class, Error, Result};
