//! The handles that clients send back: those of prepared statements, and those by which effects are polled.
//!
//! Only what has a handle's form is ever looked up, so no map is asked for a text that a client made up at length. It
//! knows nothing of what is behind a handle.

use arrow_flight::FlightDescriptor;
use arrow_flight::sql::Any;
use prost::Message;

/// The type of the commands that poll handles are.
const POLL_URL: &str = "type.googleapis.com/limn.PollHandle";

/// A fresh handle, which nobody can guess.
pub fn fresh() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A prepared statement's handle, where the bytes have the form of one.
pub fn prepared(handle: &[u8]) -> Option<&str> {
    let is_one = handle.len() == 32 && handle.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    std::str::from_utf8(handle).ok().filter(|_| is_one)
}

/// What a client polls by.
pub fn poll_descriptor(handle: &str) -> FlightDescriptor {
    let any = Any { type_url: POLL_URL.into(), value: handle.to_string().into_bytes().into() };
    FlightDescriptor::new_cmd(any.encode_to_vec())
}

/// The poll handle that a descriptor is, where it is one.
pub fn poll(descriptor: &FlightDescriptor) -> Option<String> {
    let any = Any::decode(descriptor.cmd.as_ref()).ok().filter(|any| any.type_url == POLL_URL)?;
    String::from_utf8(any.value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descriptor_gives_its_handle_back_and_no_other_does() {
        assert_eq!(poll(&poll_descriptor("abc")).as_deref(), Some("abc"));
        assert_eq!(poll(&FlightDescriptor::new_cmd("abc")), None);
        assert_eq!(poll(&FlightDescriptor::new_path(vec!["abc".into()])), None);
    }

    #[test]
    fn only_what_was_given_out_has_the_form_of_a_handle() {
        let fresh = fresh();
        assert_eq!(prepared(fresh.as_bytes()), Some(fresh.as_str()));
        let upper = fresh.to_uppercase() + "F";
        for other in [b"".as_slice(), b"abc", &[0xFF; 32], &[b'g'; 32], upper.as_bytes(), &[b'0'; 31], &[b'0'; 33]] {
            assert_eq!(prepared(other), None, "{other:?}");
        }
    }
}
