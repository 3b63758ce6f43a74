//! Why a GET gets no file.

use super::path::BadPath;
use super::root::OpenError;
use crate::message::rejection::Rejection;

/// See the module.
pub(super) enum Miss {
    /// There is nothing.
    Nothing,
    Rejected(Rejection),
}

impl From<BadPath> for Miss {
    fn from(bad: BadPath) -> Self {
        bad.rejection().map_or(Self::Nothing, Self::Rejected)
    }
}

impl From<OpenError> for Miss {
    fn from(error: OpenError) -> Self {
        error.rejection().map_or(Self::Nothing, Self::Rejected)
    }
}
