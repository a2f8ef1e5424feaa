//! The model artifact and what evaluates it.
//!
//! # Layout
//! - [`reference`]: `name`, `name@alias`, `name/version` as text
//! - [`signature`]: features, target, classes
//! - [`onnx`]: the ONNX messages that we write and read
//! - `artifact`: a model with its metadata, to bytes and back
//! - [`evaluator`]: the trait that every evaluator implements, and [`evaluator::load`]
//! - `kernel`: native computations over columns; `linear`, `tree`, `gaussian_nb`, `svm`, `kmeans`, `gaussian_mixture`,
//!   `dbscan` and `pca` are some, each with its ONNX form beside it
//! - `filled`: what kernels that measure distances do to inputs first; `distances`: the distances; `near`: a k-d tree
//! - `native`: Arrow around a kernel; `columns` and `design`: Arrow values as the numbers that kernels take
//! - `contents`: weights and nodes as rows
//! - `outputs`: the outputs that all graphs share

pub(crate) mod artifact;
pub(crate) mod columns;
pub(crate) mod contents;
pub(crate) mod dbscan;
pub(crate) mod design;
pub(crate) mod distances;
pub mod evaluator;
pub(crate) mod filled;
pub(crate) mod gaussian_mixture;
pub(crate) mod gaussian_nb;
pub(crate) mod kernel;
pub(crate) mod kmeans;
pub(crate) mod lanes;
pub(crate) mod linear;
pub(crate) mod native;
pub(crate) mod near;
pub mod onnx;
pub(crate) mod outputs;
pub mod partition;
pub(crate) mod pca;
mod ranges;
pub mod reference;
pub mod signature;
pub(crate) mod svm;

pub(crate) mod trees;

#[cfg(test)]
mod specimens;
#[cfg(test)]
mod tests;
