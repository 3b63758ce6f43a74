//! The new process of a restart.

use std::env;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use farewell::Ownership;
use farewell::Phase;
use farewell::ShutdownHandle;
use rustix::process::getppid;

use super::VARIABLE;
use super::channel::Channel;
use super::channel::Message;
use crate::failure::Failure;
use crate::inherited::InheritedSocket;
use crate::inherited::Listening;
use crate::inherited::Role;
use crate::inherited::Sockets;

/// How long the old process may take to pass the sockets on. It has sent them before this
/// process started.
const SOCKETS_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the old process may take to leave the sockets to this one. After that, this one
/// goes on all the same.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one wait for the server, or for a message, lasts. In between the process looks
/// whether it was asked to stop.
const INTERVAL: Duration = Duration::from_millis(50);

/// The old process, which waits until this one takes over.
#[derive(Debug)]
pub(crate) struct Predecessor {
    channel: Channel,
    ownerships: Vec<(Role, Ownership)>,
}

/// The old process with its sockets, if this one was started by a restart.
///
/// # Errors
///
/// The old process passes no sockets, or none that can be used.
pub(crate) fn predecessor() -> Result<Option<(Predecessor, Sockets)>, Failure> {
    let parent = getppid().map(|parent| parent.as_raw_nonzero().to_string());
    // The variable is inherited by processes that this one starts, and by those after an
    // old process that was killed.
    if env::var(VARIABLE)
        .ok()
        .is_none_or(|old| Some(old) != parent)
    {
        return Ok(None);
    }
    let cannot = |error: io::Error| {
        Failure::error(format!(
            "cannot take the sockets of the process before: {error}"
        ))
    };
    let channel = take_stdin().map_err(cannot)?;
    let passed = channel.receive_sockets(SOCKETS_TIMEOUT).map_err(cannot)?;
    let ownerships = passed.iter().map(|passed| (passed.role, passed.ownership));
    let ownerships = ownerships.collect();
    let mut sockets = Sockets::new();
    for passed in passed {
        sockets.push((
            passed.role,
            InheritedSocket::new(passed.socket).map_err(cannot)?,
        ));
    }
    let predecessor = Predecessor {
        channel,
        ownerships,
    };
    Ok(Some((predecessor, sockets)))
}

/// Takes the channel from the standard input, and puts `/dev/null` there.
fn take_stdin() -> io::Result<Channel> {
    let channel = io::stdin().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(Channel::new(UnixStream::from(channel)))
}

impl Predecessor {
    /// Takes over on a thread of its own, once the server accepts connections. Then it calls
    /// `then`.
    pub(crate) fn take_over(
        self,
        stop: ShutdownHandle,
        listening: Vec<Listening>,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<JoinHandle<()>, Failure> {
        let take_over = move || match self.run(&stop, &listening) {
            Ok(true) => then(),
            Ok(false) => {}
            Err(error) => {
                log::error!("cannot take over from the process before: {error}");
                stop.shutdown();
            }
        };
        thread::Builder::new()
            .name("farewell-take-over".to_owned())
            .spawn(take_over)
            .map_err(|error| Failure::error(format!("cannot start a thread: {error}")))
    }

    /// Returns whether this process has taken over. It has not if it was asked to stop
    /// before; then the drop of the channel tells the old process.
    fn run(mut self, stop: &ShutdownHandle, listening: &[Listening]) -> io::Result<bool> {
        let is_stopping = || stop.phase() >= Phase::LameDuck;
        while !stop.wait_until_serving(INTERVAL) {
            if is_stopping() {
                return Ok(false);
            }
        }
        let mut is_there = self.channel.send(Message::Ready).is_ok();
        while is_there {
            if is_stopping() {
                return Ok(false);
            }
            match self.channel.receive(INTERVAL) {
                Ok(None) => {}
                Ok(Some(Message::TakeOver)) => break,
                // The old process was killed. Nothing else has its sockets.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => is_there = false,
                Ok(Some(_)) => return Err(ErrorKind::InvalidData.into()),
                Err(error) => return Err(error),
            }
        }
        for Listening { role, listener } in listening {
            let ownership = self.ownerships.iter().find(|(of, _)| of == role);
            let Some(&(_, ownership)) = ownership else {
                continue;
            };
            let owns = listener.set_ownership(ownership);
            if !owns.map_err(io::Error::other)? {
                return Ok(false);
            }
        }
        if is_there && self.channel.send(Message::Taken).is_ok() {
            // Until its end, the old process tells the supervisor about this one.
            let _ = self.channel.receive(END_TIMEOUT);
        }
        Ok(true)
    }
}
