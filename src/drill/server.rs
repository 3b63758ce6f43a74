//! The server that is drilled: a child process with a group of its own.

use std::fmt;
use std::io;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Instant;

use super::stage::Stage;
use super::system;
use super::system::Signal;

/// How and when it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) code: Option<i32>,
    /// The signal that ended it, if it was one.
    pub(super) signal: Option<i32>,
    pub(super) at: Instant,
}

impl Exit {
    /// In words.
    pub(super) fn describe(&self) -> String {
        match self.code {
            Some(code) => format!("exit code {code}"),
            None => self.to_string(),
        }
    }
}

/// For a table.
impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "{code}"),
            (None, Some(signal)) => write!(f, "signal {signal}"),
            (None, None) => f.write_str("unknown"),
        }
    }
}

/// The process of one round. It and its whole group are killed when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Server {
    child: Arc<Mutex<Child>>,
    id: u32,
    /// Waits for the end of the process, and tells the stage. It leaves the
    /// process a zombie, so that its number, and that of its group, belong to
    /// nobody else until this is dropped.
    waiter: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn start(
        mut command: Command,
        show_output: bool,
        stage: &Arc<Stage>,
    ) -> io::Result<Self> {
        let output = || match show_output {
            true => Stdio::from(io::stderr()),
            false => Stdio::null(),
        };
        command
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output());
        system::give_own_group(&mut command);
        let child = command.spawn()?;
        let mut server = Self {
            id: child.id(),
            child: Arc::new(Mutex::new(child)),
            waiter: None,
        };
        let (id, child, stage) = (server.id, Arc::clone(&server.child), Arc::clone(stage));
        let waiter = thread::Builder::new().name("drill-waiter".to_owned());
        server.waiter = Some(waiter.spawn(move || {
            let (code, signal) = system::wait(id, &child);
            let at = Instant::now();
            stage.change(|scene| scene.exit = Some(Exit { code, signal, at }));
        })?);
        Ok(server)
    }

    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        system::send(self.id, signal)
    }

    /// Ends whatever is left of the process and its group.
    pub(super) fn kill(&self) {
        // What is gone already need not be killed.
        let _ = system::kill_group(self.id, &self.child);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if let Some(waiter) = self.waiter.take() {
            // One that panicked has told nobody of the end; the stage is gone.
            let _ = waiter.join();
        }
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        // It has ended; this only lets go of the zombie.
        let _ = child.wait();
    }
}
