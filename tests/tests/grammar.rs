//! A walk through the grammar: each optional clause changes the outcome, or is refused; none is parsed and ignored.
//!
//! The clauses are in `tests/data/clauses.txt`, which says how to read it. Every statement is run twice, each time on new
//! tables, with its clause and without. The outcome is what it answers and what is there afterwards. What a clause makes
//! of the outcome is told in the SQL tests of its statement; here only that it is not nothing.

use limn_server::Class;
use limn_tests::engine::{self, TestEngine};
use limn_tests::wire::Reply;
use limn_tests::{Context, Outcome, cells, ensure, paths};

const TABLES: [&str; 10] = [
    "CREATE TABLE t (k BIGINT, x DOUBLE, s TEXT)",
    "INSERT INTO t VALUES (1, 1.5, 'a'), (2, NULL, 'b')",
    "INSERT INTO t VALUES (3, 2.5, NULL), (3, 2.5, NULL)",
    "CREATE TABLE u (k BIGINT, n BIGINT)",
    "INSERT INTO u VALUES (1, 10), (3, 30), (4, 40)",
    "CREATE VIEW v AS SELECT * FROM t",
    "CREATE TABLE day (d TEXT, n BIGINT) PARTITIONED BY (d)",
    "INSERT INTO day VALUES ('a', 1), ('b', 2)",
    "CREATE SCHEMA s",
    "CREATE TABLE s.w (k BIGINT)",
];
/// What is looked at where a case says nothing else.
const LOOKS: [&str; 4] = [
    "SELECT * FROM t ORDER BY k, x, s",
    "SELECT * FROM u ORDER BY k",
    "SELECT count(*) FROM v",
    "SELECT table_schema, table_name FROM information_schema.tables ORDER BY 1, 2",
];

/// A statement with a clause and without.
struct Case {
    without: String,
    with: String,
    /// Whether the clause is the default.
    is_default: bool,
    look: Option<String>,
}

impl Case {
    fn read(line: &str) -> Self {
        let (sql, look) = match line.split_once(" ? ") {
            Some((sql, look)) => (sql, Some(look.to_string())),
            None => (line, None),
        };
        let (mut without, mut with, mut is_default) = (String::new(), String::new(), false);
        for (n, part) in sql.split(['⟦', '⟧']).enumerate() {
            let clause = part.strip_prefix('=').unwrap_or(part);
            is_default |= n % 2 == 1 && clause.len() < part.len();
            with.push_str(if n % 2 == 1 && is_default { clause } else { part });
            if n % 2 == 0 {
                without.push_str(part);
            }
        }
        Case { without, with, is_default, look }
    }
}

/// What a statement gives, as text.
async fn outcome(engine: &TestEngine, sql: &str) -> Outcome<Result<String, (Class, String)>> {
    match engine.run(sql).await {
        Ok(Reply::Count(count)) => Ok(Ok(format!("{count} rows"))),
        Ok(Reply::Rows(schema, batches)) => {
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            Ok(Ok(format!("{names:?} {:?}", cells::rows(&batches)?)))
        }
        Err(error) => Ok(Err((error.class(), error.message().to_string()))),
    }
}

/// Whether a statement changes nothing, so that many can have the same tables.
fn only_reads(case: &Case) -> bool {
    let first = case.without.split(' ').next().unwrap_or_default();
    ["SELECT", "SHOW", "DESCRIBE", "EXPLAIN"].contains(&first) && case.look.is_none()
}

async fn tables() -> Outcome<TestEngine> {
    let engine = TestEngine::open().await?;
    engine.run_all(TABLES).await?;
    Ok(engine)
}

/// What a statement gives, and what is there afterwards.
async fn run(
    engine: &TestEngine,
    sql: &str,
    look: Option<&str>,
) -> Outcome<(Result<String, (Class, String)>, Vec<String>)> {
    let scratch = engine.scratch().display().to_string();
    let answer = outcome(engine, &sql.replace("SCRATCH", &scratch)).await?;
    let mut found = Vec::new();
    let looks: Vec<&str> = match look {
        Some(look) => vec![look],
        None => LOOKS.to_vec(),
    };
    for look in looks {
        found.push(match outcome(engine, &look.replace("SCRATCH", &scratch)).await? {
            Ok(rows) => rows,
            // Which error says enough of what is there.
            Err((_, text)) => text,
        });
    }
    Ok((answer, found))
}

async fn check(case: &Case, shared: &TestEngine) -> Outcome {
    let (one, other) = match only_reads(case) {
        true => (shared.clone(), shared.clone()),
        false => (tables().await?, tables().await?),
    };
    let without = run(&one, &case.without, case.look.as_deref()).await?;
    let with = run(&other, &case.with, case.look.as_deref()).await?;
    if let Err((class, text)) = &with.0 {
        let refused = matches!(class, Class::Unsupported | Class::Input | Class::NotFound | Class::AlreadyExists);
        ensure(refused && !case.is_default, || format!("the clause fails with {class:?}: {text}"))?;
        return ensure(with.0 != without.0, || format!("it fails without the clause, too: {text}"));
    }
    ensure((with == without) == case.is_default, || match case.is_default {
        true => format!("a default changes\n{without:?}\nto\n{with:?}"),
        false => format!("the clause is ignored: {without:?}"),
    })
}

#[test]
fn no_clause_is_ignored() -> Outcome {
    let text = std::fs::read_to_string(paths::tests().join("data/clauses.txt"))?;
    engine::block_on(async move {
        let (mut wrong, shared) = (Vec::new(), tables().await?);
        for line in text.lines().filter(|line| line.contains('⟦')).filter(|line| !line.starts_with('#')) {
            let case = Case::read(line);
            if let Err(failure) = check(&case, &shared).await.context(line) {
                wrong.push(failure.text().to_string());
            }
        }
        ensure(wrong.is_empty(), || wrong.join("\n\n"))
    })
}
