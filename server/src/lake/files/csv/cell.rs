//! What the text of a CSV field means as a value of a type.
//!
//! Strict: a text either means one value or none. Blanks around a value are ignored, except in text. It knows nothing
//! of columns or files.

use chrono::NaiveDate;

const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// 1970-01-01, counted from 0001-01-01 as day 1.
const EPOCH_DAY: i32 = 719_163;

/// `true` or `false`, in any case.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim_ascii() {
        text if text.eq_ignore_ascii_case("true") => Some(true),
        text if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Digits with an optional sign; leading zeros are allowed.
pub(super) fn integer<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim_ascii().parse().ok()
}

/// A decimal or scientific number, `inf`, or `nan`.
pub(super) fn float<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim_ascii().parse().ok()
}

/// Digits with an optional sign and point, as an integer of `scale` decimal places. Further places are rounded, half
/// away from zero, as SQL's cast does; too many digits are none.
pub(super) fn decimal(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let text = text.trim_ascii();
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (digits.get(..point)?, digits.get(point + 1..).unwrap_or_default());
    if whole.is_empty() && fraction.is_empty() || !whole.iter().chain(fraction).all(u8::is_ascii_digit) {
        return None;
    }
    let places = usize::from(scale);
    let padding = std::iter::repeat_n(&b'0', places.saturating_sub(fraction.len()));
    let mut value: i128 = 0;
    for byte in whole.iter().chain(fraction.iter().take(places)).chain(padding) {
        value = value.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?;
    }
    if fraction.get(places).is_some_and(|byte| *byte >= b'5') {
        value += 1;
    }
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (value < limit).then_some(if negative { -value } else { value })
}

/// `YYYY-MM-DD`, as days since 1970-01-01.
pub(in crate::lake::files) fn date(text: &str) -> Option<i32> {
    match split_date(text.trim_ascii().as_bytes())? {
        (days, []) => Some(days),
        _ => None,
    }
}

/// A date, or a date and time without offset, as microseconds since 1970-01-01T00:00:00.
pub(in crate::lake::files) fn timestamp(text: &str) -> Option<i64> {
    let (days, rest) = split_date(text.trim_ascii().as_bytes())?;
    let (time, rest) = match rest {
        [] => (0, rest),
        rest => split_time(rest)?,
    };
    rest.is_empty().then(|| at(days, time)).flatten()
}

/// A date and time with `Z` or an offset (`+10`, `+1000`, `+10:00`), as microseconds since 1970-01-01T00:00:00Z.
pub(in crate::lake::files) fn instant(text: &str) -> Option<i64> {
    let (days, rest) = split_date(text.trim_ascii().as_bytes())?;
    let (time, rest) = split_time(rest)?;
    let seconds = offset(rest)?;
    at(days, time)?.checked_sub(seconds * MICROSECONDS_PER_SECOND)
}

fn at(days: i32, microseconds: i64) -> Option<i64> {
    i64::from(days).checked_mul(SECONDS_PER_DAY * MICROSECONDS_PER_SECOND)?.checked_add(microseconds)
}

fn two_digits(bytes: [u8; 2]) -> Option<u32> {
    let [tens, ones] = bytes;
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

fn split_date(text: &[u8]) -> Option<(i32, &[u8])> {
    let [a, b, c, d, b'-', e, f, b'-', g, h, rest @ ..] = text else { return None };
    let year = two_digits([*a, *b])? * 100 + two_digits([*c, *d])?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, two_digits([*e, *f])?, two_digits([*g, *h])?)?;
    Some((chrono::Datelike::num_days_from_ce(&date) - EPOCH_DAY, rest))
}

