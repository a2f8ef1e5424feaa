//! SQL's type names to Arrow.
//!
//! One function for every place where a user writes a type: `CREATE TABLE`, `CAST`, the columns of a file. Names that
//! other databases use for the same thing are accepted; a type that Limn cannot keep is refused, never approximated
//! by one that loses values. It knows nothing of statements.

use arrow::datatypes::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use sqlparser::ast::{ArrayElemTypeDef, DataType as Sql, ExactNumberInfo, Ident, StructField, TimezoneInfo};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::{DECIMAL_DIGITS_MAX, instant, list_of, map_of};
use crate::error::unknown;
use crate::{Error, Result};

/// Names that the parser leaves to us, with what they mean.
const CUSTOM_NAMES: &[(&str, fn() -> DataType)] = &[
    ("BYTE", || DataType::Int8),
    ("SHORT", || DataType::Int16),
    ("LONG", || DataType::Int64),
    ("TIMESTAMP_LTZ", instant),
];

/// Names that are only offered as the nearest one to an unknown name.
const KNOWN_NAMES: &[&str] = &[
    "bool",
    "boolean",
    "tinyint",
    "smallint",
    "int",
    "integer",
    "bigint",
    "real",
    "float",
    "double",
    "decimal",
    "numeric",
    "text",
    "varchar",
    "char",
    "string",
    "binary",
    "bytea",
    "blob",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "timestamp_ntz",
    "timestamp_ltz",
    "datetime",
    "interval",
    "byte",
    "short",
    "long",
    "array",
    "struct",
    "map",
];

/// The Arrow type that a SQL type means.
///
/// `TIMESTAMP` is microseconds without a zone, `TIMESTAMP WITH TIME ZONE` an instant. Unsigned integers become the next
/// wider signed type. Lengths of text are read and not kept. A `NotFound` error for a name that is no type, an
/// `Unsupported` one for a type that Limn does not have, an `Input` one for impossible digits.
pub fn parse_sql_type(sql: &Sql) -> Result<DataType> {
    if let Some(simple) = number(sql)? {
        return Ok(simple);
    }
    Ok(match sql {
        Sql::Bool | Sql::Boolean => DataType::Boolean,
        Sql::Text | Sql::String(_) | Sql::Varchar(_) | Sql::Nvarchar(_) | Sql::Char(_) | Sql::Character(_) => {
            DataType::Utf8
        }
        Sql::CharacterVarying(_) | Sql::CharVarying(_) | Sql::Clob(_) | Sql::CharacterLargeObject(_) => DataType::Utf8,
        Sql::CharLargeObject(_) | Sql::TinyText | Sql::MediumText | Sql::LongText => DataType::Utf8,
        Sql::Bytea | Sql::Binary(_) | Sql::Varbinary(_) | Sql::Blob(_) | Sql::Bytes(_) => DataType::Binary,
        Sql::TinyBlob | Sql::MediumBlob | Sql::LongBlob => DataType::Binary,
        Sql::Date | Sql::Date32 => DataType::Date32,
        Sql::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            microseconds(sql, *precision)?;
            DataType::Time64(TimeUnit::Microsecond)
        }
        Sql::Timestamp(precision, zone) => {
            microseconds(sql, *precision)?;
            match zone {
                TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => DataType::Timestamp(TimeUnit::Microsecond, None),
                TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => instant(),
            }
        }
        Sql::Datetime(precision) | Sql::TimestampNtz(precision) => {
            microseconds(sql, *precision)?;
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        Sql::Interval { fields: None, precision: None } => DataType::Interval(IntervalUnit::MonthDayNano),
        Sql::Array(ArrayElemTypeDef::AngleBracket(item) | ArrayElemTypeDef::Parenthesis(item)) => {
            list_of(parse_sql_type(item)?)
        }
        Sql::Array(ArrayElemTypeDef::SquareBracket(item, None)) => list_of(parse_sql_type(item)?),
        Sql::Struct(fields, _) if !fields.is_empty() => structure(sql, fields)?,
        Sql::Map(key, value) => map_of(parse_sql_type(key)?, parse_sql_type(value)?),
        Sql::Custom(name, modifiers) if modifiers.is_empty() => custom(&name.to_string())?,
        other => return Err(unsupported(other)),
    })
}

