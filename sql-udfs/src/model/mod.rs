//! The model artifact and what evaluates it.
//!
//! # Layout
//! - [`reference`]: `name`, `name@alias`, `name/version` as text
//! - [`signature`]: features, target, classes
//! - [`onnx`]: the ONNX messages that we write and read
//! - [`evaluator`]: the trait that every evaluator implements, and [`evaluator::load`]

pub mod evaluator;
pub mod onnx;
pub mod reference;
pub mod signature;
