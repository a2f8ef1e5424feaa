//! Opening and closing an engine: the data directory, the lake, the registry, and the state that all statements share.
//!
//! The one place where a `SessionState` is configured. It knows nothing of statements.

use std::sync::{Arc, OnceLock};

use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::optimizer::{Analyzer, Optimizer};
use datafusion::prelude::SessionConfig;

use super::json_functions;
use super::lateral_unnest::LateralUnnest;
use super::model_cache::ModelCache;
use super::predictions::SmallerModels;
use super::queries::Queries;
use super::query_history::QueryHistory;
use super::types::Types;
use super::yielding::Yielding;
use super::{CATALOG, DEFAULT_SCHEMA, EngineOptions, KeptSessions};
use crate::lake::disk::Disk;
use crate::lake::{DataDirectory, Lake, NamedFiles};
use crate::limits::{
    Limits, MEMORY_CONSUMERS_NAMED, MEMORY_PER_QUERY_DIVISOR, SORT_MERGE_BYTES_MAX, SORT_MERGE_DIVISOR,
};
use crate::registry::users::Users;
use crate::registry::{Pending, Registry};
use crate::sql::doubles::{DoublesBesideDecimals, ExactDoubles};
use crate::sql::overflow::CheckedIntegers;
use crate::{Error, Result};

/// What all statements of one engine share.
pub(super) struct Inner {
    /// The data directory, held until the engine is dropped.
    pub directory: DataDirectory,
    /// Where bytes are written.
    pub disk: Arc<dyn Disk>,
    /// Tables and views.
    pub lake: Lake,
    /// Experiments, runs, models.
    pub registry: Registry,
    /// Lineage that is about to be recorded.
    pub pending: Pending,
    /// Users and tokens.
    pub users: Users,
    /// Functions, rules and limits; each statement adds its own catalog.
    pub base: SessionState,
    /// Loaded evaluators.
    pub models: ModelCache,
    /// What an operator may set.
    pub limits: Limits,
    /// The memory that one statement may reserve, in bytes.
    pub statement_bytes: usize,
    /// What runs, waits and ran.
    pub queries: Queries,
    /// Those that have ended.
    pub history: QueryHistory,
    /// The sessions that an edge keeps, once one has said so.
    pub kept_sessions: OnceLock<Arc<dyn KeptSessions>>,
}

/// Opens the data directory and recovers what a crash left. One that was made for one server becomes shared where
/// that is wanted.
pub(super) async fn open(mut options: EngineOptions) -> Result<Inner> {
    if options.shared == Some(true) && DataDirectory::is_for_one(&options.data_dir)? {
        options = share(options).await?;
    }
    open_as_it_is(options).await
}

async fn share(options: EngineOptions) -> Result<EngineOptions> {
    let alone = open_as_it_is(EngineOptions { shared: Some(false), ..options.clone() }).await?;
    alone.registry.fold().await?;
    alone.registry.close().await;
    alone.lake.end_care();
    alone.lake.settle().await;
    let (directory, disk) = (alone.directory.clone(), Arc::clone(&alone.disk));
    blocking(move || directory.share(&disk)).await?;
    Ok(options)
}

async fn open_as_it_is(options: EngineOptions) -> Result<Inner> {
    let directory = {
        let (path, disk) = (options.data_dir.clone(), Arc::clone(&options.disk));
        let (shared, dead_after) = (options.shared, options.limits.server_dead_after);
        blocking(move || DataDirectory::open_for(&path, &disk, shared, dead_after)).await?
    };
    if let Some(member) = directory.member() {
        // Whoever is alone leads from the start.
        member.beat().await?;
    }
    let lake = Lake::open(directory.clone(), Arc::clone(&options.disk))?;
    lake.refresh().await?;
    let registry = Registry::open(directory.path(), Arc::clone(&options.disk), lake.clone()).await?;
    let users = {
        let (directory, disk) = (directory.clone(), Arc::clone(&options.disk));
        blocking(move || Users::open_in(&directory, disk)).await?
    };
    lake.set_pins(registry.pins());
    lake.sweep().await?;
    let pending = Pending::open(&directory, Arc::clone(&options.disk), &registry, &lake).await?;
    let statement_bytes = options.limits.memory_per_query.unwrap_or(options.memory_bytes / MEMORY_PER_QUERY_DIVISOR);
    let base = base_state(&options, statement_bytes, &directory, &lake)?;
    lake.set_care(care_state(&base));
    let (limits, kept_sessions) = (options.limits, OnceLock::new());
    let queries = Queries::new(&limits, options.metrics);
    let history = QueryHistory::open(&lake).await?;
    let models = ModelCache::new();
    Ok(Inner {
        directory,
        disk: options.disk,
        lake,
        registry,
        pending,
        users,
        base,
        models,
        limits,
        statement_bytes,
        queries,
        history,
        kept_sessions,
    })
}

/// The same for care in the background, which keeps to one thread.
fn care_state(base: &SessionState) -> SessionState {
    let config = base.config().clone().with_target_partitions(1);
    SessionStateBuilder::new_from_existing(base.clone()).with_config(config).build()
}

/// Runs blocking work off the async threads.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal(format!("a background task failed: {error}"))),
    }
}

fn base_state(
    options: &EngineOptions,
    statement_bytes: usize,
    directory: &DataDirectory,
    lake: &Lake,
) -> Result<SessionState> {
    let named = std::num::NonZeroUsize::new(MEMORY_CONSUMERS_NAMED).unwrap_or(std::num::NonZeroUsize::MIN);
    let spill = DiskManagerBuilder::default()
        .with_mode(DiskManagerMode::Directories(vec![directory.temporary()]))
        .with_max_temp_directory_size(u64::try_from(options.limits.max_spill_bytes).unwrap_or(u64::MAX));
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), named)))
        .with_disk_manager_builder(spill)
        .build_arc()?;
    lake.register_stores(&runtime);
    let config = SessionConfig::new()
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, DEFAULT_SCHEMA)
        .with_batch_size(options.limits.batch_rows)
        .with_target_partitions(options.limits.compute_threads())
        // Each partition of a sort keeps so much for merging what it spilled, however small the statement's memory is.
        .with_sort_spill_reservation_bytes(SORT_MERGE_BYTES_MAX.min(statement_bytes / SORT_MERGE_DIVISOR))
        // Views over strings would have to be copied again at the wire.
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_str("datafusion.execution.time_zone", "UTC")
        // A dictionary-encoded partition column as join key makes the pushed-down list panic; delta-rs turns it off too.
        .set_usize("datafusion.optimizer.hash_join_inlist_pushdown_max_size", 0)
        .set_usize("datafusion.optimizer.hash_join_inlist_pushdown_max_distinct_values", 0);
    let mut analyzer = Analyzer::new().rules;
    analyzer.insert(0, Arc::new(DoublesBesideDecimals));
    analyzer.insert(0, Arc::new(LateralUnnest));
    analyzer.push(Arc::new(CheckedIntegers));
    let mut optimizer = Optimizer::new().rules;
    optimizer.insert(0, Arc::new(ExactDoubles));
    // After filters have found their places, before unused columns are dropped.
    let last = optimizer.len() - 1;
    optimizer.insert(last, Arc::new(SmallerModels));
    let mut state = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_type_planner(Arc::new(Types))
        .with_analyzer_rules(analyzer)
        .with_optimizer_rules(optimizer)
        .with_physical_optimizer_rule(Arc::new(Yielding))
        .with_physical_optimizer_rule(Arc::new(NamedFiles))
        .build();
    for function in json_functions::functions() {
        state.register_udf(Arc::new(function))?;
    }
    Ok(state)
}
