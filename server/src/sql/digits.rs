//! Number literals that a double would change: they become decimals, or what they make together exactly.
//!
//! The planner reads every number with a point, and every whole number that 64 bits do not hold, as a double, which
//! keeps 15 digits. A number that has more of them, and no exponent, becomes a cast of its text to the decimal that
//! holds it. Sums, differences and products of literals are done on their digits: `0.06 + 0.01` is the literal `0.07`,
//! which is a decimal beside decimals, while the doubles would make less than that. It knows nothing of columns; beside
//! a double such a number is a double again, see [`super::doubles`].

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Query, SetExpr, Statement, UnaryOperator, Value,
    ValueWithSpan, VisitMut, VisitorMut,
};

use crate::{Error, Result};

/// Digits that every double keeps.
const DOUBLE_DIGITS: usize = f64::DIGITS as usize;
/// Digits that a decimal has at most.
const DECIMAL_DIGITS_MAX: usize = 38;

/// Puts decimals in the place of the literals of a statement or query that have more digits than a double keeps.
///
/// An `Input` error where no decimal holds one either.
pub fn keep(node: &mut impl VisitMut) -> Result<()> {
    match node.visit(&mut Keeper::default()) {
        ControlFlow::Break(error) => Err(error),
        ControlFlow::Continue(()) => Ok(()),
    }
}

#[derive(Default)]
struct Keeper {
    /// Whether the next query is the source of an `INSERT`, whose `VALUES` have the types of the target.
    is_source: bool,
}

impl VisitorMut for Keeper {
    type Break = Error;

    fn pre_visit_statement(&mut self, statement: &mut Statement) -> ControlFlow<Error> {
        self.is_source = matches!(statement, Statement::Insert(_));
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        if let SetExpr::Values(values) = query.body.as_mut()
            && !std::mem::take(&mut self.is_source)
        {
            doubles_stay(values.rows.iter_mut().map(|row| row.content.as_mut_slice()).collect());
        }
        self.is_source = false;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Some(number) = number_of(expr) else { return ControlFlow::Continue(()) };
        match decimal_of(&number) {
            Ok(None) => {}
            Ok(Some((precision, scale))) => {
                *expr = cast(number, DataType::Decimal(ExactNumberInfo::PrecisionAndScale(precision, scale)));
            }
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Expr::BinaryOp { left, op, right } = expr
            && let Some(literal) = computed(left, op, right)
        {
            *expr = literal;
        }
        ControlFlow::Continue(())
    }
}

/// What two literals make together, where one has a point and the outcome is a literal that a double keeps.
fn computed(left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let (left, right) = (Exact::of(left)?, Exact::of(right)?);
    let scale = left.scale.max(right.scale);
    let at = |number: &Exact| Some(number.digits * 10_i128.checked_pow(scale - number.scale)?);
    let made = match op {
        BinaryOperator::Plus => Exact { digits: at(&left)?.checked_add(at(&right)?)?, scale },
        BinaryOperator::Minus => Exact { digits: at(&left)?.checked_sub(at(&right)?)?, scale },
        BinaryOperator::Multiply => {
            Exact { digits: left.digits.checked_mul(right.digits)?, scale: left.scale + right.scale }
        }
        _ => return None,
    };
    // Whole numbers are computed as integers, which say where they overflow.
    (scale > 0).then(|| made.literal()).flatten()
}

/// A number literal without an exponent: so many tenths, hundredths, …
struct Exact {
    digits: i128,
    scale: u32,
}

impl Exact {
    fn of(expr: &Expr) -> Option<Self> {
        if let Expr::Nested(inner) = expr {
            return Exact::of(inner);
        }
        let number = number_of(expr)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
        if whole.len() + fraction.len() > DOUBLE_DIGITS {
            return None;
        }
        Some(Exact { digits: format!("{whole}{fraction}").parse().ok()?, scale: u32::try_from(fraction.len()).ok()? })
    }

    fn literal(&self) -> Option<Expr> {
        let scale = usize::try_from(self.scale).ok()?;
        let digits = format!("{:0>width$}", self.digits.unsigned_abs(), width = scale + 1);
        let (whole, fraction) = digits.split_at_checked(digits.len() - scale)?;
        if whole.len() + fraction.len() > DOUBLE_DIGITS {
            return None;
        }
        let number = Expr::Value(ValueWithSpan::from(Value::Number(format!("{whole}.{fraction}"), false)));
        Some(match self.digits < 0 {
            true => Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number) },
            false => number,
        })
    }
}

/// The digits of a number literal, with its sign.
fn number_of(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => {
            Some(digits.chars().filter(|c| *c != '_').collect())
        }
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            inner @ Expr::Value(_) => number_of(inner).map(|digits| format!("-{digits}")),
            _ => None,
        },
        _ => None,
    }
}

