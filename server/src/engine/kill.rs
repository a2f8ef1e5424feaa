//! `KILL QUERY`: stops a running statement as its own client would.
//!
//! A statement whose commit has begun completes all the same. It does not wait for the end of what it stops. Everybody
//! reads in `system.queries` who runs what, so that a refusal says whose the statement is.

use super::context::Principal;
use super::open::Inner;
use super::queries::Cancelled;
use super::{Answer, output};
use crate::{Error, Result};

/// Stops every run of the statement; the answer counts them, and 0 says that it has ended already.
pub(super) fn run(inner: &Inner, by: &Principal, query_id: &str) -> Result<Answer> {
    match inner.queries.cancel(query_id, by) {
        Cancelled::Running(runs) => output::count(runs),
        Cancelled::Foreign(owner) => Err(stop_refused(query_id, &owner)),
        Cancelled::Ended => output::count(0),
        Cancelled::Unknown => Err(Error::not_found(format!("unknown query `{query_id}`"))
            .with_hint("SHOW QUERIES shows what runs; a query that was only planned does not run")),
    }
}

/// The refusal to stop what another principal runs.
pub fn stop_refused(query_id: &str, owner: &str) -> Error {
    Error::denied(format!("the query `{query_id}` is `{owner}`'s, who alone may stop it"))
        .with_hint("whoever runs the server may stop it on its machine: limn sql --data-dir DIR -c \"KILL QUERY …\"")
}
