//! What went wrong, in the words of the server: a class to decide by, a text, a hint.
//!
//! It is parsed from the gRPC status; texts are for people and never decide anything.

use std::fmt;

use arrow_flight::error::FlightError;
use tonic::{Code, Status};

/// What kind of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The statement or a value in it is wrong.
    Input,
    /// A named thing does not exist.
    NotFound,
    /// A named thing exists already.
    AlreadyExists,
    /// The server wants credentials.
    Unauthenticated,
    /// The credentials do not suffice.
    Denied,
    /// The server does not do this.
    Unsupported,
    /// A limit was reached.
    Exhausted,
    /// The statement was cancelled.
    Cancelled,
    /// The statement's deadline passed.
    DeadlineExceeded,
    /// Another writer was first; the statement may be sent again.
    Conflict,
    /// The server cannot be reached or takes no statements now.
    Unavailable,
    /// A bug, of the server or of this client.
    Internal,
}

impl Class {
    fn of(code: Code) -> Self {
        match code {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => Class::Input,
            Code::NotFound => Class::NotFound,
            Code::AlreadyExists => Class::AlreadyExists,
            Code::Unauthenticated => Class::Unauthenticated,
            Code::PermissionDenied => Class::Denied,
            Code::Unimplemented => Class::Unsupported,
            Code::ResourceExhausted => Class::Exhausted,
            Code::Cancelled => Class::Cancelled,
            Code::DeadlineExceeded => Class::DeadlineExceeded,
            Code::Aborted => Class::Conflict,
            Code::Unavailable => Class::Unavailable,
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Class::Internal,
        }
    }
}

/// An error with a class, a text, and what would help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    class: Class,
    message: String,
    hint: Option<String>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given class with the given text.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Error { class, message: message.into(), hint: None }
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What to decide by.
    pub fn class(&self) -> Class {
        self.class
    }

    /// The text without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What would help, where the server says so.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let class = Class::of(status.code());
        match status.message().rsplit_once("\nhint: ") {
            Some((message, hint)) => Error::new(class, message).with_hint(hint),
            None => Error::new(class, status.message()),
        }
    }
}

impl From<FlightError> for Error {
    fn from(error: FlightError) -> Self {
        match error {
            FlightError::Tonic(status) => Error::from(*status),
            other => Error::new(Class::Internal, format!("the server's answer cannot be read: {other}")),
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::new(Class::Internal, error.to_string())
    }
}

impl From<prost::DecodeError> for Error {
    fn from(error: prost::DecodeError) -> Self {
        Error::new(Class::Internal, format!("the server's answer cannot be read: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_hint_come_apart() {
        let error = Error::from(Status::not_found("unknown table `t`\nline 2\nhint: did you mean `u`?"));
        assert_eq!(error.class(), Class::NotFound);
        assert_eq!(error.message(), "unknown table `t`\nline 2");
        assert_eq!(error.hint(), Some("did you mean `u`?"));
        assert_eq!(Error::from(Status::aborted("x")), Error::new(Class::Conflict, "x"));
        assert_eq!(error.to_string(), "unknown table `t`\nline 2\nhint: did you mean `u`?");
    }
}