/// Precision and scale of the decimal that a number must become; `None` where it means the same without.
fn decimal_of(number: &str) -> Result<Option<(u64, i64)>> {
    if has_exponent(number) || number.parse::<i64>().is_ok() || number.parse::<u64>().is_ok() {
        return Ok(None);
    }
    let unsigned = number.strip_prefix('-').unwrap_or(number);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    if !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    let whole = whole.trim_start_matches('0').len();
    let significant = match whole {
        0 => fraction.trim_start_matches('0').len(),
        _ => whole + fraction.len(),
    };
    if significant <= DOUBLE_DIGITS && fraction.len() <= DOUBLE_DIGITS {
        return Ok(None);
    }
    let precision = whole + fraction.len();
    match (u64::try_from(precision), i64::try_from(fraction.len())) {
        (Ok(digits), Ok(scale)) if precision <= DECIMAL_DIGITS_MAX => Ok(Some((digits.max(1), scale))),
        _ => Err(Error::input(format!(
            "expected a number of at most {DECIMAL_DIGITS_MAX} digits, found one of {precision}"
        ))
        .with_hint("with an exponent it is a DOUBLE, which keeps 15 of them: 0.1e0")),
    }
}

fn has_exponent(number: &str) -> bool {
    number.contains(['e', 'E'])
}

fn cast(text: String, data_type: DataType) -> Expr {
    let value = ValueWithSpan::from(Value::SingleQuotedString(text));
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(Expr::Value(value)), data_type, array: false, format: None }
}

/// In a column of `VALUES` in which a number has an exponent, all are doubles: a decimal beside it would take its range.
fn doubles_stay(mut rows: Vec<&mut [Expr]>) {
    let columns = rows.iter().map(|row| row.len()).min().unwrap_or_default();
    for column in 0..columns {
        let is_double = |row: &&mut [Expr]| number_of(&row[column]).is_some_and(|number| has_exponent(&number));
        if !rows.iter().any(is_double) {
            continue;
        }
        for row in &mut rows {
            if let Some(number) = number_of(&row[column]).filter(|number| !has_exponent(number)) {
                row[column] = cast(number, DataType::DoublePrecision);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Statement as Parsed, parse};

    fn kept(sql: &str) -> Result<String> {
        let Parsed::Query(mut query) = parse(sql)? else { panic!("{sql} is no query") };
        keep(query.as_mut())?;
        Ok(query.to_string())
    }

    #[test]
    fn what_a_double_keeps_stays() {
        for sql in [
            "SELECT 1, 1.5, -0.1, 123456789.012345, 0.000000000000001",
            "SELECT 9223372036854775807, -9223372036854775808, 18446744073709551615",
            "SELECT 1e400, 12345678901234567e0, 1.2345678901234567E-3",
            "SELECT '12345678901234567.89', \"12345678901234567.89\" FROM t",
            "SELECT 000000000000000000001.5",
        ] {
            assert_eq!(kept(sql).unwrap(), sql);
        }
    }

    #[test]
    fn more_digits_become_decimals() {
        for (number, expected) in [
            ("12345678901234567.89", "CAST('12345678901234567.89' AS DECIMAL(19,2))"),
            ("-12345678901234567.89", "CAST('-12345678901234567.89' AS DECIMAL(19,2))"),
            ("18446744073709551616", "CAST('18446744073709551616' AS DECIMAL(20,0))"),
            ("-9223372036854775809", "CAST('-9223372036854775809' AS DECIMAL(19,0))"),
            ("0.1234567890123456", "CAST('0.1234567890123456' AS DECIMAL(16,16))"),
            (".0000000000000001", "CAST('.0000000000000001' AS DECIMAL(16,16))"),
            (
                "99999999999999999999999999999999999999",
                "CAST('99999999999999999999999999999999999999' AS DECIMAL(38,0))",
            ),
        ] {
            assert_eq!(kept(&format!("SELECT {number}")).unwrap(), format!("SELECT {expected}"));
        }
    }

    #[test]
    fn literals_make_what_their_digits_make() {
        for (written, expected) in [
            ("0.06 - 0.01", "0.05"),
            ("0.06 + 0.01", "0.07"),
            ("0.1 + 0.2 + 0.3", "0.6"),
            ("(0.1 - 0.4) * 3", "-0.9"),
            ("1.5 * -2", "-3.0"),
            ("2 + 3", "2 + 3"),
            ("0.5 / 2", "0.5 / 2"),
            ("1e0 + 0.1", "1e0 + 0.1"),
            ("123456789.5 * 123456789.5", "123456789.5 * 123456789.5"),
            ("x + 0.1 + 0.2", "x + 0.1 + 0.2"),
        ] {
            assert_eq!(kept(&format!("SELECT {written}")).unwrap(), format!("SELECT {expected}"));
        }
    }

    #[test]
    fn more_than_a_decimal_holds_is_an_error() {
        for number in ["0.100000000000000000000000000000000000001", "-123456789012345678901234567890123456789"] {
            let error = kept(&format!("SELECT {number}")).unwrap_err();
            assert_eq!(error.message(), "expected a number of at most 38 digits, found one of 39");
        }
    }

    #[test]
    fn beside_an_exponent_values_are_doubles() {
        let values = "VALUES (1e-20, 12345678901234567.89), (0.30000000000000004, 1)";
        let expected = "VALUES (1e-20, CAST('12345678901234567.89' AS DECIMAL(19,2))), \
            (CAST('0.30000000000000004' AS DOUBLE PRECISION), 1)";
        assert_eq!(kept(values).unwrap(), expected);
    }
}
