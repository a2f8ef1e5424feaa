//! The only way from [`Error`] to a gRPC status: the class becomes the code, text and hint become the message.
//!
//! Clients read the hint after a line `hint: `. The text of an internal error stays in the log; the client gets the
//! query id under which it is found. It knows nothing of statements.

use tonic::metadata::MetadataValue;
use tonic::{Code, Status};

use crate::limits::WIRE_STATUS_BYTES_MAX;
use crate::{Class, Error, Result};

/// The header that names the failed statement, as the log does.
pub const QUERY_ID_HEADER: &str = "limn-query-id";

/// The status that a client sees. `query_id` is where the log has the details; it travels as a header too.
pub fn to_status(error: &Error, query_id: &str) -> Status {
    let mut status = without_header(error, query_id);
    if let (false, Ok(id)) = (query_id.is_empty(), MetadataValue::try_from(query_id)) {
        status.metadata_mut().insert(QUERY_ID_HEADER, id);
    }
    status
}

fn without_header(error: &Error, query_id: &str) -> Status {
    let code = code(error.class());
    if error.class() == Class::Internal {
        tracing::error!(query.id = query_id, "internal error in query {query_id}: {error}");
        let message = format!("internal error; the server's log has the details under query `{query_id}`");
        return Status::new(code, message);
    }
    Status::new(code, message(error.message(), error.hint()))
}

/// The result of a request that is no statement, as a client sees it.
pub fn answer<T>(result: Result<T>) -> Result<T, Status> {
    result.map_err(|error| to_status(&error, &uuid::Uuid::new_v4().simple().to_string()))
}

/// gRPC's code for a class, <https://grpc.io/docs/guides/status-codes/>.
fn code(class: Class) -> Code {
    match class {
        Class::Input => Code::InvalidArgument,
        Class::NotFound => Code::NotFound,
        Class::AlreadyExists => Code::AlreadyExists,
        Class::Unauthenticated => Code::Unauthenticated,
        Class::Denied => Code::PermissionDenied,
        Class::Unsupported => Code::Unimplemented,
        Class::Exhausted => Code::ResourceExhausted,
        Class::Cancelled => Code::Cancelled,
        Class::DeadlineExceeded => Code::DeadlineExceeded,
        Class::Conflict => Code::Aborted,
        Class::Unavailable => Code::Unavailable,
        Class::Internal => Code::Internal,
    }
}

/// Text and hint within the wire's limit. A long text is cut, so that the hint survives.
fn message(text: &str, hint: Option<&str>) -> String {
    let hint = hint.map(|hint| format!("\nhint: {}", cut(hint, WIRE_STATUS_BYTES_MAX / 2))).unwrap_or_default();
    let room = WIRE_STATUS_BYTES_MAX.saturating_sub(encoded_len(&hint));
    format!("{}{hint}", cut(text, room))
}

/// The longest beginning of `text` that takes at most `max` bytes on the wire, with `…` where something is missing.
fn cut(text: &str, max: usize) -> String {
    if encoded_len(text) <= max {
        return text.to_string();
    }
    let room = max.saturating_sub(encoded_len("…"));
    let mut taken = 0;
    let kept: String = text
        .chars()
        .take_while(|c| {
            taken += encoded_len(c.encode_utf8(&mut [0; 4]));
            taken <= room
        })
        .collect();
    format!("{kept}…")
}

/// Bytes of `text` as the header `grpc-message`, which is percent-encoded: three for each byte that is not plain.
fn encoded_len(text: &str) -> usize {
    text.bytes().map(|b| if b.is_ascii_alphanumeric() || b"-_.,:;()[]=*/'".contains(&b) { 1 } else { 3 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real percent-encoder's view: what hyper will put on the wire for this message.
    fn header_len(status: &Status) -> usize {
        let headers = status.clone().into_http::<()>();
        headers.headers().get("grpc-message").unwrap().len()
    }

    #[test]
    fn each_class_has_its_code() {
        for (error, expected) in [
            (Error::input("x"), Code::InvalidArgument),
            (Error::not_found("x"), Code::NotFound),
            (Error::already_exists("x"), Code::AlreadyExists),
            (Error::unauthenticated("x"), Code::Unauthenticated),
            (Error::denied("x"), Code::PermissionDenied),
            (Error::unsupported("x"), Code::Unimplemented),
            (Error::exhausted("x"), Code::ResourceExhausted),
            (Error::cancelled("x"), Code::Cancelled),
            (Error::deadline_exceeded("x"), Code::DeadlineExceeded),
            (Error::conflict("x"), Code::Aborted),
            (Error::unavailable("x"), Code::Unavailable),
        ] {
            let status = to_status(&error, "q");
            assert_eq!((status.code(), status.message()), (expected, "x"));
        }
    }

    #[test]
    fn internal_text_stays_in_the_log() {
        let status = to_status(&Error::internal("secret path /x").with_hint("secret"), "abc");
        assert_eq!(status.code(), Code::Internal);
        assert!(status.message().contains("query `abc`") && !status.message().contains("secret"));
        assert_eq!(status.metadata().get(QUERY_ID_HEADER).unwrap(), "abc");
        assert!(to_status(&Error::input("x"), "").metadata().is_empty());
    }

    #[test]
    fn the_hint_is_on_a_line_of_its_own() {
        let status = to_status(&Error::input("unknown column `a`").with_hint("did you mean `b`?"), "q");
        assert_eq!(status.message(), "unknown column `a`\nhint: did you mean `b`?");
    }

    #[test]
    fn a_long_text_is_cut_and_keeps_its_hint() {
        for filler in ["x", "é", "\u{1F980}", "` ` ", "%"] {
            let error = Error::input(filler.repeat(100_000)).with_hint("shorten it");
            let status = to_status(&error, "q");
            assert!(status.message().ends_with("…\nhint: shorten it"), "{filler}");
            let length = header_len(&status);
            assert!(length <= WIRE_STATUS_BYTES_MAX, "{filler}: {length} bytes");
            assert!(length > WIRE_STATUS_BYTES_MAX / 2, "{filler}: cut to {length} bytes, more than needed");
        }
    }

    #[test]
    fn a_long_hint_leaves_room_for_the_text() {
        let status = to_status(&Error::input("short").with_hint("é".repeat(100_000)), "q");
        assert!(status.message().starts_with("short\nhint: é"));
        assert!(header_len(&status) <= WIRE_STATUS_BYTES_MAX);
    }
}
