//! What differs between systems for files: names, kinds of errors, and opening without
//! waiting.

pub(super) mod new_file;
#[cfg(any(test, not(unix)))]
mod portable;
#[cfg(unix)]
mod unix;

#[cfg(not(unix))]
pub(super) use portable::cannot_be_opened;
#[cfg(not(unix))]
pub(super) use portable::is_out_of_descriptors;
#[cfg(not(unix))]
pub(super) use portable::is_servable_anywhere;
#[cfg(not(unix))]
pub(super) use portable::name_bytes;
#[cfg(not(unix))]
pub(super) use portable::name_of_bytes;
#[cfg(not(unix))]
pub(super) use portable::never_waits;
#[cfg(not(unix))]
pub(super) use portable::open_anywhere;
#[cfg(unix)]
pub(super) use unix::cannot_be_opened;
#[cfg(unix)]
pub(super) use unix::is_out_of_descriptors;
#[cfg(unix)]
pub(super) use unix::is_servable_anywhere;
#[cfg(unix)]
pub(super) use unix::name_bytes;
#[cfg(unix)]
pub(super) use unix::name_of_bytes;
#[cfg(unix)]
pub(super) use unix::never_waits;
#[cfg(unix)]
pub(super) use unix::open_anywhere;
