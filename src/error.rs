//! The error of this library: what it tried to do, and what went wrong.

use std::fmt;
use std::io;

/// Why a server could not be created or started, or why it failed.
///
/// Its text is one line that says what the library tried to do and what went
/// wrong:
/// `cannot listen on 127.0.0.1:80: Permission denied (os error 13)`.
pub struct Error {
    context: String,
    cause: Option<io::Error>,
}

impl Error {
    pub(crate) fn io(context: impl Into<String>, cause: io::Error) -> Self {
        Self {
            context: context.into(),
            cause: Some(cause),
        }
    }

    pub(crate) fn config(field: &str, problem: impl fmt::Display) -> Self {
        Self {
            context: format!("{field} {problem}"),
            cause: None,
        }
    }

    /// The I/O error that caused this one, if there is one.
    pub fn io_error(&self) -> Option<&io::Error> {
        self.cause.as_ref()
    }

    /// Whether the cause is an invalid value in the [`Config`](crate::Config), an
    /// invalid route of a [`Router`](crate::Router), or an invalid token or realm for
    /// authentication. If it is not, there is an [`io_error`](Self::io_error).
    pub fn is_config(&self) -> bool {
        self.cause.is_none()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        match &self.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

/// The same text as [`Display`](fmt::Display), because `main` prints the error
/// that it returns in this form.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause.as_ref().map(|cause| cause as _)
    }
}
