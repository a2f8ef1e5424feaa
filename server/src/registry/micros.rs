//! Instants in the log: microseconds since 1970-01-01T00:00:00Z as an integer, with and without `Option`.
//!
//! Also the one place where a time is cut to microseconds, so that what the index holds equals what the log and the
//! Delta tables give back. It is a serde `with` module.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serializer};

/// The same instant without the nanoseconds.
pub fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    from_micros(time.timestamp_micros()).unwrap_or(time)
}

/// The instant; `None` outside of what the calendar holds.
pub fn from_micros(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

/// Writes an instant.
pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_i64(time.timestamp_micros())
}

/// Reads an instant.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    let micros = i64::deserialize(deserializer)?;
    from_micros(micros).ok_or_else(|| serde::de::Error::custom(format!("`{micros}` is not a time")))
}

/// The same for `Option`.
pub mod option {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes an instant or null.
    pub fn serialize<S: Serializer>(time: &Option<DateTime<Utc>>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_some(&time.timestamp_micros()),
            None => serializer.serialize_none(),
        }
    }

    /// Reads an instant or null.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
        Option::<i64>::deserialize(deserializer)?
            .map(|micros| {
                super::from_micros(micros).ok_or_else(|| serde::de::Error::custom(format!("`{micros}` is not a time")))
            })
            .transpose()
    }
}
