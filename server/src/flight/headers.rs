//! What a request's headers say besides who is asking: its session's cookie, its deadline, its client's name.
//!
//! It only reads. What is malformed is as if it were not there: none of these grants anything.

use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::MetadataMap;

use super::auth;
use crate::limits::CLIENT_NAME_CHARS_MAX;

/// The cookie that names a session.
pub const COOKIE: &str = "limn_session";

/// What the client calls itself: the header `user-agent`.
pub fn client(metadata: &MetadataMap) -> Option<Arc<str>> {
    let text = metadata.get("user-agent")?.to_str().ok()?;
    Some(text.chars().take(CLIENT_NAME_CHARS_MAX).collect::<String>().into())
}

/// The session that the cookies name. Java's client quotes values and adds `$Path` attributes.
pub fn cookie(metadata: &MetadataMap) -> Option<String> {
    let headers = metadata.get_all("cookie");
    let mut pairs = headers.iter().filter_map(|header| header.to_str().ok()).flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        (name.trim() == COOKIE && auth::is_token(value)).then(|| value.to_string())
    })
}

/// The header `grpc-timeout`: at most eight digits and a unit,
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
pub fn timeout(metadata: &MetadataMap) -> Option<Duration> {
    let mut text = metadata.get("grpc-timeout")?.to_str().ok()?.to_string();
    let unit = text.pop()?;
    let amount: u64 = text.parse().ok().filter(|_| text.len() <= 8)?;
    match unit {
        'H' => Some(Duration::from_secs(amount * 3600)),
        'M' => Some(Duration::from_secs(amount * 60)),
        'S' => Some(Duration::from_secs(amount)),
        'm' => Some(Duration::from_millis(amount)),
        'u' => Some(Duration::from_micros(amount)),
        'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn timeouts_of_every_unit() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1é", None),
        ] {
            let mut map = MetadataMap::new();
            if let Ok(value) = MetadataValue::try_from(text) {
                map.insert("grpc-timeout", value);
            }
            assert_eq!(timeout(&map), expected, "{text}");
        }
        assert_eq!(timeout(&MetadataMap::new()), None);
    }
}
