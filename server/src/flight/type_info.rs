//! `GetXdbcTypeInfo`: the SQL types as ODBC lists them.
//!
//! ODBC clients read the nineteen columns by position. Names are those that `DESCRIBE` shows.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

use crate::{Error, Result};

/// The reply's schema.
pub fn schema() -> SchemaRef {
    XdbcTypeInfoDataBuilder::new().schema()
}

/// The reply: all types, or those with one ODBC type code.
pub fn batch(data_type: Option<i32>) -> Result<RecordBatch> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for info in types() {
        builder.append(info);
    }
    let all = builder.build().map_err(|error| Error::internal(error.to_string()))?;
    all.record_batch(data_type).map_err(|error| Error::internal(error.to_string()))
}

fn types() -> Vec<XdbcTypeInfo> {
    use XdbcDataType as Xdbc;
    vec![
        plain("BOOLEAN", Xdbc::XdbcBit, 1),
        number("TINYINT", Xdbc::XdbcTinyint, 3, 10),
        number("SMALLINT", Xdbc::XdbcSmallint, 5, 10),
        number("INT", Xdbc::XdbcInteger, 10, 10),
        number("BIGINT", Xdbc::XdbcBigint, 19, 10),
        number("REAL", Xdbc::XdbcReal, 24, 2),
        number("DOUBLE", Xdbc::XdbcDouble, 53, 2),
        XdbcTypeInfo {
            create_params: Some(vec!["precision".into(), "scale".into()]),
            minimum_scale: Some(0),
            maximum_scale: Some(38),
            ..number("DECIMAL", Xdbc::XdbcDecimal, 38, 10)
        },
        XdbcTypeInfo { case_sensitive: true, ..quoted(plain("TEXT", Xdbc::XdbcVarchar, i32::MAX), "'") },
        quoted(plain("BINARY", Xdbc::XdbcVarbinary, i32::MAX), "X'"),
        // The subcode of a date is 1, which prost names by its other meaning.
        moment("DATE", Xdbc::XdbcDate, 10, XdbcDatetimeSubcode::XdbcSubcodeYear),
        moment("TIME", Xdbc::XdbcTime, 15, XdbcDatetimeSubcode::XdbcSubcodeTime),
        moment("TIMESTAMP", Xdbc::XdbcTimestamp, 26, XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
        moment(
            "TIMESTAMP WITH TIME ZONE",
            Xdbc::XdbcTimestamp,
            32,
            XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone,
        ),
    ]
}

fn plain(name: &str, data_type: XdbcDataType, column_size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        data_type,
        column_size: Some(column_size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        local_type_name: Some(name.into()),
        sql_data_type: data_type,
        ..XdbcTypeInfo::default()
    }
}

fn number(name: &str, data_type: XdbcDataType, column_size: i32, radix: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        searchable: Searchable::Basic,
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(radix),
        ..plain(name, data_type, column_size)
    }
}

fn quoted(info: XdbcTypeInfo, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo { literal_prefix: Some(prefix.into()), literal_suffix: Some("'".into()), ..info }
}

fn moment(name: &str, data_type: XdbcDataType, column_size: i32, subcode: XdbcDatetimeSubcode) -> XdbcTypeInfo {
    let prefix = match subcode {
        XdbcDatetimeSubcode::XdbcSubcodeYear => "DATE '",
        XdbcDatetimeSubcode::XdbcSubcodeTime => "TIME '",
        XdbcDatetimeSubcode::XdbcSubcodeTimestampWithTimezone => "TIMESTAMPTZ '",
        _ => "TIMESTAMP '",
    };
    let info = XdbcTypeInfo {
        sql_data_type: XdbcDataType::XdbcDatetime,
        datetime_subcode: Some(subcode),
        searchable: Searchable::Basic,
        ..plain(name, data_type, column_size)
    };
    quoted(info, prefix)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use arrow::array::AsArray;
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn types_are_listed_by_code_then_name_without_repetition() {
        let all = batch(None).unwrap();
        assert_eq!((all.num_columns(), all.schema()), (19, schema()));
        let codes = all.column(1).as_primitive::<Int32Type>();
        let names = all.column(0).as_string::<i32>();
        let rows: Vec<(i32, &str)> =
            codes.iter().zip(names.iter()).map(|(code, name)| (code.unwrap(), name.unwrap())).collect();
        assert!(rows.is_sorted());
        assert_eq!(rows.iter().map(|row| row.1).collect::<HashSet<_>>().len(), rows.len());
    }

    #[test]
    fn names_are_those_of_the_type_table() {
        use arrow::datatypes::{DataType, TimeUnit};
        let listed: HashSet<String> =
            batch(None).unwrap().column(0).as_string::<i32>().iter().flatten().map(str::to_string).collect();
        for data_type in [
            DataType::Boolean,
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::Float32,
            DataType::Float64,
            DataType::Utf8,
            DataType::Binary,
            DataType::Date32,
            DataType::Time64(TimeUnit::Microsecond),
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ] {
            let name = crate::engine::sql_name(&data_type);
            assert!(listed.contains(&name), "{name}");
        }
    }

    #[test]
    fn one_code_finds_its_types() {
        let found = batch(Some(XdbcDataType::XdbcTimestamp as i32)).unwrap();
        assert_eq!(found.num_rows(), 2);
        assert_eq!(batch(Some(12345)).unwrap().num_rows(), 0);
    }
}
