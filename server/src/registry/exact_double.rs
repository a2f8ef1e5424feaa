//! Doubles in the log: as text that gives back the same value, NaN and the infinities included.
//!
//! JSON has no NaN, and a JSON number read with the usual fast parser can be off by one unit in the last place. It is
//! a serde `with` module.

use serde::{Deserialize, Deserializer, Serializer};

/// Writes the shortest text that reads back as the same double.
pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// Reads it.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom(format!("`{text}` is not a double")))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    struct Value(#[serde(with = "super")] f64);

    #[test]
    fn every_double_comes_back() {
        let hard = [0.0, -0.0, 0.1, 1.0 / 3.0, f64::MIN_POSITIVE / 3.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY];
        for value in hard {
            let text = serde_json::to_string(&Value(value)).unwrap();
            let back: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(back.0.to_bits(), value.to_bits(), "{text}");
        }
        let text = serde_json::to_string(&Value(f64::NAN)).unwrap();
        assert!(serde_json::from_str::<Value>(&text).unwrap().0.is_nan());
    }
}
