//! Every cap, timeout and batch size of the server: a name, a unit, a default.
//!
//! It is one file so that "what bounds this?" has one answer. A bare number elsewhere is a bug.

use std::time::Duration;

// --- statements ---------------------------------------------------------------------------------------------------

/// Bytes of one SQL statement.
pub const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Views inside views inside views.
pub const VIEW_DEPTH_MAX: usize = 16;
/// Rows of one batch that a query gives.
pub const BATCH_ROWS: usize = 8192;
/// Memory of all running statements together, in bytes, where the configuration says nothing.
pub const MEMORY_POOL_BYTES_DEFAULT: usize = 4 * 1024 * 1024 * 1024;
/// Spill files of all running statements together, in bytes.
pub const SPILL_BYTES_MAX: u64 = 100 * 1024 * 1024 * 1024;
/// Rows of a multi-row parameter binding.
pub const BOUND_ROWS_MAX: usize = 1_000_000;
/// Bytes of a multi-row parameter binding.
pub const BOUND_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Stack of a worker thread, in bytes: planning recurses, and builds that are not optimised need several times more.
pub const THREAD_STACK_BYTES: usize = 16 * 1024 * 1024;
/// Bound parameters of one statement.
pub const PARAMETERS_MAX: usize = 10_000;
/// Memory consumers that an out-of-memory error names.
pub const MEMORY_CONSUMERS_NAMED: usize = 5;

// --- sessions and handles -----------------------------------------------------------------------------------------

/// Temporary tables of one session.
pub const TEMPORARY_TABLES_MAX: usize = 1_000;
/// Live sessions of one server.
pub const SESSIONS_MAX: usize = 10_000;
/// A session that nobody used for this long is forgotten.
pub const SESSION_IDLE: Duration = Duration::from_secs(60 * 60);
/// Prepared statements of one server.
pub const PREPARED_STATEMENTS_MAX: usize = 10_000;
/// A prepared statement that nobody used for this long is forgotten.
pub const PREPARED_STATEMENT_IDLE: Duration = Duration::from_secs(60 * 60);

// --- wire ---------------------------------------------------------------------------------------------------------

