//! An engine in this process, on a directory of its own: what a statement does without any protocol around it.
//!
//! It knows the engine's seam and nothing behind it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use limn_server::engine::{Engine, EngineOptions, Kind, Principal, Session, StatementContext};
use limn_server::lake::disk::{Disk, LocalDisk};
use limn_server::limits::Limits;
use limn_server::telemetry::Metrics;
use tempfile::TempDir;

use crate::wire::Reply;
use crate::{Context, Failure, Outcome};

/// The memory pool of an engine under test, in bytes.
pub const MEMORY_BYTES: usize = 1024 * 1024 * 1024;
/// The stack of a thread that plans statements in an unoptimised build, in bytes.
pub const STACK_BYTES: usize = 32 * 1024 * 1024;

/// Opens an engine on a data directory.
pub async fn open(data_dir: &Path) -> limn_server::Result<Engine> {
    open_within(data_dir, Arc::new(LocalDisk), MEMORY_BYTES).await
}

async fn open_within(data_dir: &Path, disk: Arc<dyn Disk>, memory_bytes: usize) -> limn_server::Result<Engine> {
    let options = EngineOptions {
        data_dir: data_dir.to_path_buf(),
        shared: None,
        memory_bytes,
        disk,
        limits: Limits::default(),
        metrics: Metrics::default(),
    };
    Engine::open(options).await
}

/// An engine with its own directory, and one session on it.
#[derive(Clone)]
pub struct TestEngine {
    /// The engine.
    pub engine: Engine,
    session: Arc<Session>,
    // Shared by all sessions; the last one removes it.
    directory: Arc<TempDir>,
}

impl TestEngine {
    /// Opens an engine on a new directory.
    pub async fn open() -> Outcome<Self> {
        Self::with_memory(MEMORY_BYTES).await
    }

    /// Opens an engine on an empty directory of its own, with a memory pool of so many bytes; a statement gets half of it.
    pub async fn with_memory(bytes: usize) -> Outcome<Self> {
        let directory = Arc::new(tempfile::tempdir()?);
        let engine = open_within(&directory.path().join("data"), Arc::new(LocalDisk), bytes)
            .await
            .context("opening the engine")?;
        Ok(TestEngine { engine, session: Arc::new(Session::new()), directory })
    }

    /// Opens an engine on a new directory of this disk.
    pub async fn open_with(disk: Arc<dyn Disk>) -> Outcome<Self> {
        let directory = Arc::new(tempfile::tempdir()?);
        let engine =
            open_within(&directory.path().join("data"), disk, MEMORY_BYTES).await.context("opening the engine")?;
        Ok(TestEngine { engine, session: Arc::new(Session::new()), directory })
    }

    /// The directories of the lake's tables.
    pub fn tables(&self) -> Outcome<Vec<PathBuf>> {
        let entries = std::fs::read_dir(self.directory.path().join("data/tables"))?;
        entries.map(|entry| Ok(entry?.path())).collect()
    }

    /// Runs a statement that changes something: its query's id, and how many rows changed.
    pub async fn change(&self, sql: &str) -> (String, limn_server::Result<u64>) {
        let ctx = StatementContext::new(Principal::anonymous(), Arc::clone(&self.session));
        let answer = self.engine.execute(&ctx, sql, &[]).await;
        (ctx.query_id.clone(), answer.map(|answer| answer.affected.unwrap_or(0)))
    }

    /// Opens an engine on a directory that the caller keeps.
    pub async fn open_on(data_dir: &Path) -> Outcome<Self> {
        let directory = Arc::new(tempfile::tempdir()?);
        let engine = open(data_dir).await.context("opening the engine")?;
        Ok(TestEngine { engine, session: Arc::new(Session::new()), directory })
    }

    /// Opens an engine on a directory of this disk that the caller keeps.
    pub async fn open_on_disk(data_dir: &Path, disk: Arc<dyn Disk>) -> Outcome<Self> {
        let directory = Arc::new(tempfile::tempdir()?);
        let engine = open_within(data_dir, disk, MEMORY_BYTES).await.context("opening the engine")?;
        Ok(TestEngine { engine, session: Arc::new(Session::new()), directory })
    }

    /// The same engine with a new session.
    pub fn session(&self) -> Self {
        TestEngine { session: Arc::new(Session::new()), ..self.clone() }
    }

    /// A directory for the test's own files.
    pub fn scratch(&self) -> PathBuf {
        self.directory.path().to_path_buf()
    }

    /// Runs one statement to its end.
    pub async fn run(&self, sql: &str) -> limn_server::Result<Reply> {
        let ctx = StatementContext::new(Principal::anonymous(), Arc::clone(&self.session));
        // As an edge does, so that system.queries has its row.
        let mut run = self.engine.queries().begin(&ctx, sql);
        run.start();
        let done = async {
            let described = self.engine.describe(&ctx, sql).await?;
            run.is(described.kind);
            self.run_in(&ctx, sql, described.kind).await
        };
        let done = done.await;
        run.ended(done)
    }

    async fn run_in(&self, ctx: &StatementContext, sql: &str, kind: Kind) -> limn_server::Result<Reply> {
        let answer = self.engine.execute(ctx, sql, &[]).await?;
        let (schema, affected) = (answer.schema, answer.affected);
        let batches: Vec<_> = answer.batches.try_collect().await?;
        match kind {
            Kind::Effect => Ok(Reply::Count(affected.unwrap_or(0))),
            Kind::Query | Kind::EffectWithRows => Ok(Reply::Rows(schema, batches)),
        }
    }

    /// Runs several statements.
    pub async fn run_all<'a>(&self, statements: impl IntoIterator<Item = &'a str>) -> Outcome {
        for sql in statements {
            self.run(sql).await.context(sql)?;
        }
        Ok(())
    }

    /// The rows of a query as texts.
    pub async fn rows(&self, sql: &str) -> Outcome<Vec<Vec<String>>> {
        match self.run(sql).await.context(sql)? {
            Reply::Rows(_, batches) => crate::cells::rows(&batches),
            Reply::Count(_) => Ok(Vec::new()),
        }
    }

    /// The one value of a query with one row and one column.
    pub async fn value(&self, sql: &str) -> Outcome<String> {
        let rows = self.rows(sql).await?;
        match rows.as_slice() {
            [row] if row.len() == 1 => Ok(row.concat()),
            other => Err(crate::fail(format!("expected one value, found {other:?}: {sql}"))),
        }
    }
}

/// Runs a future to its end on a runtime and a stack of its own, as `limn serve` would.
pub fn block_on<T: Send>(work: impl Future<Output = Outcome<T>> + Send) -> Outcome<T> {
    std::thread::scope(|scope| {
        let run = || -> Outcome<T> {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .thread_stack_size(STACK_BYTES)
                .enable_all()
                .build()?;
            runtime.block_on(work)
        };
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, run)?;
        thread.join().map_err(panic_text)?
    })
}

fn panic_text(panic: Box<dyn std::any::Any + Send>) -> Failure {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()))
        .unwrap_or_else(|| "a panic without a text".into());
    crate::fail(format!("panicked: {text}"))
}
