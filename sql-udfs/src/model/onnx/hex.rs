//! Numbers as text in the metadata of a graph: exact, short, and the same for the same numbers.
//!
//! Counts are decimal with spaces between them; floats are the sixteen hexadecimal digits of their bits, one after
//! another. It knows nothing of what the numbers mean.

use super::view::malformed;
use crate::Result;

/// Hexadecimal digits of a 64-bit float.
const DIGITS: usize = 16;

/// Counts as text.
pub(crate) fn counts(values: impl Iterator<Item = u64>) -> String {
    let texts: Vec<String> = values.map(|value| value.to_string()).collect();
    texts.join(" ")
}

/// Reads what [`counts`] writes.
pub(crate) fn read_counts(key: &str, text: &str) -> Result<Vec<u64>> {
    let numbers = text.split_ascii_whitespace().map(str::parse);
    numbers
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| malformed(format!("expected whole numbers in `{key}`: {e}")))
}

/// Floats as text.
pub(crate) fn floats(values: impl Iterator<Item = f64>) -> String {
    values.map(|value| format!("{:016x}", value.to_bits())).collect()
}

/// Reads what [`floats`] writes.
pub(crate) fn read_floats(key: &str, text: &str) -> Result<Vec<f64>> {
    let odd = || malformed(format!("expected {DIGITS} hexadecimal digits for each number in `{key}`"));
    let (numbers, rest) = text.as_bytes().as_chunks::<DIGITS>();
    if !rest.is_empty() {
        return Err(odd());
    }
    let read = |digits: &[u8; DIGITS]| {
        let digits = str::from_utf8(digits).ok()?;
        u64::from_str_radix(digits, 16).ok().map(f64::from_bits)
    };
    numbers.iter().map(|digits| read(digits).ok_or_else(odd)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_bit_for_bit() {
        let values = [0.1, -0.0, f64::INFINITY, 5e-324];
        let back = read_floats("k", &floats(values.into_iter())).unwrap();
        assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), values.map(f64::to_bits));
        assert_eq!(floats([1.0].into_iter()), "3ff0000000000000");
        assert_eq!(read_counts("k", &counts([0, u64::MAX].into_iter())).unwrap(), [0, u64::MAX]);
        assert!(read_counts("k", "").unwrap().is_empty());
    }

    #[test]
    fn other_text_is_refused() {
        for text in ["3ff", "3ff000000000000g", "+ff0000000000000x", "äääääääü"] {
            assert!(read_floats("k", text).is_err(), "{text}");
        }
        for text in ["-1", "1.5", "x", "18446744073709551616"] {
            assert!(read_counts("k", text).is_err(), "{text}");
        }
    }
}