/// `T` or a blank, then `HH:MM`, `HH:MM:SS` or `HH:MM:SS.f…` with at most nine digits, of which six are kept.
fn split_time(text: &[u8]) -> Option<(i64, &[u8])> {
    let [b'T' | b't' | b' ', a, b, b':', c, d, rest @ ..] = text else { return None };
    let (hour, minute) = (two_digits([*a, *b])?, two_digits([*c, *d])?);
    let (second, rest) = match rest {
        [b':', e, f, rest @ ..] => (two_digits([*e, *f])?, rest),
        rest => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut microseconds = i64::from(hour * 3600 + minute * 60 + second) * MICROSECONDS_PER_SECOND;
    let [b'.', rest @ ..] = rest else { return Some((microseconds, rest)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let mut unit = MICROSECONDS_PER_SECOND / 10;
    for digit in rest.iter().take(digits) {
        microseconds += i64::from(digit - b'0') * unit;
        unit /= 10;
    }
    Some((microseconds, rest.get(digits..)?))
}

/// An offset from UTC in seconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match text {
        [b'Z' | b'z'] => return Some(0),
        [sign, a, b] => (sign, [*a, *b], [b'0', b'0']),
        [sign, a, b, c, d] => (sign, [*a, *b], [*c, *d]),
        [sign, a, b, b':', c, d] => (sign, [*a, *b], [*c, *d]),
        _ => return None,
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    let seconds = i64::from(hours * 3600 + minutes * 60);
    match sign {
        _ if hours > 23 || minutes > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_and_numbers() {
        assert_eq!(
            ["True", "FALSE", " true ", "1", "t", ""].map(boolean),
            [Some(true), Some(false), Some(true), None, None, None]
        );
        assert_eq!(
            ["007", "-1", "+5", " 3", "1.0", "1e3", ""].map(integer::<i64>),
            [Some(7), Some(-1), Some(5), Some(3), None, None, None]
        );
        assert_eq!(integer::<i8>("128"), None);
        assert_eq!(
            ["1e3", ".5", "-2.", "inf", "x", ""].map(float::<f64>),
            [Some(1000.0), Some(0.5), Some(-2.0), Some(f64::INFINITY), None, None]
        );
    }

    #[test]
    fn decimals_round_and_do_not_overflow() {
        let cases = [
            ("12.345", Some(1235)),
            ("-12.344", Some(-1234)),
            ("7", Some(700)),
            (".5", Some(50)),
            ("-0.005", Some(-1)),
        ];
        for (text, expected) in cases {
            assert_eq!(decimal(text, 5, 2), expected, "{text}");
        }
        for text in ["", ".", "-", "1000", "999.999", "1e2", "1.2.3", "1,5"] {
            assert_eq!(decimal(text, 5, 2), None, "{text}");
        }
        let most = "9".repeat(38);
        assert_eq!(decimal(&most, 38, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal(&"9".repeat(60), 38, 0), None);
    }

    #[test]
    fn dates_are_of_the_calendar() {
        assert_eq!(date("1970-01-01"), Some(0));
        assert_eq!(date("2000-02-29"), Some(11016));
        assert_eq!(date("1969-12-31"), Some(-1));
        for text in ["2001-02-29", "2001-13-01", "2001-1-1", "20010101", "2001-01-01 ", "2001-01-01x"] {
            assert_eq!(date(text).is_some(), text == "2001-01-01 ", "{text}");
        }
    }

    #[test]
    fn times_without_and_with_an_offset() {
        let day = 86_400_000_000;
        assert_eq!(timestamp("1970-01-02"), Some(day));
        assert_eq!(timestamp("1970-01-01T00:00:01.25"), Some(1_250_000));
        assert_eq!(timestamp("1970-01-01 23:59"), Some(day - 60_000_000));
        assert_eq!(timestamp("1970-01-01 00:00:00.123456789"), Some(123_456));
        for text in [
            "1970-01-01T24:00:00",
            "1970-01-01T00:60:00",
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.",
            "1970-01-01T",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
        assert_eq!(instant("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(instant("1970-01-01 10:00:00+10:00"), Some(0));
        assert_eq!(instant("1970-01-01 10:00:00.5+1000"), Some(500_000));
        assert_eq!(instant("1969-12-31T19:00:00-05"), Some(0));
        for text in
            ["1970-01-01T00:00:00", "1970-01-01", "1970-01-01Z", "1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00 UTC"]
        {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
