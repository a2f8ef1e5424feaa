//! Session options: `SetSessionOptions`, `GetSessionOptions`, `CloseSession`.
//!
//! The options `catalog` and `schema` are the session's current ones; other names are settings of the engine, set with
//! its own `SET` so that names and values are checked in one place. The messages are those of Flight.proto, which
//! arrow-flight does not generate; their bodies are plain protobuf.

use std::collections::HashMap;

use prost::{Enumeration, Message, Oneof};

use super::parameters::Binding;
use super::service::Shared;
use super::session::Caller;
use super::statement::{accept, run_effect};
use crate::engine::{CATALOG, DEFAULT_SCHEMA, Kind};
use crate::{Class, Error, Result, error};

/// `SetSessionOptions`. A catalog or schema that does not exist is an error of the whole request, which is what clients
/// expect; other bad options are reported one by one.
pub async fn set(shared: &Shared, caller: &Caller, body: &[u8]) -> Result<SetSessionOptionsResult> {
    let request = SetSessionOptionsRequest::decode(body)
        .map_err(|_| Error::input("the body is not a SetSessionOptionsRequest"))?;
    let mut errors = HashMap::new();
    for (name, value) in request.session_options {
        let given = value.option_value.map(OptionValue::into_text);
        match name.as_str() {
            "catalog" => check_catalog(given.as_deref())?,
            "schema" => set_schema(shared, caller, given)?,
            _ => {
                if let Err(failed) = set_setting(shared, caller, &name, given).await {
                    errors.insert(name, OptionError { value: as_option_error(&failed) as i32 });
                }
            }
        }
    }
    Ok(SetSessionOptionsResult { errors })
}

/// There is one catalog, so the only choice is to name it or none.
fn check_catalog(name: Option<&str>) -> Result<()> {
    match name {
        None | Some("") | Some(CATALOG) => Ok(()),
        Some(other) => Err(error::unknown("catalog", other, [CATALOG])),
    }
}

fn set_schema(shared: &Shared, caller: &Caller, name: Option<String>) -> Result<()> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| DEFAULT_SCHEMA.into());
    let known = shared.engine.schemas();
    if !known.contains(&name) {
        return Err(error::unknown("schema", &name, known.iter().map(String::as_str)));
    }
    caller.session.set_schema(&name);
    Ok(())
}

/// Sets through the dialect's `SET`, whose checks hold here too; no value unsets.
async fn set_setting(shared: &Shared, caller: &Caller, name: &str, value: Option<String>) -> Result<()> {
    let quoted = name.replace('"', "\"\"");
    let sql = match value.filter(|value| !value.is_empty()) {
        Some(value) => format!("SET \"{quoted}\" = '{}'", value.replace('\'', "''")),
        None => format!("RESET \"{quoted}\""),
    };
    let ctx = caller.statement();
    run_effect(&shared.engine, &ctx, accept(&sql)?, &Binding::default(), Kind::Effect).await.map(|_| ())
}

fn as_option_error(error: &Error) -> OptionErrorValue {
    match error.class() {
        Class::NotFound | Class::Unsupported => OptionErrorValue::InvalidName,
        Class::Input => OptionErrorValue::InvalidValue,
        _ => OptionErrorValue::Error,
    }
}

/// `GetSessionOptions`. Creates nothing: clients use it to see whether the server lives.
pub fn get(caller: &Caller) -> GetSessionOptionsResult {
    let mut options = caller.session.settings();
    options.insert("catalog".into(), CATALOG.into());
    options.insert("schema".into(), caller.session.schema());
    let as_value = |text| SessionOptionValue { option_value: Some(OptionValue::String(text)) };
    GetSessionOptionsResult {
        session_options: options.into_iter().map(|(name, text)| (name, as_value(text))).collect(),
    }
}

/// `CloseSession`. A session that is not kept is closed already.
pub fn close(shared: &Shared, caller: &Caller) -> CloseSessionResult {
    shared.sessions.close(caller);
    shared.gate.logout(&caller.identity);
    CloseSessionResult { status: CloseSessionStatus::Closed as i32 }
}

#[derive(Clone, PartialEq, Message)]
struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, SessionOptionValue>,
}

/// The reply to `SetSessionOptions`: what could not be set, and why.
#[derive(Clone, PartialEq, Message)]
pub struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, OptionError>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct OptionError {
    #[prost(enumeration = "OptionErrorValue", tag = "1")]
    value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum OptionErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

/// The reply to `GetSessionOptions`.
#[derive(Clone, PartialEq, Message)]
pub struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SessionOptionValue {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    option_value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, Oneof)]
enum OptionValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int64(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    StringList(StringListValue),
}

#[derive(Clone, PartialEq, Message)]
struct StringListValue {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

impl OptionValue {
    fn into_text(self) -> String {
        match self {
            OptionValue::String(text) => text,
            OptionValue::Bool(value) => value.to_string(),
            OptionValue::Int64(value) => value.to_string(),
            OptionValue::Double(value) => value.to_string(),
            OptionValue::StringList(list) => list.values.join(","),
        }
    }
}

/// The reply to `CloseSession`.
#[derive(Clone, Copy, PartialEq, Message)]
pub struct CloseSessionResult {
    #[prost(enumeration = "CloseSessionStatus", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum CloseSessionStatus {
    Unspecified = 0,
    Closed = 1,
    Closing = 2,
    NotCloseable = 3,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_the_protocol_writes_it() {
        // { 1: { key(1): "schema", value(2): { string_value(1): "sales" } } }, written by hand.
        let body = [b"\x0A\x11\x0A\x06schema\x12\x07\x0A\x05sales".as_slice()].concat();
        let request = SetSessionOptionsRequest::decode(body.as_slice()).unwrap();
        let value = request.session_options["schema"].option_value.clone().unwrap();
        assert_eq!(value, OptionValue::String("sales".into()));
        // { key: "n", value: { int64_value(3), fixed 64 bits: -2 } }
        let body = b"\x0A\x0E\x0A\x01n\x12\x09\x19\xFE\xFF\xFF\xFF\xFF\xFF\xFF\xFF".as_slice();
        let request = SetSessionOptionsRequest::decode(body).unwrap();
        assert_eq!(request.session_options["n"].option_value.clone().unwrap().into_text(), "-2");
    }

    #[test]
    fn one_catalog_or_none() {
        assert!(check_catalog(Some(CATALOG)).is_ok() && check_catalog(Some("")).is_ok() && check_catalog(None).is_ok());
        let error = check_catalog(Some("lak")).unwrap_err();
        assert_eq!((error.class(), error.message()), (Class::NotFound, "unknown catalog `lak`, the nearest is `lake`"));
    }

    #[test]
    fn closing_answers_closed() {
        let closed = CloseSessionResult { status: CloseSessionStatus::Closed as i32 };
        assert_eq!(closed.encode_to_vec(), [0x08, 1]);
    }
}
