//! `GetSqlInfo`: the complete standard set, each value in the union child that JDBC, ODBC and Go read it from.
//!
//! ODBC reinterprets the child without looking, Go asserts it, and JDBC fails on ids it does not know; so the set and
//! its types are a contract (FlightSql.proto, `enum SqlInfo`), and ids that came later are answered only when asked.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::sql::CommandGetSqlInfo;
use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};

use crate::{Error, Result};

/// Ids that entered the protocol in Arrow 17: JDBC drivers before it fail on them.
const ONLY_WHEN_ASKED: [u32; 2] = [10, 11];

/// `SqlSupportedCaseSensitivity`: unquoted names fold to lower case.
const CASE_LOWER: i64 = 3;
/// `SqlSupportedCaseSensitivity`: unknown, which ODBC takes for "sensitive", as quoted names are.
const CASE_SENSITIVE: i64 = 0;
/// `SqlNullOrdering`: NULL sorts as the greatest value.
const NULLS_HIGH: i64 = 0;

/// The server's answers, built once.
pub struct SqlInfos {
    all: SqlInfoData,
    unasked: Vec<u32>,
}

impl SqlInfos {
    /// Builds the answers.
    pub fn new() -> Result<Self> {
        let mut builder = SqlInfoDataBuilder::new();
        let mut unasked = Vec::new();
        for (id, value) in values() {
            match value {
                Value::Text(text) => builder.append(id, text),
                Value::Bool(value) => builder.append(id, value),
                Value::Bigint(number) => builder.append(id, number),
                Value::Bitmask(bits) => builder.append(id, bits),
                Value::Words(words) => {
                    builder.append(id, words.split_whitespace().map(String::from).collect::<Vec<_>>())
                }
                Value::NoConversions => builder.append(id, HashMap::<i32, Vec<i32>>::new()),
            }
            if !ONLY_WHEN_ASKED.contains(&id) {
                unasked.push(id);
            }
        }
        let all = builder.build().map_err(|error| Error::internal(error.to_string()))?;
        Ok(SqlInfos { all, unasked })
    }

    /// The reply's schema.
    pub fn schema(&self) -> SchemaRef {
        self.all.schema()
    }

    /// The reply: the ids asked for that are known, or the standard set.
    pub fn batch(&self, command: CommandGetSqlInfo) -> Result<RecordBatch> {
        let ids = if command.info.is_empty() { self.unasked.clone() } else { command.info };
        self.all.record_batch(ids).map_err(|error| Error::internal(error.to_string()))
    }
}

/// A value, by the child of the dense union that carries it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Text(&'static str),
    Bool(bool),
    Bigint(i64),
    Bitmask(i32),
    /// Words, separated by blanks.
    Words(&'static str),
    /// An empty map; the one id that has a map must not be missing.
    NoConversions,
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Bigint(number)
    }
}

impl From<i32> for Value {
    fn from(bits: i32) -> Self {
        Value::Bitmask(bits)
    }
}

fn values() -> Vec<(u32, Value)> {
    let mut all = server();
    all.extend(language());
    all.extend(support());
    all.extend(limits());
    all.extend(transactions_and_results());
    all
}

/// 0 to 101: the server.
fn server() -> Vec<(u32, Value)> {
    vec![
        (0, "Limn".into()),
        (1, env!("CARGO_PKG_VERSION").into()),
        (2, arrow::ARROW_VERSION.into()),
        (3, false.into()), // read only
        (4, true.into()),  // SQL
        (5, false.into()), // Substrait
        (6, "".into()),
        (7, "".into()),
        (8, 0_i32.into()),   // no transactions: BeginTransaction is refused
        (9, true.into()),    // cancel
        (10, true.into()),   // bulk ingestion
        (11, false.into()),  // ... in transactions
        (100, 0_i32.into()), // no statement timeout but the client's own
        (101, 0_i32.into()),
    ]
}

