//! A panic in an algorithm, or in a library below it, as an error of the training.
//!
//! It knows nothing of algorithms.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Error, Result};

/// Does `work`; a panic in it, on whatever thread of the workers, is an `Internal` error with the panic's text. What `work`
/// leaves half done must not be read afterwards.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(Error::internal(said(panic.as_ref()))))
}

/// What a panic said.
fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("its training failed: {}", text.unwrap_or("a panic without a text"))
}
