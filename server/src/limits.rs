//! Every cap, timeout and batch size of the server: a name, a unit, a default.
//!
//! It is one file so that "what bounds this?" has one answer. A bare number elsewhere is a bug. Those that an operator
//! may set are defaults of [`Limits`], which is handed down; the others are used where they are.

mod settable;

pub use settable::{Limits, byte_count, duration};

use std::time::Duration;

// --- statements ---------------------------------------------------------------------------------------------------

/// Bytes of one SQL statement.
pub const STATEMENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Characters of the application's name in an application transaction.
pub const TRANSACTION_APPLICATION_CHARS_MAX: usize = 200;
/// Views inside views inside views.
pub const VIEW_DEPTH_MAX: usize = 16;
/// Rows of one batch that a query gives.
pub const BATCH_ROWS: usize = 8192;
/// Threads that one statement computes on, whatever the operator wants.
pub const COMPUTE_THREADS_MAX: usize = 1024;
/// Statements that run at the same time.
pub const QUERIES_RUNNING_MAX: usize = 64;
/// Statements that wait for others to end.
pub const QUERIES_QUEUED_MAX: usize = 1_000;
/// How long a statement waits for others to end.
pub const QUERY_QUEUE_WAIT: Duration = Duration::from_secs(60);
/// A statement whose reader is slower than this lets others run meanwhile.
pub const SLOW_READER_GRACE: Duration = Duration::from_secs(1);
/// A statement whose result nobody reads for this long is cancelled.
pub const RESULT_READ_STALL: Duration = Duration::from_secs(15 * 60);
/// How long the ticket of a query may be redeemed.
pub const RESULT_TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Queries that `system.queries` shows as planned because nobody has come for their rows; beyond it the oldest go.
pub const QUERIES_PLANNED_MAX: usize = 10_000;
/// Statements that `system.queries` keeps in memory until they are saved; beyond it the oldest are lost.
pub const QUERIES_UNSAVED_MAX: usize = 10_000;
/// Ended statements that are saved at once, without waiting for the next time.
pub const QUERIES_SAVE_ROWS: usize = 2_000;
/// Ended statements are saved at the latest this long after their end.
pub const QUERIES_SAVE_INTERVAL: Duration = Duration::from_secs(30);
/// Files of the saved statements, after which they are rewritten into few.
pub const QUERIES_FILES_MAX: usize = 64;
/// Saved statements that such a rewriting leaves, the latest.
pub const QUERIES_KEPT_MAX: usize = 100_000;
/// Files that a rewriting replaced are removed by one that comes this long after they were written.
pub const QUERIES_UNREAD_FILE_AGE: Duration = Duration::from_secs(60 * 60);
/// Characters of a statement's text in `system.queries`.
pub const QUERY_TEXT_CHARS_MAX: usize = 4_000;
/// Characters of an error's text in `system.queries`.
pub const QUERY_ERROR_CHARS_MAX: usize = 500;
/// Characters of a client's name in `system.queries`.
pub const CLIENT_NAME_CHARS_MAX: usize = 200;
/// The part of the memory pool that one statement may take where nothing is set: one in this many.
pub const MEMORY_PER_QUERY_DIVISOR: usize = 2;
/// Memory that each partition of a sort keeps for merging what it spilled, in bytes.
pub const SORT_MERGE_BYTES_MAX: usize = 10 * 1024 * 1024;
/// The same as a part of a statement's memory: one in this many.
pub const SORT_MERGE_DIVISOR: usize = 32;
/// Memory of all running statements together, in bytes, where the configuration says nothing.
pub const MEMORY_POOL_BYTES_DEFAULT: usize = 4 * 1024 * 1024 * 1024;
/// Spill files of all running statements together, in bytes.
pub const SPILL_BYTES_MAX: u64 = 100 * 1024 * 1024 * 1024;
/// Rows of a multi-row parameter binding.
pub const BOUND_ROWS_MAX: usize = 1_000_000;
/// Bytes of a multi-row parameter binding.
pub const BOUND_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bytes of bound parameters that prepared statements keep for their next execution, on one server.
pub const BOUND_BYTES_KEPT_MAX: usize = 1024 * 1024 * 1024;

