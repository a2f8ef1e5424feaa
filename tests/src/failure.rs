//! The one way in which a test's step fails: a text and the place where it happened.
//!
//! It is not a [`std::error::Error`], so that every error converts into it with `?`.

use std::fmt::{self, Debug, Display};
use std::panic::Location;

/// Why a test failed.
pub struct Failure {
    text: String,
    at: &'static Location<'static>,
}

/// What a test or a step of one gives.
pub type Outcome<T = ()> = Result<T, Failure>;

/// A failure with this text.
#[track_caller]
pub fn fail(text: impl Display) -> Failure {
    Failure { text: text.to_string(), at: Location::caller() }
}

/// A failure with this text unless `condition` holds.
#[track_caller]
pub fn ensure(condition: bool, text: impl FnOnce() -> String) -> Outcome {
    if condition { Ok(()) } else { Err(fail(text())) }
}

impl Failure {
    /// The text without the place.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        fail(error)
    }
}

// The test runner prints `Debug`; a person reads it.
impl Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  at {}", self.text, self.at)
    }
}

/// Says what was being done when an error came up.
pub trait Context<T> {
    /// `what: error`.
    fn context(self, what: impl Display) -> Outcome<T>;
}

impl<T, E: Into<Failure>> Context<T> for Result<T, E> {
    #[track_caller]
    fn context(self, what: impl Display) -> Outcome<T> {
        match self {
            Ok(value) => Ok(value),
            Err(error) => {
                let inner: Failure = error.into();
                Err(fail(format!("{what}: {}", inner.text)))
            }
        }
    }
}

impl<T> Context<T> for Option<T> {
    #[track_caller]
    fn context(self, what: impl Display) -> Outcome<T> {
        match self {
            Some(value) => Ok(value),
            None => Err(fail(what)),
        }
    }
}
