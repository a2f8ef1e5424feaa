//! What the binary does: one file for each subcommand.
//!
//! Commands get resolved settings and use the server or a client of it; they hold no engine logic.

pub mod connection;
pub mod demo;
pub mod generate;
mod password;
pub mod serve;
pub mod sql;
pub mod token;
pub mod user;

use std::process::ExitCode;

use crate::Class;

/// The exit status of a failed command, after BSD's `sysexits.h` where it has a fitting one.
pub fn exit_code(class: Class) -> ExitCode {
    ExitCode::from(match class {
        // The same as clap's for flags that it refuses.
        Class::Input => 2,
        Class::NotFound => 66,
        Class::Unavailable => 69,
        Class::Internal => 70,
        Class::AlreadyExists => 73,
        Class::Exhausted | Class::Conflict | Class::DeadlineExceeded => 75,
        Class::Denied | Class::Unauthenticated => 77,
        Class::Unsupported => 78,
        Class::Cancelled => 130,
    })
}
