//! What holds for any bytes that a client may send: each parser of this edge, with the promises that it keeps.
//!
//! The crate `fuzz/` at the root of the repository compiles this file and those that it names by themselves and makes up
//! bytes by the million; what it found worth keeping is in `fuzz/corpus/`, which a test runs through the same functions.
//! A broken promise is a panic here. It knows nothing of statements.

use std::time::Duration;

use arrow_flight::sql::{CommandStatementIngest, TableExistsOption, TableNotExistOption};
use arrow_flight::{FlightData, FlightDescriptor, Ticket as FlightTicket};
use base64::Engine as _;
use bytes::Bytes;
use futures::executor::block_on;
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};

use super::auth::{self, Credentials};
use super::decode::Incoming;
use super::ingest_request::request_of;
use super::ipc::{from_ipc, to_ipc};
use super::ticket::Ticket;
use super::{certificate, headers, references};
use crate::engine::{IfExists, IfMissing, number_placeholders};
use crate::limits::{CLIENT_NAME_CHARS_MAX, WIRE_TICKET_BYTES_MAX};
use crate::{Class, Error};

/// A target by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("ticket", ticket),
    ("handle", handle),
    ("handshake", handshake),
    ("headers", request_headers),
    ("ingest", ingest),
    ("ipc", ipc),
    ("messages", messages),
    ("placeholders", placeholders),
    ("certificate", client_certificate),
];

/// A client's bytes are the client's error, and never the server's.
fn is_the_clients(error: &Error) {
    assert!(matches!(error.class(), Class::Input | Class::Exhausted | Class::Unsupported), "{error:?}");
}

/// A ticket, bare and as Flight SQL wraps it: refused, or understood and then the same once more.
pub fn ticket(bytes: &[u8]) {
    if let Err(error) = Ticket::of_statement(&FlightTicket::new(bytes.to_vec())) {
        is_the_clients(&error);
    }
    let ticket = match Ticket::decode(bytes) {
        Ok(ticket) => ticket,
        Err(error) => return is_the_clients(&error),
    };
    match &ticket {
        Ticket::Query(query) => {
            let _too_old = query.check_age(u64::MAX, Duration::MAX);
            ipc(&query.parameters);
        }
        Ticket::Effect(effect) => ipc(&effect.result),
    }
    match ticket.clone().encode() {
        Ok(wire) => assert_eq!(Ticket::of_statement(&wire).ok(), Some(Some(ticket))),
        Err(error) => assert!(error.class() == Class::Exhausted && bytes.len() > WIRE_TICKET_BYTES_MAX / 2),
    }
}

/// A prepared statement's handle, and a descriptor that may be a poll's.
pub fn handle(bytes: &[u8]) {
    if let Some(text) = references::prepared(bytes) {
        assert_eq!((text.as_bytes(), text.len()), (bytes, 32));
    }
    if let Some(handle) = references::poll(&FlightDescriptor::new_cmd(bytes.to_vec())) {
        assert_eq!(references::poll(&references::poll_descriptor(&handle)), Some(handle));
    }
}

/// The header `authorization`, which is what a handshake is: refused without a word of it, or read as it was meant.
pub fn handshake(bytes: &[u8]) {
    let mut metadata = MetadataMap::new();
    let Ok(value) = MetadataValue::try_from(bytes) else { return };
    metadata.insert("authorization", value);
    let credentials = match Credentials::from_metadata(&metadata) {
        Ok(credentials) => credentials,
        Err(error) => {
            assert_eq!(error.class(), Class::Unauthenticated);
            let known = ["is not ASCII text", "are not base64 of `user:password`", "in the `authorization` header"];
            assert!(known.iter().any(|known| error.message().ends_with(known)), "{error}");
            return;
        }
    };
    assert!(credentials.session_token().is_none_or(|token| auth::is_token(token) && token.len() == 37));
    match &credentials {
        Credentials::None => panic!("a header that is there was not seen"),
        Credentials::Basic { user, password } => {
            assert!(!user.contains(':'));
            let again = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            assert_eq!(Credentials::parse(&format!("Basic {again}")).ok().as_ref(), Some(&credentials));
        }
        Credentials::Bearer(token) => {
            assert_eq!(Credentials::parse(&format!("bearer {token}")).ok().as_ref(), Some(&credentials));
        }
    }
}

/// Cookie, deadline and client name, one a line.
pub fn request_headers(bytes: &[u8]) {
    let mut metadata = MetadataMap::new();
    for (name, line) in ["cookie", "grpc-timeout", "user-agent", "cookie"].iter().zip(bytes.split(|b| *b == b'\n')) {
        if let Ok(value) = MetadataValue::try_from(line) {
            metadata.append(*name, value);
        }
    }
    assert!(headers::cookie(&metadata).is_none_or(|cookie| auth::is_token(&cookie)));
    assert!(headers::timeout(&metadata).is_none_or(|timeout| timeout <= Duration::from_secs(99_999_999 * 3600)));
    assert!(headers::client(&metadata).is_none_or(|client| client.chars().count() <= CLIENT_NAME_CHARS_MAX));
}