/// The Arrow type that a text names, for options such as `columns => 'a BIGINT'`.
pub fn parse_type_text(text: &str) -> Result<DataType> {
    let wrong = |e: sqlparser::parser::ParserError| Error::input(format!("expected a type, found `{text}`: {e}"));
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).map_err(wrong)?;
    let sql = parser.parse_data_type().map_err(wrong)?;
    match parser.next_token().token {
        Token::EOF => parse_sql_type(&sql),
        rest => Err(Error::input(format!("expected the end of the type `{sql}`, found `{rest}`"))),
    }
}

/// Names and types as a column list has them: `a BIGINT, "b c" TEXT`. Unquoted names fold to lower case.
pub fn parse_columns_text(text: &str) -> Result<Vec<(String, DataType)>> {
    let wrong = |e: sqlparser::parser::ParserError| {
        Error::input(format!("expected columns like `a BIGINT, b TEXT`, found `{text}`: {e}"))
    };
    let mut parser = Parser::new(&GenericDialect {}).try_with_sql(text).map_err(wrong)?;
    let mut columns = Vec::new();
    loop {
        let name = folded(&parser.parse_identifier().map_err(wrong)?);
        let data_type = parse_sql_type(&parser.parse_data_type().map_err(wrong)?)
            .map_err(|error| error.context(format!("column `{name}`")))?;
        columns.push((name, data_type));
        match parser.next_token().token {
            Token::Comma => {}
            Token::EOF => return Ok(columns),
            other => {
                return Err(Error::input(format!("expected `,` or the end of the columns `{text}`, found `{other}`")));
            }
        }
    }
}

/// The numeric types; `None` for all others.
fn number(sql: &Sql) -> Result<Option<DataType>> {
    Ok(Some(match sql {
        Sql::TinyInt(_) => DataType::Int8,
        Sql::SmallInt(_) | Sql::Int2(_) | Sql::Int16 => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) | Sql::Int32 | Sql::MediumInt(_) => DataType::Int32,
        Sql::Signed | Sql::SignedInteger => DataType::Int64,
        Sql::BigInt(_) | Sql::Int8(_) | Sql::Int64 => DataType::Int64,
        Sql::TinyIntUnsigned(_) | Sql::UTinyInt | Sql::UInt8 => DataType::Int16,
        Sql::SmallIntUnsigned(_) | Sql::USmallInt | Sql::Int2Unsigned(_) | Sql::UInt16 => DataType::Int32,
        Sql::IntUnsigned(_) | Sql::IntegerUnsigned(_) | Sql::Int4Unsigned(_) | Sql::UInt32 => DataType::Int64,
        Sql::MediumIntUnsigned(_) => DataType::Int64,
        Sql::BigIntUnsigned(_) | Sql::UBigInt | Sql::Int8Unsigned(_) | Sql::UInt64 => DataType::Decimal128(20, 0),
        Sql::Unsigned | Sql::UnsignedInteger => DataType::Decimal128(20, 0),
        Sql::Real | Sql::Float4 | Sql::Float32 => DataType::Float32,
        // SQL counts a float's precision in bits: 24 are a single, 53 a double.
        Sql::Float(ExactNumberInfo::None) | Sql::Float(ExactNumberInfo::Precision(1..=24)) => DataType::Float32,
        Sql::Float(ExactNumberInfo::Precision(25..=53)) => DataType::Float64,
        Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 | Sql::Float64 => DataType::Float64,
        Sql::Decimal(info) | Sql::Numeric(info) | Sql::Dec(info) | Sql::BigNumeric(info) | Sql::BigDecimal(info) => {
            decimal(info)?
        }
        _ => return Ok(None),
    }))
}

/// `DECIMAL` alone has the digits that DataFusion's SQL gives it, 38 with 10 after the point.
fn decimal(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match *info {
        ExactNumberInfo::None => (38, 10),
        ExactNumberInfo::Precision(precision) => (precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (precision, scale),
    };
    let digits = u8::try_from(precision).ok().filter(|p| (1..=DECIMAL_DIGITS_MAX).contains(p));
    let places = i8::try_from(scale).ok().filter(|s| *s >= 0);
    match (digits, places) {
        (Some(digits), Some(places)) if i16::from(places) <= i16::from(digits) => {
            Ok(DataType::Decimal128(digits, places))
        }
        _ => Err(Error::input(format!(
            "expected a decimal of 1 to {DECIMAL_DIGITS_MAX} digits with no more of them after the point, found \
             `DECIMAL({precision},{scale})`"
        ))),
    }
}

/// Times have microseconds; a finer precision would lose digits, a coarser one is read and not kept.
fn microseconds(sql: &Sql, precision: Option<u64>) -> Result<()> {
    match precision {
        Some(7..) => Err(Error::unsupported(format!("expected a time of at most 6 digits a second, found `{sql}`"))),
        _ => Ok(()),
    }
}

/// A name as SQL folds it: quoted as it is, else in lower case.
fn folded(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

fn structure(sql: &Sql, fields: &[StructField]) -> Result<DataType> {
    let fields: Result<Vec<Field>> = fields
        .iter()
        .map(|field| {
            let Some(name) = &field.field_name else {
                return Err(Error::input(format!("expected a name for each field of `{sql}`")));
            };
            Ok(Field::new(folded(name), parse_sql_type(&field.field_type)?, true))
        })
        .collect();
    Ok(DataType::Struct(Fields::from(fields?)))
}

fn custom(name: &str) -> Result<DataType> {
    match CUSTOM_NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, data_type)) => Ok(data_type()),
        None => Err(unknown("type", &name.to_lowercase(), KNOWN_NAMES.iter().copied())),
    }
}

