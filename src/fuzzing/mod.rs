//! What the targets in `fuzz/` call: bytes in, and a panic where a promise is
//! broken. It is there under `cfg(fuzzing)`, which cargo-fuzz sets, and in the
//! unit tests, which run the seeds of `fuzz/seeds` through it.

mod answers;
mod chunked;
mod connection;
mod cuts;
mod head;
#[cfg(test)]
mod tests;

pub use self::chunked::CHUNKED_PLAN_BYTES;
pub use self::chunked::chunked;
pub use self::connection::HandledRequest;
pub use self::connection::Seen;
pub use self::connection::connection;
pub use self::head::head;