/// 500 to 516: names, keywords, functions.
fn language() -> Vec<(u32, Value)> {
    vec![
        (500, false.into()), // DDL on catalogs
        (501, true.into()),  // DDL on schemas
        (502, true.into()),  // DDL on tables
        (503, CASE_LOWER.into()),
        (504, "\"".into()),
        (505, CASE_SENSITIVE.into()),
        (506, true.into()), // all tables are selectable
        (507, NULLS_HIGH.into()),
        (508, Value::Words(KEYWORDS)),
        (509, Value::Words(NUMERIC_FUNCTIONS)),
        (510, Value::Words(STRING_FUNCTIONS)),
        (511, Value::Words(SYSTEM_FUNCTIONS)),
        (512, Value::Words(DATETIME_FUNCTIONS)),
        (513, "\\".into()),
        (514, "".into()),
        (515, true.into()), // column aliases
        (516, true.into()), // NULL plus NULL is NULL
    ]
}

/// 517 to 540: what a statement may contain. Bitmasks set the bit of each enum value that holds.
fn support() -> Vec<(u32, Value)> {
    vec![
        (517, Value::NoConversions),
        (518, true.into()),      // table aliases
        (519, false.into()),     // ... need not differ from table names
        (520, true.into()),      // expressions in ORDER BY
        (521, true.into()),      // ORDER BY what is not selected
        (522, 0b11_i32.into()),  // GROUP BY what is not selected, and beyond
        (523, true.into()),      // LIKE ... ESCAPE
        (524, true.into()),      // NOT NULL columns
        (525, 0b11_i32.into()),  // minimum and core grammar
        (526, 0b1_i32.into()),   // SQL-92 entry level
        (527, false.into()),     // referential integrity
        (528, 0b110_i32.into()), // limited and full outer joins
        (529, "schema".into()),
        (530, "procedure".into()),
        (531, "catalog".into()),
        (532, true.into()), // the catalog comes first in a name
        (533, 0_i32.into()),
        (534, 0_i32.into()),
        (535, 0_i32.into()),
        (536, false.into()),     // SELECT FOR UPDATE
        (537, false.into()),     // stored procedures
        (538, 0b111_i32.into()), // subqueries in comparisons, EXISTS, IN
        (539, true.into()),      // correlated subqueries
        (540, 0b11_i32.into()),  // UNION, UNION ALL
    ]
}

/// 541 to 561: lengths and counts; 0 is "no limit or not known".
fn limits() -> Vec<(u32, Value)> {
    let statement_bytes = i64::try_from(crate::limits::STATEMENT_BYTES_MAX).unwrap_or(0);
    (541..=561)
        .map(|id| match id {
            556 => (id, false.into()), // "maximum row size includes blobs"
            557 => (id, statement_bytes.into()),
            _ => (id, 0_i64.into()),
        })
        .collect()
}

/// 562 to 576: transactions, result sets, batches.
fn transactions_and_results() -> Vec<(u32, Value)> {
    vec![
        (562, 0_i64.into()),   // 0 is the one value that JDBC and ODBC read alike
        (563, false.into()),   // agrees with 8
        (564, 0b1_i32.into()), // isolation: none
        (565, false.into()),
        (566, false.into()),
        (567, 0b10_i32.into()), // forward only
        (568, 0b10_i32.into()), // read only, for each type of result set
        (569, 0b10_i32.into()),
        (570, 0b10_i32.into()),
        (571, 0b10_i32.into()),
        (572, true.into()),  // batches of updates
        (573, false.into()), // savepoints
        (574, false.into()), // named parameters
        (575, false.into()),
        (576, false.into()),
    ]
}

/// Words beyond SQL:2003's that the dialect gives a meaning.
const KEYWORDS: &str = "\
    ALIAS COPY DELTA DESCRIBE EXPERIMENT EXPLAIN FEATURES HISTORY ILIKE LIMIT MODEL MODELS OFFSET QUALIFY \
    REPLACE SEED SHOW SPLIT TARGET TRAIN VERSION";