/// Stack of a worker thread, in bytes: planning recurses, and builds that are not optimised need several times more.
pub const THREAD_STACK_BYTES: usize = 16 * 1024 * 1024;
/// Arenas of the C library's allocator. Its own default, eight for each core, keeps many times what is in use.
pub const ALLOCATOR_ARENAS_MAX: usize = 4;
/// Bytes from which an allocation is a mapping of its own, which goes back to the system when it is freed. It is the
/// largest that glibc takes: the pages of a mapping come one fault at a time, and a scan would take a third longer.
pub const ALLOCATOR_MAPPED_BYTES: usize = 32 * 1024 * 1024;
/// Free bytes at the end of an arena from which they go back to the system at once, not with the next trimming.
pub const ALLOCATOR_TRIMMED_BYTES: usize = 256 * 1024 * 1024;
/// How often free memory in the middle of arenas goes back to the system.
pub const ALLOCATOR_TRIM_INTERVAL: Duration = Duration::from_secs(15);
/// Bound parameters of one statement.
pub const PARAMETERS_MAX: usize = 10_000;
/// Memory consumers that an out-of-memory error names.
pub const MEMORY_CONSUMERS_NAMED: usize = 5;

// --- sessions and handles -----------------------------------------------------------------------------------------

/// Temporary tables of one session.
pub const TEMPORARY_TABLES_MAX: usize = 1_000;
/// Live sessions of one server.
pub const SESSIONS_MAX: usize = 10_000;
/// Live sessions of one principal.
pub const SESSIONS_PER_PRINCIPAL_MAX: usize = 5_000;
/// A session that nobody used for this long is forgotten.
pub const SESSION_IDLE: Duration = Duration::from_secs(60 * 60);
/// Prepared statements of one server.
pub const PREPARED_STATEMENTS_MAX: usize = 10_000;
/// Prepared statements of one principal.
pub const PREPARED_STATEMENTS_PER_PRINCIPAL_MAX: usize = 5_000;
/// A prepared statement that nobody used for this long is forgotten.
pub const PREPARED_STATEMENT_IDLE: Duration = Duration::from_secs(60 * 60);

/// How often expired sessions and handles are looked for, at least.
pub const TIDY_INTERVAL_MAX: Duration = Duration::from_secs(30);
/// How often they are looked for at most, however short their time is.
pub const TIDY_INTERVAL_MIN: Duration = Duration::from_millis(50);

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
/// How long a connection may take until its client has said the first words of HTTP/2.
pub const WIRE_GREETING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection that the server closes waits for the client to read the rest and close too.
pub const WIRE_LINGER: Duration = Duration::from_secs(2);
/// Bytes of a column's buffer up to which it is copied into what is sent, where larger ones are sent from where they are.
/// Each piece is written, and wakes the client, by itself: that costs more than copying what a batch of numbers has.
pub const WIRE_PIECE_BYTES_COPIED: usize = 128 * 1024;
/// Bytes that are gathered from small messages and sent at once.
pub const WIRE_FRAME_BYTES_GATHERED: usize = 16 * 1024;
/// Plans that are kept between `GetFlightInfo` and `DoGet`, on one server.
pub const WIRE_PLANS_KEPT: usize = 128;
/// How long such a plan is kept; after that its query is planned again. It holds what its tables were then.
pub const WIRE_PLANS_KEPT_FOR: Duration = Duration::from_secs(5);
/// Bytes of a ticket from which its plan is not kept.
pub const WIRE_PLANS_KEPT_TICKET_BYTES: usize = 16 * 1024;
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