fn unsupported(sql: &Sql) -> Error {
    let error = Error::unsupported(format!("the type `{sql}` is not supported"));
    match sql {
        Sql::Time(_, _) => error.with_hint("use TIMESTAMP WITH TIME ZONE"),
        Sql::Uuid | Sql::JSON | Sql::JSONB | Sql::Enum(_, _) | Sql::FixedString(_) => error.with_hint("use TEXT"),
        Sql::Array(ArrayElemTypeDef::SquareBracket(item, Some(_))) => error.with_hint(format!("use {item}[]")),
        Sql::HugeInt | Sql::Int128 => error.with_hint("use DECIMAL(38,0)"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn text_of(error: &Error) -> (Class, &str) {
        (error.class(), error.message())
    }

    #[test]
    fn unsigned_types_widen_and_floats_count_bits() {
        assert_eq!(parse_type_text("INT UNSIGNED").unwrap(), DataType::Int64);
        assert_eq!(parse_type_text("UBIGINT").unwrap(), DataType::Decimal128(20, 0));
        assert_eq!(parse_type_text("FLOAT(24)").unwrap(), DataType::Float32);
        assert_eq!(parse_type_text("FLOAT(53)").unwrap(), DataType::Float64);
        assert_eq!(parse_type_text("decimal(12)").unwrap(), DataType::Decimal128(12, 0));
        assert_eq!(parse_type_text("TIMESTAMP(3)").unwrap(), DataType::Timestamp(TimeUnit::Microsecond, None));
    }

    #[test]
    fn a_name_that_is_no_type_offers_the_nearest() {
        let error = parse_type_text("bigintt").unwrap_err();
        assert_eq!(text_of(&error), (Class::NotFound, "unknown type `bigintt`, the nearest is `bigint`"));
    }

    #[test]
    fn what_limn_does_not_have_is_refused() {
        let error = parse_type_text("UUID").unwrap_err();
        assert_eq!(text_of(&error), (Class::Unsupported, "the type `UUID` is not supported"));
        assert_eq!(error.hint(), Some("use TEXT"));
        let error = parse_type_text("TIMESTAMP(9)").unwrap_err();
        let expected = "expected a time of at most 6 digits a second, found `TIMESTAMP(9)`";
        assert_eq!(text_of(&error), (Class::Unsupported, expected));
        for wrong in ["DECIMAL(39,0)", "DECIMAL(5,6)", "DECIMAL(0)"] {
            assert_eq!(parse_type_text(wrong).unwrap_err().class(), Class::Input, "{wrong}");
        }
        assert_eq!(parse_type_text("BIGINT BIGINT").unwrap_err().class(), Class::Input);
    }

    #[test]
    fn column_lists_fold_and_quote_names() {
        let columns = parse_columns_text(r#"A bigint, "B c" decimal(5,2), t timestamp with time zone"#).unwrap();
        let expected = [("a", DataType::Int64), ("B c", DataType::Decimal128(5, 2)), ("t", instant())];
        assert_eq!(columns, expected.map(|(name, data_type)| (name.to_string(), data_type)));
        let nested = parse_type_text(r#"STRUCT<A BIGINT, "B" BIGINT[]>"#).unwrap();
        let fields = [Field::new("a", DataType::Int64, true), Field::new("B", list_of(DataType::Int64), true)];
        assert_eq!(nested, DataType::Struct(Fields::from(fields.to_vec())));
        assert_eq!(parse_columns_text("a").unwrap_err().class(), Class::Input);
        assert_eq!(parse_columns_text("a BIGINT b TEXT").unwrap_err().class(), Class::Input);
    }
}
