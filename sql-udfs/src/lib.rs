//! What an expression or a learning algorithm of Limn computes, without I/O.
//!
//! # Layout
//! - [`functions`]: PREDICT and the other SQL functions, one file each
//! - [`json`]: JSON texts as exact values, to and from Arrow
//! - [`model`]: the artifact (ONNX in and out), signatures, native evaluators
//! - [`limits`]: every limit of the crate
//! - [`train`]: learning algorithms over Arrow batches, splits, metrics
//!
//! No tokio, no tonic, no file, no clock and no server in here: everything is a function of its arguments.

mod error;
pub mod functions;
pub mod json;
pub mod limits;
pub mod model;
pub mod train;

pub use error::{Error, ErrorClass, Result};
