//! The parsers of the server's Flight edge and of its dialect, compiled by themselves: the server's own files, without the
//! engine.
//!
//! What the files name of the rest of the server stands here in small: `error` and `engine`. It knows no parser; what
//! each one promises is in the server's `flight/fuzzed.rs` and `engine/fuzzed.rs`.

#![allow(dead_code, unused_imports)]

mod engine;
pub mod error;
#[path = "../../server/src"]
mod server {
    pub mod limits;
    #[path = "flight"]
    pub mod flight {
        pub mod auth;
        pub mod certificate;
        pub mod decode;
        pub mod fuzzed;
        pub mod headers;
        pub mod ingest_request;
        pub mod ipc;
        pub mod references;
        pub mod ticket;
    }
    #[path = "engine"]
    pub mod engine {
        #[path = "fuzzed.rs"]
        pub mod statements;
    }
    #[path = "sql"]
    pub mod sql {
        pub mod copy;
        pub mod dialect;
        pub mod kill;
        pub mod model;
        pub mod partition;
        pub mod placeholder;
        pub mod refresh;
        pub mod refuse;
        pub mod scan;
        pub mod show;
        pub mod statement;
        pub mod table;
        pub mod train;
        pub mod user;

        pub use statement::{ObjectRef, Statement, parse};
    }
}

use std::panic;
use std::sync::{Mutex, Once, PoisonError};

pub use error::{Class, Error, Result};
pub use server::engine::statements;
pub use server::flight::fuzzed;
use server::{limits, sql};

static LAST_PANIC: Mutex<String> = Mutex::new(String::new());

/// Calls a target. The fuzzer ends the process at every panic, also at those of Arrow's readers that the server catches
/// and answers; so this takes its place, and ends the process where a panic comes out of the target.
pub fn keep(promise: fn(&[u8]), bytes: &[u8]) {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            *LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
        }));
    });
    if panic::catch_unwind(|| promise(bytes)).is_err() {
        eprintln!("{}", LAST_PANIC.lock().unwrap_or_else(PoisonError::into_inner));
        std::process::abort();
    }
}