/// Rows that one batch of a client may have, whatever few bytes it says them in.
pub const WIRE_BATCH_ROWS_MAX: usize = 1 << 30;
/// Bytes that a compressed batch of a client may have before its compression.
pub const WIRE_UNCOMPRESSED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Rows of one table that the shell draws at once; a longer result comes in several.
pub const SHELL_PAGE_ROWS: usize = 1_000;
/// Rows that the shell shows vertically by itself where a table of them would be cut.
pub const SHELL_TURNED_ROWS_MAX: usize = 3;
/// Lines of the shell's history.
pub const SHELL_HISTORY_ENTRIES: usize = 10_000;
/// How long a completion waits for the columns of a table.
pub const SHELL_COMPLETION_TIMEOUT: Duration = Duration::from_millis(700);
/// Tables whose columns the shell remembers for completion.
pub const SHELL_COMPLETION_TABLES_MAX: usize = 1_000;
/// How long a statement runs before the shell says how far it is.
pub const SHELL_PROGRESS_AFTER: Duration = Duration::from_millis(400);
/// How long the shell waits, when it ends, for the server to close its session.
pub const SHELL_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Files that may include each other by `\i`.
pub const SHELL_INCLUDES_MAX: usize = 16;

/// Batches of a bulk ingestion that wait between the wire and the files; each is one message at most.
pub const INGEST_BATCHES_BUFFERED: usize = 2;
/// How long a bulk ingestion waits for its client's next message.
pub const INGEST_STALL: Duration = Duration::from_secs(5 * 60);
/// Rows of a bulk ingestion that are brought into the table's types at once.
pub const INGEST_CAST_ROWS: usize = 64 * 1024;
/// Bytes that they take at most, where dictionaries, views or run ends unfold; a single row may be larger.
pub const INGEST_CAST_BYTES: usize = 64 * 1024 * 1024;
/// Statements that are polled, running or finished, on one server.
pub const POLLS_MAX: usize = 1_000;
/// Of them, those of one principal.
pub const POLLS_PER_PRINCIPAL_MAX: usize = 250;
/// How long a polled statement and its result are kept for a client that does not ask again.
pub const POLL_IDLE: Duration = Duration::from_secs(10 * 60);
/// How long a poll waits for a running statement to end before it answers what is known.
pub const POLL_WAIT: Duration = Duration::from_millis(250);

// --- lake ---------------------------------------------------------------------------------------------------------

