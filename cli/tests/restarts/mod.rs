//! Restarts of the program under load: the service, and clients that count what they lose.
//! For the tests, and for the bench `restart`.

pub(crate) mod clients;
pub(crate) mod service;
