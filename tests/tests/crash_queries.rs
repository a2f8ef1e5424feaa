//! The saved rows of `system.queries` on a disk that loses what was not synced, and on one that fails.
//!
//! Whatever the moment, a row is there once or, where nobody was told that it is saved, not at all; never twice, never in
//! part, and the server goes on.

use std::path::Path;
use std::sync::Arc;

use futures::TryStreamExt;
use limn_server::engine::{Engine, EngineOptions, Principal, Session, StatementContext};
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_server::limits::Limits;
use limn_server::telemetry::Metrics;
use limn_tests::crash_disk::{CrashDisk, Unsynced};
use limn_tests::{Context, Outcome, cells, engine, ensure};

/// How many statements end before a save.
const ENDED: usize = 3;

async fn open(data_dir: &Path, disk: Arc<dyn Disk>) -> limn_server::Result<Engine> {
    let options = EngineOptions {
        data_dir: data_dir.to_path_buf(),
        shared: None,
        memory_bytes: engine::MEMORY_BYTES,
        disk,
        limits: Limits::default(),
        metrics: Metrics::default(),
    };
    Engine::open(options).await
}

fn context() -> StatementContext {
    StatementContext::new(Principal::anonymous(), Arc::new(Session::new()))
}

fn run_some(engine: &Engine) {
    for n in 0..ENDED {
        drop(engine.queries().begin(&context(), &format!("told {n}")));
    }
}

/// The rows of the statements, those in memory included.
async fn told(engine: &Engine) -> Outcome<Vec<String>> {
    let sql = "SELECT statement FROM system.queries WHERE statement LIKE 'told %' ORDER BY statement";
    let answer = engine.execute(&context(), sql, &[]).await?;
    let batches: Vec<_> = answer.batches.try_collect().await?;
    Ok(cells::rows(&batches)?.into_iter().map(|row| row.concat()).collect())
}

fn all() -> Vec<String> {
    (0..ENDED).map(|n| format!("told {n}")).collect()
}

#[test]
fn a_power_cut_leaves_all_of_a_save_or_nothing() -> Outcome {
    engine::block_on(async {
        let dir = tempfile::tempdir()?;
        let disk = CrashDisk::new(dir.path())?;
        let engine = open(&dir.path().join("data"), Arc::new(disk.clone())).await?;
        run_some(&engine);
        let before = disk.operations();
        engine.close().await;
        let after = disk.operations();
        ensure(after > before, || "a save without an operation".into())?;
        println!("{} cuts", after - before + 1);
        for cut in before..=after {
            for unsynced in [Unsynced::Lost, Unsynced::Chance(cut as u64)] {
                let rest = tempfile::tempdir()?;
                disk.power_cut(cut, unsynced, rest.path())?;
                let engine =
                    open(&rest.path().join("data"), Arc::new(LocalDisk)).await.context(format!("cut {cut}"))?;
                let found = told(&engine).await.context(format!("cut {cut}"))?;
                let sound = found == all() || found.is_empty() && cut < after;
                ensure(sound, || format!("cut {cut} of {after}, {unsynced:?}: {found:?}"))?;
                // It takes more.
                run_some(&engine);
                engine.close().await;
                let again = told(&engine).await?;
                ensure(again.len() == found.len() + ENDED, || format!("cut {cut}: {again:?}"))?;
            }
        }
        Ok(())
    })
}

#[test]
fn a_save_that_fails_is_made_up_for_and_no_row_comes_twice() -> Outcome {
    engine::block_on(async {
        for nth in 1.. {
            let dir = tempfile::tempdir()?;
            let data = dir.path().join("data");
            let disk = CrashDisk::new(dir.path())?;
            let engine = open(&data, Arc::new(disk.clone())).await?;
            run_some(&engine);
            disk.fail_at(disk.asked() + nth);
            engine.close().await;
            if !disk.failed() {
                println!("{} operations failed, one at a time", nth - 1);
                return ensure(nth > 1, || "a save without an operation".into());
            }
            let found = told(&engine).await?;
            ensure(found == all(), || format!("operation {nth} failed: {found:?}"))?;
            engine.close().await;
            drop(engine);
            let engine = open(&data, Arc::new(LocalDisk)).await?;
            let found = told(&engine).await?;
            ensure(found == all(), || format!("operation {nth} failed, after a restart: {found:?}"))?;
        }
        Ok(())
    })
}