/// The command of a bulk ingestion: refused, or taken as it says.
pub fn ingest(bytes: &[u8]) {
    let Ok(command) = CommandStatementIngest::decode(bytes) else { return };
    let request = match request_of(command.clone(), &MetadataMap::new()) {
        Ok(request) => request,
        Err(error) => return is_the_clients(&error),
    };
    assert!(command.transaction_id.as_ref().is_none_or(|id| id.is_empty()) && command.options.is_empty());
    assert_eq!((request.table, request.schema, request.catalog), (command.table, command.schema, command.catalog));
    let options = command.table_definition_options.unwrap_or_default();
    let missing = match request.if_missing {
        IfMissing::Create => TableNotExistOption::Create,
        IfMissing::Fail => TableNotExistOption::Fail,
    };
    let exists = match request.if_exists {
        IfExists::Append => TableExistsOption::Append,
        IfExists::Fail => TableExistsOption::Fail,
        IfExists::Replace => TableExistsOption::Replace,
    };
    assert_eq!((options.if_not_exist, options.if_exists), (missing as i32, exists as i32));
}

/// An Arrow IPC stream, as tickets carry it.
pub fn ipc(bytes: &[u8]) {
    match from_ipc(&Bytes::copy_from_slice(bytes)) {
        // What was accepted can be carried on.
        Ok((schema, batches)) => drop(to_ipc(&schema, &batches)),
        Err(error) => is_the_clients(&error),
    }
}

/// The messages of a `DoPut`: each a header and a body, with their lengths in two bytes before them.
pub fn messages(bytes: &[u8]) {
    let mut rest = bytes;
    let mut messages = Vec::new();
    while let Some((lengths, after)) = rest.split_first_chunk::<4>() {
        let [a, b, c, d] = *lengths;
        let header = usize::from(u16::from_le_bytes([a, b])).min(after.len());
        let (header, after) = after.split_at(header);
        let body = usize::from(u16::from_le_bytes([c, d])).min(after.len());
        let (body, after) = after.split_at(body);
        let data = FlightData::new().with_data_header(header.to_vec()).with_data_body(body.to_vec());
        messages.push(Ok(data));
        rest = after;
    }
    let mut incoming = Incoming::new(futures::stream::iter(messages), "the rows");
    loop {
        match block_on(incoming.next()) {
            Ok(Some(_)) => {}
            Ok(None) => return,
            Err(error) => return is_the_clients(&error),
        }
    }
}

/// Placeholders of a statement: each character comes back, but for some `?`, which are numbered from 1.
pub fn placeholders(bytes: &[u8]) {
    let Ok(sql) = std::str::from_utf8(bytes) else { return };
    let numbered = number_placeholders(sql);
    let (mut rest, mut number) = (&*numbered, 0);
    for c in sql.chars() {
        let next = format!("${}", number + 1);
        rest = match rest.strip_prefix(c) {
            Some(after) => after,
            None => {
                assert_eq!(c, '?');
                number += 1;
                rest.strip_prefix(next.as_str()).unwrap_or_else(|| panic!("expected `{next}` at `{rest}`"))
            }
        };
    }
    assert_eq!(rest, "");
}

/// A client's certificate: it names somebody, or nobody.
pub fn client_certificate(bytes: &[u8]) {
    let name = certificate::name(bytes);
    assert!(name.is_none_or(|name| name.len() <= bytes.len()));
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::engine;

    fn corpus(target: &str) -> Vec<PathBuf> {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn the_kept_corpus_breaks_no_promise() {
        for (target, promise) in TARGETS.into_iter().chain(engine::fuzzed::TARGETS) {
            let files = corpus(target);
            assert!(!files.is_empty(), "no corpus of `{target}`");
            for file in files {
                let bytes = std::fs::read(&file).unwrap();
                let kept = std::panic::catch_unwind(|| promise(&bytes));
                assert!(kept.is_ok(), "`{}` breaks a promise of `{target}`", file.display());
            }
        }
    }

    #[test]
    fn every_target_has_a_fuzzer_and_every_fuzzer_a_target() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/Cargo.toml");
        let text = std::fs::read_to_string(manifest).unwrap();
        let mut fuzzers: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\"")).collect();
        let all = TARGETS.iter().chain(&engine::fuzzed::TARGETS);
        let mut targets: Vec<&str> = all.map(|(name, _)| *name).collect();
        fuzzers.sort_unstable();
        targets.sort_unstable();
        assert_eq!(fuzzers, targets);
    }
}
