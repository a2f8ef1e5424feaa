//! The one error type of this crate: a class, a text and an optional hint.
//!
//! It is here so that functions, artifacts and algorithms fail in one way; the server maps the class to its own. It
//! knows nothing of statements or protocols.

use std::fmt;

/// What kind of failure this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The data, a parameter or an argument is wrong.
    Input,
    /// A named thing (a feature, a parameter, a class) does not exist.
    NotFound,
    /// An algorithm, an operator or an option that is not there.
    Unsupported,
    /// The caller's cancellation was seen.
    Cancelled,
    /// The data does not fit a limit.
    Exhausted,
    /// A bug of Limn.
    Internal,
}

/// An error with a class, a text for the user, and what would help.
#[derive(Debug, Clone)]
pub struct Error {
    class: ErrorClass,
    message: String,
    hint: Option<String>,
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of the given class.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Error { class, message: message.into(), hint: None }
    }

    /// An error of class [`ErrorClass::Input`].
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Input, message)
    }

    /// An error of class [`ErrorClass::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::NotFound, message)
    }

    /// An error of class [`ErrorClass::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Unsupported, message)
    }

    /// The error of a computation that was told to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorClass::Cancelled, "the training was cancelled")
    }

    /// An error of class [`ErrorClass::Exhausted`].
    pub fn exhausted(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Exhausted, message)
    }

    /// An error of class [`ErrorClass::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Internal, message)
    }

    /// The error of a look-up that failed: `` unknown KIND `NAME`, the nearest is `…` ``.
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(name, known) {
            Some(nearest) => Self::not_found(format!("unknown {kind} `{name}`, the nearest is `{nearest}`")),
            None => Self::not_found(format!("unknown {kind} `{name}`")),
        }
    }

    /// The same error with a remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The class.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// The text without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The remedy, where there is one.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Characters of a name for which a nearest one is looked for: measuring takes as long as it is.
const MISTYPED_CHARS_MAX: usize = 255;

/// The known name that a typing mistake most likely meant: an edit distance of at most a third of its length.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = name.chars().count();
    // The distance is the difference of the lengths at least.
    let may_be = |candidate: &&str| {
        let length = candidate.chars().count();
        given <= MISTYPED_CHARS_MAX && length.abs_diff(given) <= length.max(3) / 3 + 1
    };
    let measured =
        known.into_iter().filter(may_be).map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate));
    let near = measured.filter(|(distance, candidate)| *distance <= candidate.chars().count().max(3) / 3 + 1);
    near.min().map(|(_, candidate)| candidate)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for datafusion_common::DataFusionError {
    fn from(error: Error) -> Self {
        datafusion_common::DataFusionError::External(Box::new(error))
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(error: arrow::error::ArrowError) -> Self {
        Error::internal(error.to_string())
    }
}