/// Attempts of one statement's commit when other writers win.
pub const COMMIT_ATTEMPTS_MAX: usize = 10;
/// Batches of a table's change data feed that wait for their writer.
pub const CHANGE_BATCHES_QUEUED_MAX: usize = 4;
/// Commits between two checkpoints of a table.
pub const CHECKPOINT_INTERVAL_COMMITS: u64 = 20;
/// Commits of a system table that are kept before its last checkpoint; older ones are removed.
pub const SYSTEM_LOG_COMMITS_KEPT: u64 = 20;
/// Checkpoints and compactions that wait for the background task; beyond it they wait for a later commit.
pub const UPKEEP_QUEUE_MAX: usize = 1024;
/// How long log files stay where a table says nothing (`delta.logRetentionDuration`).
pub const LOG_FILES_KEPT: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// Commits of a table after which its small files are counted.
pub const COMPACTION_INTERVAL_COMMITS: u64 = 10;
/// Small files of one partition that are put together without anybody asking.
pub const COMPACTION_FILES_MIN: usize = 50;
/// Bytes that one such compaction rewrites at most: writers of the table wait meanwhile.
pub const COMPACTION_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Pieces of care that `system.maintenance` shows; beyond it the oldest go.
pub const MAINTENANCE_KEPT_MAX: usize = 1_000;
/// Rows of a CSV file that type inference reads.
pub const CSV_INFERENCE_ROWS: usize = 100_000;
/// Bytes of one field of a CSV file.
pub const CSV_FIELD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Columns of a CSV file.
pub const CSV_COLUMNS_MAX: usize = 16_384;
/// Values of a JSON file that type inference reads.
pub const JSON_INFERENCE_ROWS: usize = 100_000;
/// Bytes of one value of a JSON file.
pub const JSON_VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of JSON that become one batch; as values they take up to sixteen times as many.
pub const JSON_BATCH_BYTES: usize = 2 * 1024 * 1024;
/// Columns of JSON files, those within structs too.
pub const JSON_COLUMNS_MAX: usize = 4_096;
/// Bytes of one file that `read_binary` and `read_text` give as a value.
pub const FILE_CONTENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
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
/// Bytes of one row group of a data file, which a write holds in memory.
pub const DATA_FILE_ROW_GROUP_BYTES: usize = 32 * 1024 * 1024;
/// Rows of one row group of a data file.
pub const ROW_GROUP_ROWS_MAX: usize = 256 * 1024;
/// How long data files stay that a table has no more, where the table does not say it.
pub const DELETED_FILES_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Files that `VACUUM … DRY RUN` names.
pub const VACUUM_FILES_SHOWN_MAX: usize = 200;
/// OPTIMIZE leaves a file alone whose size is less than the target by no more than this part of it.
pub const SMALL_FILE_DIVISOR: u64 = 4;
/// Columns of one `ZORDER BY`: their bits fill one number.
pub const Z_ORDER_COLUMNS_MAX: usize = 6;
/// Buckets, as a power of two, into which Z-order puts the values of a column.
pub const Z_ORDER_BUCKETS_LOG2: u32 = 10;
/// Rows from which Z-order learns the buckets' bounds.
pub const Z_ORDER_SAMPLE_ROWS: usize = 16 * 1024;
/// Rows that a write looks at to choose its columns' encodings, and holds in memory meanwhile; fewer where they take
/// [`DATA_FILE_ROW_GROUP_BYTES`].
pub const ENCODING_SAMPLE_ROWS: usize = 32 * 1024;
/// Rows below which it chooses none.
pub const ENCODING_SAMPLE_ROWS_MIN: usize = 4 * 1024;
/// Attempts to lock the data directory before it counts as held.
pub const LOCK_ATTEMPTS_MAX: usize = 10;
/// The time between two of them.
pub const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// Characters of a name for which a nearest one is looked for, where it is unknown.
pub const MISTYPED_CHARS_MAX: usize = 255;
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
/// How often a server that shares its data directory says that it lives.
pub const SERVER_BEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A server of a shared data directory that gave no sign for this long is dead.
pub const SERVER_DEAD_AFTER: Duration = Duration::from_secs(15);
/// How long a file stays after servers that share it have read it, at least.
pub const SEQUENCE_KEPT: Duration = Duration::from_secs(60 * 60);
/// A server that has not looked at shared files for this long makes sure that it has missed none.
pub const SEQUENCE_BEHIND_MAX: Duration = Duration::from_secs(10 * 60);
/// How often a change of shared state is tried anew because another server was first.
pub const SHARED_ATTEMPTS_MAX: usize = 1_000;
/// Directories of tables without a name are removed from a shared data directory when they are this old.
pub const SHARED_SWEEP_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Versions of a model, counted from the latest, whose table versions stay pinned.
pub const PINNED_VERSIONS_PER_MODEL: usize = 3;

// --- users --------------------------------------------------------------------------------------------------------

