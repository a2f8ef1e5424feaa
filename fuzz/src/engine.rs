//! What the engine takes from the parsers: the request of a bulk ingestion, the numbering of placeholders, and what
//! holds for statements.
//!
//! Plain data, as the engine has it; nothing is done with it here.

pub use crate::server::engine::statements as fuzzed;
pub use crate::server::sql::placeholder::number_placeholders;

/// What to do where the table is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    Fail,
    Create,
}

/// What to do where the table is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfExists {
    Fail,
    Append,
    Replace,
}

/// Where rows are to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngestRequest {
    pub catalog: Option<String>,
    pub schema: Option<String>,
    pub table: String,
    pub if_missing: IfMissing,
    pub if_exists: IfExists,
    pub temporary: bool,
}
