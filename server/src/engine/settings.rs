//! `USE`, `SET` and `RESET`: what a session may change.
//!
//! A setting that nothing reads would be an ignored clause, so unknown names are errors. It knows nothing of clients.

use super::context::StatementContext;
use super::open::Inner;
use super::{Answer, output, schema_names};
use crate::error::unknown;
use crate::limits::duration;
use crate::{Error, Result};

/// The settings and what they default to.
pub(super) const SETTINGS: &[(&str, &str)] =
    &[("schema", super::DEFAULT_SCHEMA), (STATEMENT_TIMEOUT, "the server's"), ("timezone", "UTC")];

/// How long a statement of the session may run: a duration, or milliseconds; 0 is any time.
pub(super) const STATEMENT_TIMEOUT: &str = "statement_timeout";

/// Makes a schema current.
pub(super) fn use_schema(inner: &Inner, ctx: &StatementContext, schema: &str) -> Result<Answer> {
    check_schema(inner, schema)?;
    ctx.session.set_schema(schema);
    output::done()
}

/// An error with the nearest name where no such schema exists.
pub(super) fn check_schema(inner: &Inner, schema: &str) -> Result<()> {
    let known = schema_names(inner);
    match known.iter().any(|name| name == schema) {
        true => Ok(()),
        false => Err(unknown("schema", schema, known.iter().map(String::as_str))),
    }
}

/// Sets or resets one setting.
pub(super) fn set(ctx: &StatementContext, name: &str, value: Option<String>) -> Result<Answer> {
    match (name, value.as_deref()) {
        ("schema", None) => ctx.session.set_schema(super::DEFAULT_SCHEMA),
        ("timezone", None) => {}
        ("timezone", Some(zone)) if ["utc", "z", "+00:00", "etc/utc"].contains(&zone.to_lowercase().as_str()) => {}
        ("timezone", Some(zone)) => {
            return Err(Error::unsupported(format!("expected the time zone `UTC`, found `{zone}`"))
                .with_hint("convert where it is shown: ts AT TIME ZONE 'Australia/Melbourne'"));
        }
        (STATEMENT_TIMEOUT, None) => ctx.session.set(STATEMENT_TIMEOUT, None),
        (STATEMENT_TIMEOUT, Some(text)) => match duration(text) {
            Some(_) => ctx.session.set(STATEMENT_TIMEOUT, Some(text.to_string())),
            None => {
                return Err(Error::input(format!("expected a duration for `{STATEMENT_TIMEOUT}`, found `{text}`"))
                    .with_hint("write it like '500ms', '30s' or '5min'; a number alone counts milliseconds"));
            }
        },
        _ => return Err(unknown("setting", name, SETTINGS.iter().map(|(name, _)| *name))),
    }
    output::done()
}

/// The value of a setting in this session.
pub(super) fn value(inner: &Inner, ctx: &StatementContext, name: &str) -> Result<String> {
    match name {
        STATEMENT_TIMEOUT => Ok(ctx
            .session
            .setting(STATEMENT_TIMEOUT)
            .unwrap_or_else(|| format!("{}ms", inner.limits.statement_timeout.as_millis()))),
        "schema" => Ok(ctx.session.schema()),
        "timezone" => Ok("UTC".into()),
        _ => Err(unknown("setting", name, SETTINGS.iter().map(|(name, _)| *name))),
    }
}
