//! The session's options, and its end.
//!
//! The messages are those of Flight.proto, which arrow-flight does not generate; their bodies are plain protobuf. It
//! knows the three actions and no option.

use std::collections::{BTreeMap, HashMap};

use prost::{Enumeration, Message, Oneof};

use crate::{Class, Client, Error, Result};

impl Client {
    /// Sets one option of the session, such as `schema` or `timezone`; `None` sets it back.
    pub async fn set_option(&self, name: &str, value: Option<&str>) -> Result<()> {
        // An option without a value is unset; a text that is empty says the same to servers that cannot tell.
        let option_value = value.map(|value| OptionValue::Text(value.to_string()));
        let request = SetRequest { session_options: [(name.to_string(), Value { option_value })].into() };
        let body = self.action_once("SetSessionOptions", request.encode_to_vec()).await?;
        let Some(refused) = SetResult::decode(body)?.errors.remove(name) else { return Ok(()) };
        let text = match refused.value() {
            Refusal::InvalidName => format!("unknown session option `{name}`"),
            Refusal::InvalidValue => {
                format!("session option `{name}`: the server does not take `{}`", value.unwrap_or_default())
            }
            Refusal::Unspecified | Refusal::Error => format!("session option `{name}` cannot be set"),
        };
        Err(Error::new(Class::Input, text))
    }

    /// The session's options as texts.
    pub async fn options_of_session(&self) -> Result<BTreeMap<String, String>> {
        let body = self.action_once("GetSessionOptions", GetRequest {}.encode_to_vec()).await?;
        let options = GetResult::decode(body)?.session_options;
        Ok(options.into_iter().filter_map(|(name, value)| Some((name, value.option_value?.text()))).collect())
    }

    /// Ends the session: its settings and what the server keeps for it are gone. Other clients of it notice.
    pub async fn close(self) -> Result<()> {
        self.action("CloseSession", CloseRequest {}.encode_to_vec()).await.map(|_| ())
    }
}

#[derive(Clone, PartialEq, Message)]
struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, Value>,
}

#[derive(Clone, PartialEq, Message)]
struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, Refused>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Refused {
    #[prost(enumeration = "Refusal", tag = "1")]
    value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
enum Refusal {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
    Error = 3,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct GetRequest {}

#[derive(Clone, PartialEq, Message)]
struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    session_options: HashMap<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct CloseRequest {}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    option_value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, Oneof)]
enum OptionValue {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, Message)]
struct Texts {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

impl OptionValue {
    fn text(self) -> String {
        match self {
            OptionValue::Text(text) => text,
            OptionValue::Boolean(value) => value.to_string(),
            OptionValue::Integer(value) => value.to_string(),
            OptionValue::Float(value) => value.to_string(),
            OptionValue::Texts(texts) => texts.values.join(","),
        }
    }
}
