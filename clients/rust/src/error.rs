//! What went wrong, in the words of the server: a class to decide by, a text, a hint.
//!
//! It is parsed from the gRPC status; texts are for people and never decide anything.

use std::fmt;

use arrow_flight::error::FlightError;
use tonic::{Code, Status, TimeoutExpired};

use crate::connect::root;

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
    query_id: Option<String>,
}

/// The header in which the server names the failed statement, as its log and `system.queries` do.
const QUERY_ID_HEADER: &str = "limn-query-id";

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given class with the given text.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Error { class, message: message.into(), hint: None, query_id: None }
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

    /// The name of the failed statement in the server's log and in `system.queries`, where the server gives it.
    pub fn query_id(&self) -> Option<&str> {
        self.query_id.as_deref()
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
        // What has a cause on this side was not said by the server.
        if let Some(cause) = std::error::Error::source(&status) {
            return Self::of_transport(cause);
        }
        let class = Class::of(status.code());
        let mut error = match status.message().rsplit_once("\nhint: ") {
            Some((message, hint)) => Error::new(class, message).with_hint(hint),
            None => Error::new(class, status.message()),
        };
        let query_id = status.metadata().get(QUERY_ID_HEADER).and_then(|id| id.to_str().ok());
        error.query_id = query_id.map(str::to_string);
        error
    }
}

impl Error {
    /// A failure of the connection, of which no server speaks.
    fn of_transport(cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut at = Some(cause);
        while let Some(error) = at {
            if error.is::<TimeoutExpired>() {
                return Error::new(Class::DeadlineExceeded, "the server did not answer within the call's time");
            }
            at = error.source();
        }
        Error::new(Class::Unavailable, format!("the connection to the server is lost: {}", root(cause)))
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

    #[test]
    fn the_statement_is_named_where_the_server_names_it() {
        let mut status = Status::invalid_argument("x");
        assert_eq!(Error::from(status.clone()).query_id(), None);
        status.metadata_mut().insert(QUERY_ID_HEADER, "abc".parse().unwrap());
        assert_eq!(Error::from(status).query_id(), Some("abc"));
    }

    #[test]
    fn what_the_connection_did_is_not_taken_for_the_servers_word() {
        let lost = Status::from_error(Box::new(std::io::Error::other("reset by peer")));
        let error = Error::from(lost);
        assert_eq!(error.class(), Class::Unavailable);
        assert_eq!(error.message(), "the connection to the server is lost: reset by peer");
        let late = Status::from_error(Box::new(TimeoutExpired(())));
        assert_eq!(Error::from(late).class(), Class::DeadlineExceeded);
    }
}
