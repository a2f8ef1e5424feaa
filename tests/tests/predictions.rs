//! `PREDICT` in plans: what `EXPLAIN` says of models, that unneeded columns are not read, and that models which conditions
//! and statistics made smaller give what the whole ones give.
//!
//! The whole model's answers are those of a query whose conditions nobody can see through.

use limn_tests::engine::{TestEngine, block_on};
use limn_tests::wire::Reply;
use limn_tests::{Context, Outcome, cells, ensure, fail};

async fn rows(engine: &TestEngine, sql: &str) -> Outcome<Vec<Vec<String>>> {
    match engine.run(sql).await.context(sql)? {
        Reply::Rows(_, batches) => cells::rows(&batches),
        other => Err(fail(format!("expected rows of {sql}, found {other:?}"))),
    }
}

async fn effect(engine: &TestEngine, sql: &str) -> Outcome {
    engine.run(sql).await.context(sql).map(|_| ())
}

/// 4,000 rows with two useful numbers, a constant, a text, a flag and gaps; a tree, a linear model and classes.
async fn trained() -> Outcome<TestEngine> {
    let engine = TestEngine::open().await?;
    effect(
        &engine,
        "CREATE TABLE points AS SELECT CASE WHEN i % 7 = 0 THEN NULL ELSE CAST((i * 37) % 101 AS DOUBLE) END AS x,
           (i * 53) % 89 AS z, 7.0 AS seven, CASE i % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'green' ELSE 'blue' END AS colour,
           i % 5 = 0 AS flag, CAST((i * 37) % 101 AS DOUBLE) * ((i * 53) % 89) + (i % 3) * 100 AS y
         FROM generate_series(1, 4000) AS g(i)",
    )
    .await?;
    for (name, using, columns) in [
        ("steps", "decision_tree (max_depth = 6)", "x, z, seven, flag, y"),
        ("plane", "linear_regression", "x, z, seven, flag, y"),
        ("mixed", "decision_tree (max_depth = 6)", "x, z, seven, colour, y"),
    ] {
        let sql = format!("TRAIN MODEL {name} USING {using} TARGET y SPLIT NONE AS SELECT {columns} FROM points");
        effect(&engine, &sql).await?;
    }
    Ok(engine)
}

/// The text of one kind of row of `EXPLAIN`.
async fn explained(engine: &TestEngine, kind: &str, sql: &str) -> Outcome<String> {
    let found = rows(engine, &format!("EXPLAIN {sql}")).await?;
    let row = found.iter().find(|row| row[0] == kind).context(format!("expected `{kind}` in {found:?}"))?;
    Ok(row[1].clone())
}

#[test]
fn explain_says_which_model_answers_and_what_it_needs() -> Outcome {
    block_on(async {
        let engine = trained().await?;
        let models = explained(&engine, "models", "SELECT avg(PREDICT('steps')) FROM points").await?;
        for part in
            ["predict('steps'): model `steps` version 1 (", "native", "features: `x`, `z`", "not needed: `seven`"]
        {
            ensure(models.contains(part), || format!("expected `{part}` in {models}"))?;
        }
        // The scan reads the features that are needed and nothing else.
        let plan = explained(&engine, "logical_plan", "SELECT avg(PREDICT('steps')) FROM points").await?;
        let scan = plan.lines().find(|line| line.contains("TableScan")).context(plan.clone())?.to_owned();
        ensure(scan.contains("x, z") && !scan.contains("seven") && !scan.contains("colour"), || scan.clone())?;
        let without = rows(&engine, "EXPLAIN SELECT count(*) FROM points").await?;
        ensure(without.iter().all(|row| row[0] != "models"), || format!("{without:?}"))
    })
}

#[test]
fn conditions_make_models_smaller_and_change_no_answer() -> Outcome {
    block_on(async {
        let engine = trained().await?;
        for condition in [
            "x < 10",
            "x >= 90",
            "x > 40 AND x <= 50.5",
            "z = 17",
            "x BETWEEN 20 AND 30 AND z > 80",
            "x IS NULL",
            "x IS NOT NULL AND z < 3",
            "flag AND x < 50",
            "NOT flag",
            "5 > z",
            "z IN (1, 2, 3)",
            "colour = 'red'",
            "colour IN ('green', 'blue') AND x < 20",
            "colour <> 'red'",
            "colour = 'violet'",
        ] {
            for model in ["steps", "plane", "mixed"] {
                let sum = |condition: &str| {
                    format!(
                        "SELECT count(*), round(sum(PREDICT('{model}')), 3), min(PREDICT('{model}')) FROM points
                         WHERE {condition}"
                    )
                };
                let found = rows(&engine, &sum(condition)).await?;
                // A condition inside of a CASE says nothing that the rule understands.
                let whole = rows(&engine, &sum(&format!("CASE WHEN {condition} THEN 1 ELSE 0 END = 1"))).await?;
                ensure(found == whole, || format!("{model} where {condition}: {found:?} is not {whole:?}"))?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_feature_that_a_condition_decides_is_not_read() -> Outcome {
    block_on(async {
        let engine = trained().await?;
        let sql =
            "SELECT avg(PREDICT('steps', p.x, z, seven, flag)) FROM (SELECT *, 3.0 AS x FROM (SELECT z, seven, flag
                   FROM points)) AS p";
        let models = explained(&engine, "models", sql).await?;
        ensure(models.contains("not needed: `x`"), || models.clone())
    })
}

#[test]
fn not_a_number_is_no_number_whatever_statistics_and_conditions_say() -> Outcome {
    block_on(async {
        let engine = trained().await?;
        effect(&engine, "CREATE TABLE odd AS SELECT 'NaN'::DOUBLE AS x, 1 AS z, 7.0 AS seven, true AS flag").await?;
        effect(&engine, "INSERT INTO odd VALUES (5.0, 1, 7.0, true), (NULL, 1, 7.0, true)").await?;
        for condition in ["x > 1", "x IS NOT NULL", "true", "x IS NULL"] {
            let sum = |condition: &str| {
                format!("SELECT count(*), round(sum(PREDICT('steps')), 3) FROM odd WHERE {condition}")
            };
            let found = rows(&engine, &sum(condition)).await?;
            let whole = rows(&engine, &sum(&format!("CASE WHEN {condition} THEN 1 ELSE 0 END = 1"))).await?;
            ensure(found == whole, || format!("{condition}: {found:?} is not {whole:?}"))?;
        }
        Ok(())
    })
}
