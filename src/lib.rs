//! An HTTP server that answers everyone before it leaves.
#![doc = ""]

mod config;
mod drain;
mod engine;
mod error;
mod http;
mod net;
mod server;
mod service;

pub use crate::config::Config;
pub use crate::drain::phase::Abort;
pub use crate::drain::phase::Phase;
pub use crate::drain::phase::Trigger;
pub use crate::drain::report::ConnectionOutcome;
pub use crate::drain::report::Counts;
pub use crate::drain::report::CutRequest;
pub use crate::drain::report::Outcome;
pub use crate::drain::report::Report;
pub use crate::drain::report::RequestOutcome;
pub use crate::drain::report::Tally;
pub use crate::drain::shutdown::Progress;
pub use crate::drain::shutdown::ShutdownHandle;
pub use crate::error::Error;
pub use crate::net::listener::Ownership;
pub use crate::server::Server;
pub use crate::server::Spawned;
pub use crate::service::handler::Handler;
pub use crate::service::request::Request;
pub use crate::service::response::Body;
pub use crate::service::response::IntoResponse;
pub use crate::service::response::Response;