const NUMERIC_FUNCTIONS: &str = "\
    ABS ACOS ACOSH ASIN ASINH ATAN ATAN2 ATANH CBRT CEIL COS COSH COT DEGREES EXP FACTORIAL FLOOR GCD LCM LN \
    LOG LOG10 LOG2 PI POWER RADIANS RANDOM ROUND SIGNUM SIN SINH SQRT TAN TANH TRUNC";

const STRING_FUNCTIONS: &str = "\
    ASCII BIT_LENGTH BTRIM CHARACTER_LENGTH CHR CONCAT CONCAT_WS CONTAINS ENDS_WITH INITCAP LEFT LENGTH \
    LEVENSHTEIN LOWER LPAD LTRIM OCTET_LENGTH REGEXP_LIKE REGEXP_MATCH REGEXP_REPLACE REPEAT REPLACE REVERSE \
    RIGHT RPAD RTRIM SPLIT_PART STARTS_WITH STRPOS SUBSTR SUBSTRING TRANSLATE TRIM UPPER";

const SYSTEM_FUNCTIONS: &str = "ARROW_TYPEOF COALESCE NULLIF NVL PREDICT VERSION";

const DATETIME_FUNCTIONS: &str = "\
    CURRENT_DATE CURRENT_TIME DATE_BIN DATE_PART DATE_TRUNC FROM_UNIXTIME MAKE_DATE NOW TO_CHAR TO_DATE \
    TO_TIMESTAMP TO_UNIXTIME";

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::UInt32Type;

    use super::*;

    /// The child of the union in which each id must be, as clients read it.
    fn expected_child(id: u32) -> i8 {
        match id {
            0 | 1 | 2 | 6 | 7 | 504 | 513 | 514 | 529..=531 => 0,
            3..=5 | 9..=11 | 500..=502 | 506 | 515 | 516 | 518..=521 | 523 | 524 | 527 | 532 | 536 | 537 | 539 => 1,
            556 | 563 | 565 | 566 | 572..=576 => 1,
            503 | 505 | 507 | 541..=555 | 557..=562 => 2,
            8 | 100 | 101 | 522 | 525 | 526 | 528 | 533..=535 | 538 | 540 | 564 | 567..=571 => 3,
            508..=512 => 4,
            517 => 5,
            other => panic!("{other} is no standard id"),
        }
    }

    fn ids(batch: &RecordBatch) -> Vec<u32> {
        batch.column(0).as_primitive::<UInt32Type>().values().to_vec()
    }

    fn asked(ids: &[u32]) -> RecordBatch {
        SqlInfos::new().unwrap().batch(CommandGetSqlInfo { info: ids.to_vec() }).unwrap()
    }

    #[test]
    fn an_empty_list_gets_the_complete_set_and_nothing_newer() {
        let expected: Vec<u32> = (0..=9).chain(100..=101).chain(500..=576).collect();
        assert_eq!(ids(&asked(&[])), expected);
    }

    #[test]
    fn each_value_is_in_its_child() {
        for batch in [asked(&[]), asked(&ONLY_WHEN_ASKED)] {
            let union = batch.column(1).as_union();
            for (row, id) in ids(&batch).into_iter().enumerate() {
                assert_eq!(union.type_id(row), expected_child(id), "id {id}");
            }
        }
    }

    #[test]
    fn ids_are_answered_when_known_and_left_out_when_not() {
        assert_eq!(ids(&asked(&[504, 3, 10_000, 10, 2])), [2, 3, 10, 504]);
        assert!(ids(&asked(&[99])).is_empty());
    }

    #[test]
    fn what_clients_decide_by() {
        let values: HashMap<u32, Value> = values().into_iter().collect();
        assert_eq!(values[&8], Value::Bitmask(0));
        assert_eq!(values[&503], Value::Bigint(3));
        assert_eq!(values[&504], Value::Text("\""));
        assert_eq!(values[&513], Value::Text("\\"));
        assert_eq!(values[&563], Value::Bool(false));
    }
}
