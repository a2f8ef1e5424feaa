//! The server's error as its parsers use it: a class, a text, a hint.
//!
//! The server's own file knows every library's errors, DataFusion's among them, and so is not taken as it is.

use std::fmt;

/// The classes that parsers give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    Input,
    NotFound,
    Unauthenticated,
    Unsupported,
    Cancelled,
    Exhausted,
    Internal,
}

/// An error with a class.
#[derive(Debug, Clone)]
pub struct Error {
    class: Class,
    message: String,
    hint: Option<String>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    fn new(class: Class, message: impl Into<String>) -> Self {
        Error { class, message: message.into(), hint: None }
    }

    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Class::Input, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Class::NotFound, message)
    }

    pub fn unauthenticated(message: impl Into<String>) -> Self {
        Self::new(Class::Unauthenticated, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Class::Unsupported, message)
    }

    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(Class::Exhausted, message)
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    pub fn class(&self) -> Class {
        self.class
    }

    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hint {
            Some(hint) => write!(f, "{}\nhint: {hint}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for Error {}

/// As the server classifies Arrow's errors: what a reader refuses is input, a failure to read is not.
impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        use arrow::error::ArrowError;
        let class = match &error {
            ArrowError::NotYetImplemented(_) => Class::Unsupported,
            ArrowError::MemoryError(_) => Class::Exhausted,
            ArrowError::IoError(_, _) | ArrowError::CDataInterface(_) | ArrowError::DictionaryKeyOverflowError => {
                Class::Internal
            }
            _ => Class::Input,
        };
        Error::new(class, error.to_string())
    }
}

/// As the server classifies the library's errors.
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
        Error::new(class, error.message())
    }
}

/// The known name that is nearest to a mistyped one.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known.into_iter().min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
}

/// The text of a failed look-up, without the nearest name.
pub fn unknown<'a>(kind: &str, name: &str, _known: impl IntoIterator<Item = &'a str>) -> Error {
    Error::not_found(format!("unknown {kind} `{name}`"))
}
