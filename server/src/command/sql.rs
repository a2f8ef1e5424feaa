//! `limn sql`. Follows.

use std::process::ExitCode;

use crate::Result;
use crate::config::SqlFlags;

/// Runs.
pub async fn run(flags: SqlFlags) -> Result<ExitCode> {
    let _ = flags;
    Ok(ExitCode::SUCCESS)
}
