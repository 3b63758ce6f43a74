//! `--open`: shows a URL in the browser of this machine.

use std::process::Stdio;
use std::thread;

use super::os;

/// Starts the browser, and returns at once. If that does not work, a line of the log says
/// so: the server does not depend on it.
///
/// The program that opens the browser may run as long as the browser does. A thread waits
/// for it, and is not joined: it ends with the process. The browser goes on.
pub(super) fn open(url: &str) {
    let mut command = os::browser(url);
    let name = command.get_program().to_string_lossy().into_owned();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let failed = move |why: String| {
        log::warn!("cannot open a browser: {name} {why}; open the URL by hand");
    };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("does not start: {error}")),
    };
    let waiter = thread::Builder::new().name("farewell-open".to_owned());
    let waits = waiter.spawn(move || match child.wait() {
        Ok(status) if !status.success() => failed(format!("failed ({status})")),
        Ok(_) => {}
        Err(error) => failed(error.to_string()),
    });
    if let Err(error) = waits {
        log::debug!("cannot start the thread that waits for the browser: {error}");
    }
}