/// Bytes of one message that the Flight edge accepts (ADBC's bulk ingest sends 16 MiB).
pub const WIRE_MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of one message that the Flight edge aims to send (Grafana's client takes 4 MiB at most).
pub const WIRE_FLIGHT_DATA_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of a status text; C++ gRPC clients lose the whole status over 8 KiB of headers.
pub const WIRE_STATUS_BYTES_MAX: usize = 4 * 1024;
/// Bytes of request headers (long bearers and cookies).
pub const WIRE_HEADER_BYTES_MAX: u32 = 64 * 1024;
/// How often the server pings an idle HTTP/2 connection.
pub const WIRE_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(25);
/// How long it waits for the answer.
pub const WIRE_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that the server closes waits for the client to read the rest and close too.
pub const WIRE_LINGER: Duration = Duration::from_secs(2);
/// Batches that wait between the engine and a slow reader.
pub const WIRE_BATCHES_BUFFERED: usize = 2;
/// Bytes of the finished result of an effect, which its ticket carries.
pub const WIRE_EFFECT_RESULT_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a ticket: a query's text and parameters travel in it, and some clients take 4 MiB a message.
pub const WIRE_TICKET_BYTES_MAX: usize = 2 * 1024 * 1024;
/// How long a drain lets running statements finish.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long statements that a drain cancelled may take to end.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Rows of one table that the shell draws at once; a longer result comes in several.
pub const SHELL_PAGE_ROWS: usize = 1_000;

/// Batches of a bulk ingestion that wait between the wire and the files; each is one message at most.
pub const INGEST_BATCHES_BUFFERED: usize = 2;
/// Rows of a bulk ingestion that are brought into the table's types at once.
pub const INGEST_CAST_ROWS: usize = 64 * 1024;
/// Bytes that they take at most, where dictionaries, views or run ends unfold; a single row may be larger.
pub const INGEST_CAST_BYTES: usize = 64 * 1024 * 1024;
/// Statements that are polled, running or finished, on one server.
pub const POLLS_MAX: usize = 1_000;
/// How long a polled statement and its result are kept for a client that does not ask again.
pub const POLL_IDLE: Duration = Duration::from_secs(10 * 60);
/// How long a poll waits for a running statement to end before it answers what is known.
pub const POLL_WAIT: Duration = Duration::from_millis(250);

// --- lake ---------------------------------------------------------------------------------------------------------

/// Attempts of one statement's commit when other writers win.
pub const COMMIT_ATTEMPTS_MAX: usize = 10;
/// Commits between two checkpoints of a table.
pub const CHECKPOINT_INTERVAL_COMMITS: u64 = 20;
/// Checkpoints that wait for the background task; beyond it they wait for a later commit.
pub const CHECKPOINT_QUEUE_MAX: usize = 1024;
/// Rows of a CSV file that type inference reads.
pub const CSV_INFERENCE_ROWS: usize = 100_000;
/// Bytes of one field of a CSV file.
pub const CSV_FIELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Columns of a CSV file.
pub const CSV_COLUMNS_MAX: usize = 16_384;
/// Bytes that a scan of a CSV file reads at once.
pub const CSV_READ_BYTES: usize = 1024 * 1024;
/// Bytes below which a share of a CSV file is not worth a partition of its own.
pub const CSV_PARTITION_BYTES_MIN: u64 = 8 * 1024 * 1024;
/// Batches of a CSV file that wait between its reader and the query, by partition.
pub const CSV_BATCHES_BUFFERED: usize = 2;
/// Characters of a wrong value that an error shows.
pub const CSV_SHOWN_CHARS_MAX: usize = 64;
/// Files that one glob may name.
pub const GLOB_FILES_MAX: usize = 100_000;
/// Directories below each other that one glob may walk.
pub const GLOB_DEPTH_MAX: usize = 64;
/// Rows that `DESCRIBE HISTORY` shows.
pub const HISTORY_ROWS_MAX: usize = 10_000;
/// Table states that are kept open, by table and version.
pub const TABLE_STATES_MAX: usize = 1024;
/// Versions of one table that are kept open.
pub const TABLE_STATES_PER_TABLE_MAX: usize = 8;
/// Bytes of one data file, after which a write begins the next.
pub const DATA_FILE_BYTES_TARGET: u64 = 128 * 1024 * 1024;
/// Attempts to lock the data directory before it counts as held.
pub const LOCK_ATTEMPTS_MAX: usize = 10;
/// The time between two of them.
pub const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Bytes of the name of a schema, table or view.
pub const NAME_BYTES_MAX: usize = 255;
/// Commit files of a table that are read at once.
pub const LOG_READS_CONCURRENT: usize = 16;

// --- registry -----------------------------------------------------------------------------------------------------

/// Bytes of one record of the registry's log.
pub const REGISTRY_RECORD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Row versions in the log after which they are folded into Delta.
pub const REGISTRY_FOLD_ROWS: u64 = 10_000;
/// Row versions are folded at the latest this long after they were written.
pub const REGISTRY_FOLD_INTERVAL: Duration = Duration::from_secs(30);
/// Row versions that may wait to be folded; beyond it writers are refused until a fold succeeds.
pub const REGISTRY_UNFOLDED_ROWS_MAX: u64 = 1_000_000;
/// How long a failed fold waits before the next one.
pub const REGISTRY_FOLD_RETRY: Duration = Duration::from_secs(5);
/// Writers that wait for one group commit of the log.
pub const REGISTRY_QUEUE_MAX: usize = 4096;
/// Versions of a model, counted from the latest, whose table versions stay pinned.
pub const PINNED_VERSIONS_PER_MODEL: usize = 3;

// --- models -------------------------------------------------------------------------------------------------------

/// Bytes of one model artifact.
pub const MODEL_ARTIFACT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Loaded evaluators that are kept, by artifact.
pub const MODEL_CACHE_MAX: usize = 1024;

const _: () = assert!(WIRE_FLIGHT_DATA_BYTES < WIRE_MESSAGE_BYTES_MAX);
const _: () = assert!(WIRE_EFFECT_RESULT_BYTES_MAX * 4 < WIRE_MESSAGE_BYTES_MAX);
const _: () = assert!(REGISTRY_RECORD_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(REGISTRY_FOLD_ROWS < REGISTRY_UNFOLDED_ROWS_MAX);
