//! The log, and the progress of a stop: a live line on a terminal, log lines
//! elsewhere.

use std::env;
use std::io;
use std::io::Write;
use std::mem;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use env_logger::Target;
use env_logger::WriteStyle;
use env_logger::fmt::Formatter;
use farewell::Phase;
use farewell::ShutdownHandle;
use farewell::Signals;
use humantime::format_rfc3339_seconds;
use log::LevelFilter;
use log::Log;
use log::Metadata;
use log::Record;

use super::access_log;
use super::access_log::AccessLogFile;
use super::os;
use super::os::StandardStream;
use super::output;
use super::output::LiveLine;
use super::output::STDERR;

/// Time between two updates of the live line.
const LIVE_LINE_INTERVAL: Duration = Duration::from_millis(100);

/// Time between two log lines about the progress.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// What the names of all modules begin with, those of the library too.
const PACKAGE: &str = "farewell";

/// The default of `RUST_LOG`.
const DEFAULT_FILTER: &str = "info";

/// Sends the log to stderr, filtered by `RUST_LOG`, and the access log to its file if it has
/// one, whatever the filter is. A log call never waits for stderr or the file.
pub(super) fn init_logger(access_log: Option<&'static AccessLogFile>) {
    let filter = env::var("RUST_LOG").unwrap_or_default();
    let filter = match filter.trim() {
        "" => DEFAULT_FILTER,
        filter => filter,
    };
    // Checked here because env_logger would print the error itself, and wait
    // until stderr accepts it.
    let wrong = match env_filter::Builder::new().try_parse(filter) {
        Ok(_) => unknown_directive(filter).map(|directive| {
            format!("'{directive}' is neither a level (error, warn, info, debug, trace, off) nor a module of farewell")
        }),
        Err(error) => Some(error.to_string()),
    };
    let stderr = env_logger::Builder::new()
        .parse_filters(if wrong.is_none() {
            filter
        } else {
            DEFAULT_FILTER
        })
        .write_style(write_style())
        .format(write_line)
        .target(Target::Pipe(Box::new(output::LogSink)))
        .build();
    let level = match access_log {
        Some(_) => stderr.filter().max(LevelFilter::Info),
        None => stderr.filter(),
    };
    // It fails only where another logger is set, and this is the only one.
    if log::set_boxed_logger(Box::new(Logger { stderr, access_log })).is_ok() {
        log::set_max_level(level);
    }
    if let Some(error) = wrong {
        log::warn!("RUST_LOG is ignored, and {DEFAULT_FILTER} is used instead: {error}");
    }
}

/// The log on stderr, and the file of the access log.
struct Logger {
    stderr: env_logger::Logger,
    access_log: Option<&'static AccessLogFile>,
}

impl Logger {
    /// The file that takes the lines of this target.
    fn file(&self, target: &str) -> Option<&'static AccessLogFile> {
        self.access_log.filter(|_| target == access_log::TARGET)
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.file(metadata.target()).is_some() || self.stderr.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        match self.file(record.target()) {
            Some(file) => file.write(*record.args()),
            None => self.stderr.log(record),
        }
    }

    fn flush(&self) {}
}

/// The first directive of a filter that is neither a level nor the beginning of a
/// module's name. env_filter takes any word for a module, so a typo in a level
/// would silence the log.
fn unknown_directive(filter: &str) -> Option<&str> {
    // A pattern for the text of a line may follow.
    let (directives, _) = filter.split_once('/').unwrap_or((filter, ""));
    directives.split(',').map(str::trim).find(|directive| {
        let is_level = directive.parse::<LevelFilter>().is_ok();
        let is_module = directive.starts_with(PACKAGE) || PACKAGE.starts_with(directive);
        !(directive.is_empty() || directive.contains('=') || is_level || is_module)
    })
}

/// The module that logs the steps of a stop.
const STOP: &str = "farewell::shutdown::drain";

/// The server of the application has stopped, and has written its last line.
static HAS_STOPPED: AtomicBool = AtomicBool::new(false);

/// Leaves out the steps of later stops: that of the listener for operators is none of the
/// application, and would seem to be one.
pub(super) fn leave_out_later_stops() {
    HAS_STOPPED.store(true, Relaxed);
}

/// As in `[1994-11-06T08:49:37Z INFO  farewell::server] a line`.
fn write_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    if record.target() == STOP && HAS_STOPPED.load(Relaxed) {
        return Ok(());
    }
    let style = out.default_level_style(record.level());
    let (level, target) = (record.level(), record.target());
    let stamp = stamp(SystemTime::now());
    writeln!(
        out,
        "[{stamp}{style}{level:<5}{style:#} {target}] {}",
        record.args()
    )
}

