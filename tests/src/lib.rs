//! What Limn's tests stand on: the real binary, real clients, SQL test files, the style gate.
//!
//! The tests use Limn as its users do: over the wire, or through the engine seam that the edges use. Everything here
//! answers with a [`Failure`] instead of panicking, so that a test reads as a list of steps that end in `?`.
//!
//! # Layout
//! - [`server`]: a `limn serve` of its own for one test; [`wire`]: a Flight SQL connection to it;
//!   [`raw`], [`bare`]: ones that send exactly what a test says
//! - [`engine`]: an engine in this process on a directory of its own
//! - [`cells`]: how a value reads in an SQL test file; [`slt`]: those files, run in process and over the wire
//! - [`terminal`]: a program in a pseudo-terminal
//! - [`python`], [`maven`]: stock clients, fetched at their first use
//! - [`soak`]: many connections with a mix of work for a while; [`malformed`]: calls that no client makes;
//!   [`choices`]: what both pick from a seed
//! - [`torture`]: writers at random against a model in memory
//! - [`tidy`]: the style gate
//! - [`crash_disk`]: a disk that loses what was not synced
//! - [`paths`]: where things lie

pub mod bare;
pub mod cells;
pub mod choices;
pub mod crash_disk;
pub mod engine;
mod failure;
pub mod malformed;
pub mod maven;
pub mod paths;
pub mod python;
pub mod raw;
pub mod rival;
pub mod server;
pub mod slt;
pub mod soak;
pub mod terminal;
pub mod tidy;
mod tool;
pub mod torture;
pub mod wire;

pub use failure::{Context, Failure, Outcome, ensure, fail};
pub use server::TestServer;
