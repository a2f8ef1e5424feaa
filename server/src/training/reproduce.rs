//! A training done again: the same rows through the same algorithm, compared by bytes, and nothing registered.
//!
//! It leaves a run that says which version it was for. What differs from the first time, and is known to, is named; who
//! plans the query again, and whether its data are still there, is decided elsewhere.

use std::sync::Arc;
use std::time::Instant;

use limn_sql_udfs::train::sha256_hex;
use serde_json::{Value, json};

use super::environment::{ENGINE_BUILD, cpu_level};
use super::watch::TrainingWatch;
use super::{Job, learn, record};
use crate::registry::{Registry, Run, RunSource};
use crate::{Class, Result};

/// What came out of a training that was done again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// The hash of the artifact that came out.
    pub artifact_sha256: String,
    /// How many rows there were.
    pub rows: RowCounts,
    /// How long it took, in milliseconds.
    pub train_ms: u64,
}

/// The rows of a training by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows that the model was fitted on.
    pub train: u64,
    /// Rows that were held out; `None` where the run does not say.
    pub held_out: Option<u64>,
    /// Rows that were left out; `None` where the run does not say.
    pub dropped: Option<u64>,
}

impl RowCounts {
    fn shown(self) -> Value {
        json!({"train": self.train, "held_out": self.held_out, "dropped": self.dropped})
    }

    /// Whether both say the same, as far as both say it.
    fn agrees(self, other: RowCounts) -> bool {
        let same = |a: Option<u64>, b: Option<u64>| a.is_none() || b.is_none() || a == b;
        self.train == other.train && same(self.held_out, other.held_out) && same(self.dropped, other.dropped)
    }
}

/// What is different about the engine and the machine since `run`.
pub fn environment_differences(run: &Run) -> Vec<Value> {
    differences_from(run, ENGINE_BUILD, cpu_level())
}

fn differences_from(run: &Run, engine_build: &str, cpu_level: &str) -> Vec<Value> {
    let told = [("engine_build", &run.engine_build, engine_build), ("cpu_level", &run.cpu_level, cpu_level)];
    told.into_iter()
        .filter_map(|(what, recorded, found)| {
            // What a run does not say is not known to be different.
            let recorded = recorded.as_deref().filter(|recorded| *recorded != found)?;
            Some(json!({"what": what, "recorded": recorded, "found": found}))
        })
        .collect()
}

/// What is different about the outcome.
pub fn outcome_differences(expected_sha256: &str, expected_rows: RowCounts, again: &Again) -> Vec<Value> {
    let mut differences = Vec::new();
    if !expected_rows.agrees(again.rows) {
        differences.push(json!({"what": "rows", "recorded": expected_rows.shown(), "found": again.rows.shown()}));
    }
    if again.artifact_sha256 != expected_sha256 {
        differences.push(json!({"what": "result", "recorded": expected_sha256, "found": again.artifact_sha256}));
    }
    differences
}

/// Trains again, for the comparison with the version `of`.
pub async fn reproduce(registry: &Registry, job: Job, of: (&str, u64)) -> Result<Again> {
    let started = Instant::now();
    let mut opening = record::opening(&job, RunSource::Reproduce);
    opening.says("reproduces", format!("{}/{}", of.0, of.1));
    let run = record::begin(registry, opening).await?;
    let Job { request, schema, batches, memory, cancel, deadline, progress, threads, older, .. } = job;
    let watch = Arc::new(TrainingWatch::new(memory, cancel, deadline, progress, threads));
    let concluded = match learn(request, schema, batches, older, Arc::clone(&watch)).await {
        Ok(trained) => {
            let sha256 = sha256_hex(&trained.artifact);
            record::conclude(registry, &run, &trained, &sha256).await.map(|()| (trained, sha256))
        }
        Err(error) => Err(error),
    };
    match concluded {
        Ok((trained, artifact_sha256)) => Ok(Again {
            artifact_sha256,
            rows: RowCounts {
                train: trained.rows_train,
                held_out: Some(trained.rows_held_out),
                dropped: Some(trained.rows_dropped),
            },
            train_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        }),
        Err(error) => {
            let error = watch.reason().unwrap_or(error);
            let killed = matches!(error.class(), Class::Cancelled | Class::DeadlineExceeded);
            if let Err(failure) = record::fail(registry, &run, killed, &error).await {
                tracing::error!(run_id = %run.row.run_id, %failure, "the end of run {} was not recorded", run.row.run_id);
            }
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::registry::RunStatus;

    fn run(engine_build: Option<&str>, cpu_level: Option<&str>) -> Run {
        Run {
            run_id: "r".into(),
            experiment_id: "0".into(),
            name: "m".into(),
            status: RunStatus::Finished,
            source: RunSource::Train,
            user_name: "u".into(),
            query_id: None,
            statement: None,
            algorithm: None,
            seed: None,
            engine_build: engine_build.map(str::to_string),
            started_at: Utc::now(),
            ended_at: None,
            error: None,
            cpu_level: cpu_level.map(str::to_string),
            session: None,
            parameters: None,
        }
    }

    #[test]
    fn another_build_is_named() {
        let found = differences_from(&run(Some("limn 0 a"), Some("x86-64-v3")), "limn 0 b", "x86-64-v3");
        assert_eq!(found, [json!({"what": "engine_build", "recorded": "limn 0 a", "found": "limn 0 b"})]);
    }

    #[test]
    fn another_processor_is_named() {
        let found = differences_from(&run(Some("limn 0 a"), Some("x86-64-v4")), "limn 0 a", "x86-64-v3");
        assert_eq!(found, [json!({"what": "cpu_level", "recorded": "x86-64-v4", "found": "x86-64-v3"})]);
    }

    #[test]
    fn what_a_run_does_not_say_is_no_difference() {
        assert_eq!(differences_from(&run(None, None), "limn 0 b", "x86-64-v3"), Vec::<Value>::new());
        let here = run(Some(ENGINE_BUILD), Some(cpu_level()));
        assert_eq!(environment_differences(&here), Vec::<Value>::new());
    }

    #[test]
    fn other_rows_and_another_result_are_named() {
        let rows = RowCounts { train: 8, held_out: Some(2), dropped: Some(0) };
        let again = Again { artifact_sha256: "b".into(), rows: RowCounts { train: 9, ..rows }, train_ms: 1 };
        let rows_said = json!({"what": "rows", "recorded": {"train": 8, "held_out": 2, "dropped": 0},
            "found": {"train": 9, "held_out": 2, "dropped": 0}});
        let result_said = json!({"what": "result", "recorded": "a", "found": "b"});
        assert_eq!(outcome_differences("a", rows, &again), [rows_said, result_said]);
        let silent = RowCounts { held_out: None, dropped: None, ..again.rows };
        assert_eq!(outcome_differences("b", silent, &again), Vec::<Value>::new());
    }
}
