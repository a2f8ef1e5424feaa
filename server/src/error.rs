//! The one error type of the server crate: a class that decides what a client may do, a text, an optional hint.
//!
//! Edges map [`Class`] to their own codes exhaustively; nobody reads the text to decide anything. The text is lower
//! case without a final period and says what was expected and found, with values in backticks. It is here so that no
//! layer invents its own error, and it knows nothing of gRPC or HTTP.

use std::fmt;

use datafusion::common::{DataFusionError, SchemaError};

use crate::limits::MISTYPED_CHARS_MAX;

/// What kind of failure this is. Matched exhaustively wherever it becomes a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The statement or a value in it is wrong; sending it again will not help.
    Input,
    /// A named thing does not exist.
    NotFound,
    /// A named thing exists already.
    AlreadyExists,
    /// Nobody has said who is asking.
    Unauthenticated,
    /// The one who asks may not do this.
    Denied,
    /// Limn does not do this (yet).
    Unsupported,
    /// A limit of `limits.rs` was reached.
    Exhausted,
    /// The client cancelled the statement or went away.
    Cancelled,
    /// The statement's deadline passed.
    DeadlineExceeded,
    /// Another writer was there first; the statement may be sent again.
    Conflict,
    /// The server is starting, draining, or has lost its storage; try later.
    Unavailable,
    /// A bug of Limn or a failure of the machine under it.
    Internal,
}

impl Class {
    /// The class's name as `system.queries`, JSON answers and tests show it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Input => "input",
            Class::NotFound => "not_found",
            Class::AlreadyExists => "already_exists",
            Class::Unauthenticated => "unauthenticated",
            Class::Denied => "denied",
            Class::Unsupported => "unsupported",
            Class::Exhausted => "exhausted",
            Class::Cancelled => "cancelled",
            Class::DeadlineExceeded => "deadline_exceeded",
            Class::Conflict => "conflict",
            Class::Unavailable => "unavailable",
            Class::Internal => "internal",
        }
    }
}

/// An error with a class, a text for the user, and what would help.
#[derive(Debug, Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Debug, Clone)]
struct Inner {
    class: Class,
    message: String,
    hint: Option<String>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! constructors {
    ($($name:ident => $class:ident),+ $(,)?) => {
        $(
            #[doc = concat!("An error of class [`Class::", stringify!($class), "`].")]
            pub fn $name(message: impl Into<String>) -> Self {
                Self::new(Class::$class, message)
            }
        )+
    };
}

impl Error {
    /// An error of the given class with the given text.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Error { inner: Box::new(Inner { class, message: message.into(), hint: None }) }
    }

    constructors! {
        input => Input,
        not_found => NotFound,
        already_exists => AlreadyExists,
        unauthenticated => Unauthenticated,
        denied => Denied,
        unsupported => Unsupported,
        exhausted => Exhausted,
        cancelled => Cancelled,
        deadline_exceeded => DeadlineExceeded,
        conflict => Conflict,
        unavailable => Unavailable,
        internal => Internal,
    }

    /// The same error with a remedy; shown apart from the text.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.inner.hint = Some(hint.into());
        self
    }

    /// The same error with `what` in front of its text: `what: text`.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.inner.message = format!("{what}: {}", self.inner.message);
        self
    }

    /// The class, which decides codes, exit status and whether a retry makes sense.
    pub fn class(&self) -> Class {
        self.inner.class
    }

    /// The text without the hint.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The remedy, where there is one.
    pub fn hint(&self) -> Option<&str> {
        self.inner.hint.as_deref()
    }

    /// Carries this error through an API that only knows DataFusion's error; [`From`] takes it out again.
    pub fn into_datafusion(self) -> DataFusionError {
        DataFusionError::External(Box::new(self))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        match &self.inner.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// `` unknown KIND `NAME`, the nearest is `…` ``: the text that every failed look-up gives.
pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Error {
    let error = |tail: String| Error::not_found(format!("unknown {kind} `{name}`{tail}"));
    match nearest(name, known) {
        Some(nearest) => error(format!(", the nearest is `{nearest}`")),
        None => error(String::new()),
    }
}

/// The known name that a typing mistake most likely meant: by edit distance (Damerau), at most a third of its length and
/// one, and never a name that has nothing in common. What is too long for a name is no typing mistake: measuring it
/// would take as long as it is.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = name.chars().count();
    if given > MISTYPED_CHARS_MAX {
        return None;
    }
    known
        .into_iter()
        // The distance is the difference of the lengths at least.
        .filter(|candidate| {
            let length = candidate.chars().count();
            length.abs_diff(given) <= length.max(3) / 3 + 1
        })
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            let length = candidate.chars().count();
            *distance <= length.max(3) / 3 + 1 && *distance < length.max(given)
        })
        .min()
        .map(|(_, candidate)| candidate)
}

impl From<limn_sql_udfs::Error> for Error {
    fn from(error: limn_sql_udfs::Error) -> Self {
        use limn_sql_udfs::ErrorClass as Udf;
        let class = match error.class() {
            Udf::Input => Class::Input,
            Udf::NotFound => Class::NotFound,
            Udf::Unsupported => Class::Unsupported,
            Udf::Cancelled => Class::Cancelled,
            Udf::Exhausted => Class::Exhausted,
            Udf::Internal => Class::Internal,
        };
        let new = Error::new(class, error.message());
        match error.hint() {
            Some(hint) => new.with_hint(hint),
            None => new,
        }
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::from(DataFusionError::from(error))
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Error::new(io_class(error.kind()), error.to_string())
    }
}

