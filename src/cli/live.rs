//! What the user sees while the program drains: one line that changes on a
//! terminal, log lines elsewhere. And the log, which must not tear that line.

use std::env;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use env_logger::Env;
use env_logger::Target;
use env_logger::WriteStyle;
use farewell::Phase;
use farewell::ShutdownHandle;
use farewell::Signals;

use super::seconds_left;

/// How often the seconds on the live line change.
const TICK: Duration = Duration::from_millis(100);

/// How often a log line tells how the drain goes on.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// To the start of the line, and clear it.
const CLEAR: &str = "\r\x1b[2K";

/// Cut off at the edge of the terminal what is longer, instead of wrapping it:
/// a line that wraps cannot be cleared. And back again.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// The live line, while there is one. Whoever writes to the terminal holds it.
static LINE: Mutex<String> = Mutex::new(String::new());

/// Log by `RUST_LOG`, default `info`, to stderr.
pub(super) fn init_logger() {
    let mut builder = env_logger::Builder::from_env(Env::default().default_filter_or("info"));
    if io::stderr().is_terminal() {
        builder.target(Target::Pipe(Box::new(AboveLine)));
        if env::var_os("NO_COLOR").is_none() && env::var_os("RUST_LOG_STYLE").is_none() {
            builder.write_style(WriteStyle::Always);
        }
    }
    builder.init();
}

/// Writes above the live line: clears it, writes, draws it again.
struct AboveLine;

impl Write for AboveLine {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stderr = io::stderr().lock();
        if line.is_empty() {
            return stderr.write(bytes);
        }
        stderr.write_all(CLEAR.as_bytes())?;
        stderr.write_all(bytes)?;
        write!(stderr, "{NO_WRAP}{line}{WRAP}")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The thread that narrates.
pub(super) struct Narrator(Option<JoinHandle<()>>);

impl Narrator {
    /// Waits for it; it ends when the server has stopped.
    pub(super) fn join(self) {
        if let Some(thread) = self.0
            && thread.join().is_err()
        {
            log::error!("the thread that tells how the drain goes panicked");
        }
    }
}

/// Tells how the drain goes, from the trigger to the end.
pub(super) fn narrate(stop: ShutdownHandle, signals: Signals) -> Narrator {
    let terminal = io::stderr().is_terminal();
    let thread = thread::Builder::new()
        .name("farewell-live".to_owned())
        .spawn(move || {
            stop.wait_for(Phase::LameDuck);
            match terminal {
                true => draw(&stop, &signals),
                false => write_log(&stop),
            }
        });
    match thread {
        Ok(thread) => Narrator(Some(thread)),
        Err(error) => {
            log::warn!("nobody will tell how the drain goes: {error}");
            Narrator(None)
        }
    }
}

fn draw(stop: &ShutdownHandle, signals: &Signals) {
    while !stop.wait_for_timeout(Phase::Stopped, TICK) {
        let counts = stop.counts();
        let how = if signals.seen() { "again" } else { "twice" };
        redraw(format!(
            "{}: {} in progress, {} idle, {:.1} s left; Ctrl+C {how} to stop at once",
            stop.phase(),
            counts.in_progress + counts.waiting,
            counts.idle,
            seconds_left(stop),
        ));
    }
    redraw(String::new());
}

fn redraw(text: String) {
    let mut line = LINE.lock().unwrap_or_else(PoisonError::into_inner);
    *line = text;
    // A terminal that is gone is no reason to stop draining.
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{CLEAR}{NO_WRAP}{line}{WRAP}").and_then(|()| stderr.flush());
}

fn write_log(stop: &ShutdownHandle) {
    while !stop.wait_for_timeout(Phase::Stopped, LOG_EVERY) {
        let (phase, counts, left) = (stop.phase(), stop.counts(), seconds_left(stop));
        log::info!("{phase}: {counts}, {left:.1} s left");
    }
}