/// Users of one server.
pub const USERS_MAX: usize = 10_000;
/// Bytes of a user's name.
pub const USER_NAME_BYTES_MAX: usize = 128;
/// Characters of a new password.
pub const PASSWORD_CHARS_MIN: usize = 8;
/// Bytes of a password.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Tokens of one user; revoked and expired ones count until their place is needed.
pub const TOKENS_PER_USER_MAX: usize = 100;
/// Bytes of what a token is called.
pub const TOKEN_NAME_BYTES_MAX: usize = 128;
/// How long a token is accepted where nothing is said.
pub const TOKEN_TTL_DEFAULT: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// How long a token may be accepted.
pub const TOKEN_TTL_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
/// Passwords that are hashed at the same time; each takes 19 MiB and a core.
pub const PASSWORD_CHECKS_CONCURRENT: usize = 4;
/// Password checks that wait for their turn; more are refused.
pub const PASSWORD_CHECKS_WAITING_MAX: usize = 256;
/// How long a password that was right is not hashed again.
pub const PASSWORD_REMEMBERED: Duration = Duration::from_secs(60);
/// Passwords that are remembered at the same time.
pub const PASSWORDS_REMEMBERED_MAX: usize = 1024;
/// Wrong passwords for one user from one address, in a window of time.
pub const FAILED_ATTEMPTS_PER_USER_MAX: u32 = 10;
/// Wrong passwords from one address, in a window of time.
pub const FAILED_ATTEMPTS_PER_ADDRESS_MAX: u32 = 100;
/// The window in which wrong passwords are counted.
pub const FAILED_ATTEMPTS_WINDOW: Duration = Duration::from_secs(60);
/// Users and addresses whose wrong passwords are counted.
pub const FAILED_ATTEMPTS_TRACKED_MAX: usize = 10_000;
/// Finished answers that whoever closed the server to themselves may come for.
pub const OWED_ANSWERS_MAX: usize = 64;
/// How long they may.
pub const OWED_ANSWER_TTL: Duration = Duration::from_secs(60);
/// Session tokens that are accepted at the same time; the one that was used least recently goes.
pub const SESSION_TOKENS_MAX: usize = 50_000;
/// A session token that nobody used for this long is not accepted any more.
pub const SESSION_TOKEN_IDLE: Duration = Duration::from_secs(24 * 60 * 60);

// --- TLS ----------------------------------------------------------------------------------------------------------

/// TLS handshakes at the same time, for each listener; more connections wait to be accepted.
pub const TLS_HANDSHAKES_CONCURRENT: usize = 256;
/// How long a TLS handshake may take.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often certificate files are looked at.
pub const TLS_RELOAD_INTERVAL: Duration = Duration::from_secs(5);
/// How long a listener that cannot accept waits before it tries again.
pub const ACCEPT_RETRY_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of a file with certificates or a key.
pub const TLS_FILE_BYTES_MAX: u64 = 1024 * 1024;

// --- models -------------------------------------------------------------------------------------------------------

/// Bytes of one model artifact.
pub const MODEL_ARTIFACT_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Groups of partitioned models that one query of `system.model_partitions` reads.
pub const MODEL_PARTITION_ROWS_MAX: usize = 2_000_000;
/// Values of a group column that a refresh looks for in the statistics of data files; with more it reads all of them.
pub const REFRESH_KEYS_PUSHED_MAX: usize = 1000;
/// Loaded evaluators that are kept, by artifact.
pub const MODEL_CACHE_MAX: usize = 1024;
/// Bytes of artifacts whose evaluators are kept.
pub const MODEL_CACHE_BYTES: usize = 2 * 1024 * 1024 * 1024;

const _: () = assert!(WIRE_FLIGHT_DATA_BYTES < WIRE_MESSAGE_BYTES_MAX);
const _: () = assert!(WIRE_EFFECT_RESULT_BYTES_MAX * 4 < WIRE_MESSAGE_BYTES_MAX);
const _: () = assert!(QUERIES_SAVE_ROWS < QUERIES_UNSAVED_MAX);
const _: () = assert!(REGISTRY_RECORD_BYTES_MAX < u32::MAX as usize);
const _: () = assert!(SEQUENCE_BEHIND_MAX.as_secs() < SEQUENCE_KEPT.as_secs());
const _: () = assert!(REGISTRY_FOLD_ROWS < REGISTRY_UNFOLDED_ROWS_MAX);