fn io_class(kind: std::io::ErrorKind) -> Class {
    use std::io::ErrorKind;
    match kind {
        ErrorKind::NotFound => Class::NotFound,
        ErrorKind::AlreadyExists => Class::AlreadyExists,
        ErrorKind::PermissionDenied => Class::Denied,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Class::Exhausted,
        _ => Class::Internal,
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        // Our own errors travel inside DataFusion's; take them out whole, whatever wraps them.
        if let Some(own) = find_own(&error) {
            return own;
        }
        let (class, text) = match error.find_root() {
            DataFusionError::SchemaError(schema, _) => return schema_error(schema),
            DataFusionError::SQL(parser, _) => (Class::Input, parser.to_string()),
            DataFusionError::Plan(text) | DataFusionError::Configuration(text) => (Class::Input, text.clone()),
            DataFusionError::NotImplemented(text) => (Class::Unsupported, text.clone()),
            DataFusionError::ResourcesExhausted(text) => {
                return Error::exhausted(lower_first(text)).with_hint(
                    "select less at a time, or raise the memory: `--memory` for all statements, the limit \
                     `memory_per_query` for one",
                );
            }
            DataFusionError::ArrowError(arrow, _) => arrow_error(arrow),
            DataFusionError::Execution(text) => (Class::Input, text.clone()),
            DataFusionError::IoError(io) => (io_class(io.kind()), io.to_string()),
            other => (Class::Internal, other.strip_backtrace()),
        };
        Error::new(class, lower_first(&text))
    }
}

/// Walks the chain of sources for an error of this crate or of `limn-sql-udfs`.
fn find_own(error: &DataFusionError) -> Option<Error> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = at {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own.clone());
        }
        if let Some(udf) = error.downcast_ref::<limn_sql_udfs::Error>() {
            return Some(Error::from(udf.clone()));
        }
        // `External` and `Shared` hide their content from `source()`.
        at = match error.downcast_ref::<DataFusionError>() {
            Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Shared(inner)) => Some(inner.as_ref()),
            Some(DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner)) => Some(inner.as_ref()),
            Some(DataFusionError::ArrowError(inner, _)) => Some(inner.as_ref()),
            Some(DataFusionError::Collection(all)) => all.first().map(|e| e as &(dyn std::error::Error + 'static)),
            _ => match error.downcast_ref::<arrow::error::ArrowError>() {
                Some(arrow::error::ArrowError::ExternalError(inner)) => Some(inner.as_ref()),
                _ => error.source(),
            },
        };
    }
    None
}

/// What the names of the columns begin with that statements add to what they read.
const OWN_COLUMNS: &str = "__limn_";

/// DataFusion's unresolved column, said in our words.
fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let wanted = field.name.clone();
            // Columns of Limn's own are in some plans; nobody is to write their names.
            let names: Vec<&str> =
                valid_fields.iter().map(|c| c.name.as_str()).filter(|name| !name.starts_with(OWN_COLUMNS)).collect();
            let error = unknown("column", &wanted, names.iter().copied());
            match names.len() {
                0 => error,
                _ => {
                    let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
                    let rest = if names.len() > 12 { ", …" } else { "" };
                    error.with_hint(format!("the columns here are {}{rest}", shown.join(", ")))
                }
            }
        }
        other => Error::input(lower_first(&other.to_string())),
    }
}

fn arrow_error(error: &arrow::error::ArrowError) -> (Class, String) {
    use arrow::error::ArrowError;
    let class = match error {
        ArrowError::NotYetImplemented(_) => Class::Unsupported,
        ArrowError::MemoryError(_) => Class::Exhausted,
        ArrowError::IoError(_, io) => io_class(io.kind()),
        ArrowError::CDataInterface(_) | ArrowError::DictionaryKeyOverflowError => Class::Internal,
        _ => Class::Input,
    };
    (class, error.to_string())
}

/// Texts of libraries begin with a capital, end with a period and go over several lines; ours do not.
fn lower_first(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join(" ");
    let text = text.trim_end_matches('.');
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        // An acronym or a name (`NULL`, `SQL`) stays as it is.
        (Some(first), Some(second)) if first.is_uppercase() && second.is_lowercase() => {
            first.to_lowercase().chain(std::iter::once(second)).chain(chars).collect()
        }
        _ => text.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let known = ["select", "insert", "at"];
        for (name, expected) in [("selct", Some("select")), ("selectt", Some("select")), ("xx", None), ("zzzzzz", None)]
        {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }

    #[test]
    fn a_word_of_a_megabyte_is_not_measured() {
        // Each candidate would take seconds, and there are many.
        let long = "x".repeat(1024 * 1024);
        let known: Vec<String> = (0..3).map(|number| format!("{long}{number}")).collect();
        let started = std::time::Instant::now();
        let all = known.iter().map(String::as_str).chain(std::iter::repeat_n("select", 10_000));
        assert_eq!(nearest(&long, all), None);
        assert!(started.elapsed() < std::time::Duration::from_secs(10));
    }
}