/// Date and time, and a blank. Empty if the year is not from 1970 to 9999:
/// env_logger's own timestamp would panic then.
fn stamp(clock: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);

    match clock.duration_since(UNIX_EPOCH) {
        Ok(since) if since <= LAST => format!("{} ", format_rfc3339_seconds(clock)),
        _ => String::new(),
    }
}

/// Colours on a terminal, unless the environment says otherwise.
fn write_style() -> WriteStyle {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name| env::var_os(name).is_some_and(|value| value == "0");
    let colours = match env::var("RUST_LOG_STYLE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        _ if is_set("NO_COLOR") => false,
        _ if is_set("CLICOLOR_FORCE") && !is_zero("CLICOLOR_FORCE") => true,
        _ => os::is_ansi_terminal(StandardStream::Stderr) && !is_zero("CLICOLOR"),
    };
    match colours {
        true => WriteStyle::Always,
        false => WriteStyle::Never,
    }
}

/// The thread that shows the progress.
pub(super) struct ProgressThread(Option<JoinHandle<()>>);

impl ProgressThread {
    /// Waits for the thread, which ends when the server has stopped.
    pub(super) fn join(self) {
        if let Some(thread) = self.0
            && thread.join().is_err()
        {
            log::error!("the thread that shows the progress of the stop panicked");
        }
    }
}

/// Starts the thread that shows the progress from the trigger to the end of a
/// stop.
pub(super) fn show_progress(stop: ShutdownHandle, signals: Signals) -> ProgressThread {
    let terminal = os::is_ansi_terminal(StandardStream::Stderr);
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
        Ok(thread) => ProgressThread(Some(thread)),
        Err(error) => {
            log::warn!("cannot start the thread that shows the progress of a stop: {error}");
            ProgressThread(None)
        }
    }
}

fn draw(stop: &ShutdownHandle, signals: &Signals) {
    while !stop.wait_for_timeout(Phase::Stopped, LIVE_LINE_INTERVAL) {
        let (phase, counts) = (stop.phase(), stop.counts());
        let in_progress = counts.in_progress + counts.waiting;
        let (idle, left) = (counts.idle, left(stop, phase));
        let hint = match phase {
            Phase::Aborting => String::new(),
            _ if signals.seen() => "; Ctrl+C again to stop at once".to_owned(),
            _ => "; Ctrl+C twice to stop at once".to_owned(),
        };
        STDERR.show_live(Some(LiveLine {
            text: format!("{phase}: {in_progress} in progress, {idle} idle{left}"),
            hint,
        }));
    }
    STDERR.show_live(None);
}

fn write_log(stop: &ShutdownHandle) {
    let mut last = stop.phase();
    while !stop.wait_for_timeout(Phase::Stopped, LOG_INTERVAL) {
        let (phase, counts) = (stop.phase(), stop.counts());
        // The library logs that a phase begins, with the counts, on another thread. A
        // line from here must not come before that.
        if mem::replace(&mut last, phase) != phase {
            continue;
        }
        log::info!("{phase}: {counts}{}", left(stop, phase));
    }
}

/// What is left to send, if there is anything, and the time until the deadline.
fn left(stop: &ShutdownHandle, phase: Phase) -> String {
    let time_left = time_left(stop, phase);
    match stop.unsent() {
        unsent if unsent.bytes > 0 => format!(", {unsent}{time_left}"),
        _ => time_left,
    }
}

/// The time until the deadline of the stop. Nothing in an abort, which is at the
/// deadline or beyond it.
fn time_left(stop: &ShutdownHandle, phase: Phase) -> String {
    match phase {
        Phase::Aborting | Phase::Stopped => String::new(),
        _ => format!(", {:.1} s left", seconds_left(stop)),
    }
}

/// Seconds until the deadline of the stop.
fn seconds_left(stop: &ShutdownHandle) -> f64 {
    let left = |at: Instant| at.saturating_duration_since(Instant::now());
    stop.deadline().map_or(Duration::ZERO, left).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directive_that_is_no_level_and_no_module_is_found() {
        for right in [
            "",
            "off",
            "WARN",
            "info,farewell::access=off",
            "farewell::engine",
            "debug/rejected, with",
            "hyper=warn, error",
        ] {
            assert_eq!(unknown_directive(right), None, "{right}");
        }
        assert_eq!(unknown_directive("inof"), Some("inof"));
        assert_eq!(unknown_directive("warn, bogus ,x"), Some("bogus"));
        assert_eq!(unknown_directive("bogus/info"), Some("bogus"));
    }

    #[test]
    fn a_year_beyond_9999_gives_no_timestamp() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(stamp(at(784_111_777)), "1994-11-06T08:49:37Z ");
        assert_eq!(stamp(at(253_402_300_799)), "9999-12-31T23:59:59Z ");
        assert_eq!(stamp(at(253_402_300_800)), "");
        assert_eq!(stamp(UNIX_EPOCH - Duration::from_secs(1)), "");
    }
}
