//! The dialect's words, to colour and to complete: single keywords, and those that come in company.
//!
//! A list for typing, not a grammar: a word that is missing is only typed by hand.

/// Keywords by themselves, for colours and for completion.
pub const KEYWORDS: &[&str] = &[
    "ALIAS",
    "ALL",
    "ALTER",
    "ANALYZE",
    "AND",
    "ANTI",
    "ANY",
    "AS",
    "ASC",
    "BETWEEN",
    "BIGINT",
    "BINARY",
    "BOOLEAN",
    "BY",
    "CASCADE",
    "CASE",
    "CAST",
    "COLUMNS",
    "COPY",
    "CREATE",
    "CROSS",
    "CURRENT",
    "DATE",
    "DECIMAL",
    "DELETE",
    "DELTA",
    "DESC",
    "DESCRIBE",
    "DETAIL",
    "DISTINCT",
    "DOUBLE",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPERIMENT",
    "EXPLAIN",
    "EXPORT",
    "EXTRACT",
    "FALSE",
    "FEATURES",
    "FILTER",
    "FIRST",
    "FLOAT",
    "FOLLOWING",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "HISTORY",
    "IF",
    "ILIKE",
    "IMPORT",
    "IN",
    "INNER",
    "INSERT",
    "INT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "KILL",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "MERGE",
    "MODEL",
    "MODELS",
    "NATURAL",
    "NONE",
    "NOT",
    "NULL",
    "NULLS",
    "OF",
    "OFFSET",
    "ON",
    "OPTIMIZE",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "OVERWRITE",
    "PARTITION",
    "PARTITIONED",
    "PRECEDING",
    "QUALIFY",
    "QUERY",
    "RANDOM",
    "RANGE",
    "REPLACE",
    "REPRODUCE",
    "RESET",
    "RESTORE",
    "RIGHT",
    "ROW",
    "ROWS",
    "SCHEMA",
    "SCHEMAS",
    "SEED",
    "SELECT",
    "SEMI",
    "SET",
    "SHOW",
    "SMALLINT",
    "SPLIT",
    "SYSTEM_TIME",
    "TABLE",
    "TABLES",
    "TARGET",
    "TEXT",
    "THEN",
    "TIME",
    "TIMESTAMP",
    "TINYINT",
    "TO",
    "TRAIN",
    "TRUE",
    "TRUNCATE",
    "UNBOUNDED",
    "UNION",
    "UNSET",
    "UPDATE",
    "USE",
    "USING",
    "VACUUM",
    "VALUES",
    "VARCHAR",
    "VERSION",
    "VIEW",
    "VIEWS",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
    "ZONE",
];

/// What statements begin with.
pub const BEGINNINGS: &[&str] = &[
    "ALTER MODEL",
    "COPY INTO",
    "CREATE OR REPLACE TABLE",
    "CREATE OR REPLACE VIEW",
    "CREATE SCHEMA",
    "CREATE TABLE",
    "CREATE VIEW",
    "DESCRIBE",
    "DESCRIBE HISTORY",
    "DESCRIBE MODEL",
    "DROP MODEL",
    "DROP SCHEMA",
    "DROP TABLE",
    "DROP VIEW",
    "EXPLAIN",
    "EXPLAIN ANALYZE",
    "EXPORT MODEL",
    "INSERT INTO",
    "INSERT OVERWRITE",
    "KILL QUERY",
    "REPRODUCE MODEL",
    "RESET",
    "SELECT",
    "SET",
    "SHOW ALL",
    "SHOW MODELS",
    "SHOW SCHEMAS",
    "SHOW TABLES",
    "SHOW VIEWS",
    "TRAIN MODEL",
    "USE",
    "VALUES",
    "WITH",
];

/// Words that are written together inside of a statement.
pub const PHRASES: &[&str] = &[
    "CROSS JOIN",
    "FULL JOIN",
    "GROUP BY",
    "IF EXISTS",
    "IF NOT EXISTS",
    "INNER JOIN",
    "IS NOT NULL",
    "IS NULL",
    "LEFT JOIN",
    "NOT IN",
    "NULLS FIRST",
    "NULLS LAST",
    "ORDER BY",
    "PARTITION BY",
    "PARTITIONED BY",
    "RIGHT JOIN",
    "SET ALIAS",
    "SPLIT BY TIME",
    "SPLIT NONE",
    "SPLIT ON",
    "SPLIT RANDOM",
    "TIMESTAMP AS OF",
    "TIMESTAMP WITH TIME ZONE",
    "TO VERSION",
    "UNION ALL",
    "UNSET ALIAS",
    "VERSION AS OF",
];

/// Algorithms that `USING` knows in `TRAIN MODEL`.
pub const ALGORITHMS: &[&str] = &["decision_tree", "linear_regression", "logistic_regression"];

/// Words that are no names without quotes.
pub const RESERVED: &[&str] = &[
    "ALL",
    "AND",
    "ANY",
    "AS",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CREATE",
    "CROSS",
    "DISTINCT",
    "DROP",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "FALSE",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "IN",
    "INNER",
    "INSERT",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "PARTITION",
    "QUALIFY",
    "RIGHT",
    "SELECT",
    "SET",
    "TABLE",
    "THEN",
    "TRUE",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Functions that the server's list of functions lacks, with how they are called and what they do.
pub const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("generate_series", "generate_series(first, last)", "rows with the numbers from first to last, as column value"),
    ("PREDICT", "PREDICT('model', column, …)", "what a model predicts for each row"),
    ("read_csv", "read_csv('file.csv')", "the rows of a CSV file on the server"),
    ("read_json", "read_json('file.json')", "the objects of a JSON file on the server"),
    ("read_parquet", "read_parquet('file.parquet')", "the rows of a Parquet file on the server"),
];

/// Those of them that stand where a relation does.
pub const TABLE_FUNCTIONS: &[&str] = &["generate_series", "read_csv", "read_json", "read_parquet"];

/// After these the name of a relation stands.
pub const BEFORE_RELATIONS: &[&str] =
    &["FROM", "JOIN", "INTO", "OVERWRITE", "TABLE", "VIEW", "DESCRIBE", "DESC", "HISTORY", "EXISTS", "UPDATE"];

/// After these the name of a model stands.
pub const BEFORE_MODELS: &[&str] = &["MODEL"];

/// After these the name of a schema stands.
pub const BEFORE_SCHEMAS: &[&str] = &["SCHEMA", "USE"];

/// Statements after which the names that completion knows may be others.
pub const CHANGES_NAMES: &[&str] =
    &["ALTER", "COPY", "CREATE", "DROP", "IMPORT", "RESET", "RESTORE", "SET", "TRAIN", "USE"];

/// Whether a word is one of a list, in whatever case.
pub fn is_in(word: &str, list: &[&str]) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_and_made_of_keywords() {
        for list in [KEYWORDS, BEGINNINGS, PHRASES, RESERVED] {
            assert!(list.windows(2).all(|pair| pair[0] < pair[1]), "{list:?}");
        }
        for phrase in BEGINNINGS.iter().chain(PHRASES).chain(RESERVED) {
            for word in phrase.split(' ') {
                assert!(is_in(word, KEYWORDS), "{word} of {phrase}");
            }
        }
        for name in TABLE_FUNCTIONS {
            assert!(FUNCTIONS.iter().any(|(known, ..)| known == name), "{name}");
        }
    }
}
