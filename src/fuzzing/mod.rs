//! The functions that the targets in `fuzz/` call: they take bytes, and panic where
//! the server breaks a promise. They are compiled under `cfg(fuzzing)`, which
//! cargo-fuzz sets, and for the unit tests, which run the seeds of `fuzz/seeds`.

mod answers;
mod chunked;
mod connection;
mod cuts;
mod head;
#[cfg(feature = "multipart")]
mod multipart;
#[cfg(test)]
mod tests;

pub use self::chunked::CHUNKED_PLAN_BYTES;
pub use self::chunked::chunked;
pub use self::connection::HandledRequest;
pub use self::connection::Seen;
pub use self::connection::connection;
pub use self::head::head;
#[cfg(feature = "multipart")]
pub use self::multipart::MULTIPART_BOUNDARY;
#[cfg(feature = "multipart")]
pub use self::multipart::MULTIPART_PLAN_BYTES;
#[cfg(feature = "multipart")]
pub use self::multipart::multipart;
