//! `KILL QUERY`: stops a running statement as its own client would.
//!
//! A statement whose commit has begun completes all the same. It does not wait for the end of what it stops.

use super::open::Inner;
use super::queries::Cancelled;
use super::{Answer, output};
use crate::{Error, Result};

/// Stops every run of the statement; the answer counts them, and 0 says that it has ended already.
pub(super) fn run(inner: &Inner, query_id: &str) -> Result<Answer> {
    match inner.queries.cancel(query_id) {
        Cancelled::Running(runs) => output::count(runs),
        Cancelled::Ended => output::count(0),
        Cancelled::Unknown => Err(Error::not_found(format!("unknown query `{query_id}`"))
            .with_hint("SHOW QUERIES shows what runs; a query that was only planned does not run")),
    }
}
