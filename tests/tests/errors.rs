//! Every error text that a statement can meet, in one reviewed file: class, text and hint.
//!
//! `data/bad_statements.sql` says what is run, in process, in order; `snapshots/` what came. A changed text is a
//! changed interface: review the difference, then bless it with `cargo bless`.

use std::fmt::Write as _;

use limn_tests::engine::{TestEngine, block_on};
use limn_tests::{Context, Outcome, ensure, fail, paths};

/// The mark before statements that must work.
const SETUP: &str = "-- setup";
/// The mark before statements that must not.
const BAD: &str = "-- bad";

#[test]
fn error_texts_are_as_reviewed() -> Outcome {
    let file = paths::tests().join("data/bad_statements.sql");
    let text = std::fs::read_to_string(&file).context(format!("reading `{}`", file.display()))?;
    let texts = block_on(collect(&text))?;
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("error_texts", texts);
    });
    Ok(())
}

/// The text with `<instant>` for instants of this century that it says, which are those of the test's own run.
fn without_now(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let bare = word.trim_end_matches(',');
        match bare.starts_with("20") && bare.contains('T') && bare.ends_with('Z') {
            true => word.replace(bare, "<instant>"),
            false => word.to_string(),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

async fn collect(file: &str) -> Outcome<String> {
    let engine = TestEngine::open().await?;
    let mut texts = String::new();
    let mut must_work = true;
    for part in file.split(";\n") {
        for line in part.lines() {
            match line.trim() {
                SETUP => must_work = true,
                BAD => must_work = false,
                _ => {}
            }
        }
        let sql: Vec<&str> = part.lines().filter(|line| !line.starts_with("--") && !line.trim().is_empty()).collect();
        let sql = sql.join("\n");
        if sql.is_empty() {
            continue;
        }
        match (engine.run(&sql).await, must_work) {
            (Ok(_), true) => {}
            (Err(error), true) => return Err(fail(format!("{error}: {sql}"))),
            (Ok(_), false) => return Err(fail(format!("expected an error, found none: {sql}"))),
            (Err(error), false) => {
                well_formed(&sql, error.message())?;
                writeln!(texts, "{sql}\n  {}: {}", error.class().name(), without_now(error.message()))?;
                if let Some(hint) = error.hint() {
                    writeln!(texts, "  hint: {}", without_now(hint))?;
                }
                writeln!(texts)?;
            }
        }
    }
    engine.engine.close().await;
    Ok(texts)
}

/// The grammar of a text: it begins in lower case or with a quoted value, and has no final period.
fn well_formed(sql: &str, text: &str) -> Outcome {
    let first = text.chars().next().unwrap_or(' ');
    let capital = first.is_uppercase() && text.chars().nth(1).is_some_and(char::is_lowercase);
    let begins_well = !capital && !first.is_whitespace();
    ensure(begins_well && !text.ends_with('.') && !text.contains('\n'), || {
        format!("malformed error `{text}` for: {sql}")
    })
}
