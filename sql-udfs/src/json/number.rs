//! The digits of a JSON number as an integer of some decimal places.
//!
//! It knows nothing of types.

/// A number as an integer of `scale` decimal places, rounded half away from zero, and whether nothing was cut off.
/// `None` where 38 digits are not enough.
pub(super) fn scaled(text: &str, scale: i32) -> Option<(i128, bool)> {
    const DIGITS_MAX: i64 = 38;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip_while(|byte| *byte == b'0').collect();
    if digits.is_empty() {
        return Some((0, true));
    }
    // An exponent that 64 bits do not hold is beyond every number of 38 digits, on one side or the other.
    let exponent: i64 = exponent.parse().unwrap_or(if exponent.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 });
    let (length, places) = (i64::try_from(digits.len()).ok()?, i64::try_from(fraction.len()).ok()?);
    // How many digits stand before the place where the integer ends.
    let kept = length.saturating_sub(places).saturating_add(exponent).saturating_add(i64::from(scale));
    if kept > DIGITS_MAX {
        return None;
    }
    let mut value: i128 = 0;
    for n in 0..kept.max(0) {
        let digit = usize::try_from(n).ok().and_then(|n| digits.get(n)).map_or(0, |byte| byte - b'0');
        value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
    }
    let rest = usize::try_from(kept).map_or(digits.as_slice(), |kept| digits.get(kept..).unwrap_or_default());
    let rounds = kept >= 0 && rest.first().is_some_and(|byte| *byte >= b'5');
    value += i128::from(rounds);
    let exact = rest.iter().all(|byte| *byte == b'0');
    Some((if negative { -value } else { value }, exact))
}
