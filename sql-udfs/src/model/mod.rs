//! The model artifact and what evaluates it.
//!
//! # Layout
//! - [`reference`]: `name`, `name@alias`, `name/version` as text
//! - [`signature`]: features, target, classes
//! - [`onnx`]: the ONNX messages that we write and read
//! - `artifact`: a model with its metadata, to bytes and back
//! - [`evaluator`]: the trait that every evaluator implements, and [`evaluator::load`]
//! - `kernel`: native evaluators over Arrow columns; `linear` and `tree` are two, each with its ONNX form beside it
//! - `columns`: Arrow values as 64-bit floats; `outputs`: the outputs that all graphs share

pub(crate) mod artifact;
pub(crate) mod columns;
pub mod evaluator;
pub(crate) mod kernel;
pub(crate) mod linear;
pub mod onnx;
pub(crate) mod outputs;
pub mod reference;
pub mod signature;

pub(crate) mod tree;

#[cfg(test)]
mod tests;
