//! What differs between systems for files that are stored: files without a name, locks,
//! and what reaches the disk.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(any(test, not(target_os = "linux")))]
mod portable;
#[cfg(unix)]
mod unix;
#[cfg(any(test, not(unix)))]
mod without_locks;

#[cfg(target_os = "linux")]
pub(in crate::files) use linux::create_unnamed;
#[cfg(target_os = "linux")]
pub(in crate::files) use linux::name_unnamed;
#[cfg(target_os = "linux")]
pub(in crate::files) use linux::rename_to_free;
#[cfg(not(target_os = "linux"))]
pub(in crate::files) use portable::create_unnamed;
#[cfg(not(target_os = "linux"))]
pub(in crate::files) use portable::name_unnamed;
#[cfg(not(target_os = "linux"))]
pub(in crate::files) use portable::rename_to_free;
#[cfg(unix)]
pub(in crate::files) use unix::folder_id;
#[cfg(unix)]
pub(in crate::files) use unix::has_name;
#[cfg(unix)]
pub(in crate::files) use unix::is_name_refused;
#[cfg(unix)]
pub(in crate::files) use unix::lock;
#[cfg(unix)]
pub(in crate::files) use unix::open_abandoned;
#[cfg(unix)]
pub(in crate::files) use unix::sync_folder;
#[cfg(not(unix))]
pub(in crate::files) use without_locks::folder_id;
#[cfg(not(unix))]
pub(in crate::files) use without_locks::has_name;
#[cfg(not(unix))]
pub(in crate::files) use without_locks::is_name_refused;
#[cfg(not(unix))]
pub(in crate::files) use without_locks::lock;
#[cfg(not(unix))]
pub(in crate::files) use without_locks::open_abandoned;
#[cfg(not(unix))]
pub(in crate::files) use without_locks::sync_folder;
