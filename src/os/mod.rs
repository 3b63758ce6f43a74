//! What differs between operating systems: small functions, each with a
//! portable version that says "not here".

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
#[cfg(target_os = "linux")]
mod sock_diag;
#[cfg(unix)]
mod unix;

#[cfg(target_os = "linux")]
pub(crate) use linux::accepted_is_nonblocking;
#[cfg(target_os = "linux")]
pub(crate) use linux::close_door;
#[cfg(target_os = "linux")]
pub(crate) use linux::half_open;
#[cfg(target_os = "linux")]
pub(crate) use linux::is_running;
#[cfg(target_os = "linux")]
pub(crate) use linux::limit_unsent;
#[cfg(target_os = "linux")]
pub(crate) use linux::nodelay_is_inherited;
#[cfg(target_os = "linux")]
pub(crate) use linux::open_files_max;
#[cfg(target_os = "linux")]
pub(crate) use linux::send_file;
#[cfg(target_os = "linux")]
pub(crate) use linux::short_read_means_empty;
#[cfg(target_os = "linux")]
pub(crate) use linux::thread_number;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::accepted_is_nonblocking;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::close_door;
#[cfg(not(unix))]
pub(crate) use portable::deregister;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::half_open;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::is_running;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::limit_unsent;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::nodelay_is_inherited;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::open_files_max;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::send_file;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::short_read_means_empty;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::thread_number;
#[cfg(unix)]
pub(crate) use unix::deregister;
