//! `USE`, `SET` and `RESET`: what a session may change.
//!
//! A setting that nothing reads would be an ignored clause, so unknown names are errors. It knows nothing of clients.

use super::context::StatementContext;
use super::open::Inner;
use super::{Answer, output, schema_names};
use crate::error::unknown;
use crate::lake::types::WireTypes;
use crate::limits::duration;
use crate::{Error, Result};

/// The settings and what they default to.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("schema", super::DEFAULT_SCHEMA),
    (STATEMENT_TIMEOUT, "the server's"),
    ("timezone", "UTC"),
    (WIRE_TYPES, "plain"),
];

/// How long a statement of the session may run: a duration, or milliseconds; 0 is any time.
pub(super) const STATEMENT_TIMEOUT: &str = "statement_timeout";

/// The Arrow types in which the session's results are sent: `plain` or `native`.
pub const WIRE_TYPES: &str = "wire_types";

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
        (WIRE_TYPES, None) => ctx.session.set(WIRE_TYPES, None),
        (WIRE_TYPES, Some(text)) => ctx.session.set(WIRE_TYPES, Some(wire_types(text)?.name().into())),
        _ => return Err(unknown("setting", name, SETTINGS.iter().map(|(name, _)| *name))),
    }
    output::done()
}

/// The types that a client asks for by name.
pub fn wire_types(text: &str) -> Result<WireTypes> {
    WireTypes::parse(text).ok_or_else(|| {
        Error::input(format!("expected `plain` or `native` for `{WIRE_TYPES}`, found `{text}`"))
            .with_hint("plain types are read by every driver; native ones have views, dictionaries and nanoseconds")
    })
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
        WIRE_TYPES => Ok(ctx.session.wire_types().name().into()),
        _ => Err(unknown("setting", name, SETTINGS.iter().map(|(name, _)| *name))),
    }
}
