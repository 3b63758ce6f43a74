//! Systems on which a process cannot pass its sockets to another one.

use std::sync::Arc;

use farewell::ShutdownHandle;

use crate::args::Options;
use crate::failure::Failure;
use crate::inherited::Listening;
use crate::inherited::Sockets;
use crate::supervisor::Supervisor;

/// No process is started by a restart.
#[derive(Debug)]
pub(crate) enum Predecessor {}

pub(crate) fn predecessor() -> Result<Option<(Predecessor, Sockets)>, Failure> {
    Ok(None)
}

/// No signal asks for a restart.
#[derive(Debug)]
pub(crate) struct Restarts;

impl Restarts {
    pub(crate) fn accept_requests() -> Result<Self, Failure> {
        Ok(Self)
    }

    pub(crate) fn begin(
        &self,
        _: ShutdownHandle,
        _: Option<ShutdownHandle>,
        _: Vec<Listening>,
        _: Option<Predecessor>,
        _: &Arc<Supervisor>,
        _: &Options,
    ) -> Result<(), Failure> {
        Ok(())
    }

    pub(crate) fn end(&self) {}
}
