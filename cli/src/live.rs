//! The log, and what the user sees while the program drains: one line that
//! changes on a terminal, log lines elsewhere.

use std::env;
use std::io;
use std::io::Write;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use env_logger::Target;
use env_logger::WriteStyle;
use env_logger::fmt::Formatter;
use farewell::Phase;
use farewell::ShutdownHandle;
use farewell::Signals;
use humantime::format_rfc3339_seconds;
use log::Record;

use super::os;
use super::os::Stream;
use super::output;
use super::output::LiveLine;
use super::output::STDERR;
use super::seconds_left;

/// How often the seconds on the live line change.
const TICK: Duration = Duration::from_millis(100);

/// How often a log line tells how the drain goes on.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// What is logged unless `RUST_LOG` says otherwise.
const DEFAULT_FILTER: &str = "info";

/// Log by `RUST_LOG` to stderr, which never waits for stderr.
pub(super) fn init_logger() {
    let filter = env::var("RUST_LOG").unwrap_or_default();
    let filter = match filter.trim() {
        "" => DEFAULT_FILTER,
        filter => filter,
    };
    // env_logger would print what is wrong with it, and wait for that.
    let wrong = env_filter::Builder::new().try_parse(filter).err();
    let mut builder = env_logger::Builder::new();
    builder
        .parse_filters(if wrong.is_none() {
            filter
        } else {
            DEFAULT_FILTER
        })
        .write_style(write_style())
        .format(write_line)
        .target(Target::Pipe(Box::new(output::Log)))
        .init();
    if let Some(error) = wrong {
        log::warn!("RUST_LOG is ignored, and {DEFAULT_FILTER} used: {error}");
    }
}

/// `[1994-11-06T08:49:37Z INFO  farewell::server] a line`
fn write_line(out: &mut Formatter, record: &Record<'_>) -> io::Result<()> {
    let style = out.default_level_style(record.level());
    let (level, target) = (record.level(), record.target());
    let stamp = stamp(SystemTime::now());
    writeln!(
        out,
        "[{stamp}{style}{level:<5}{style:#} {target}] {}",
        record.args()
    )
}

/// The date and time, and a blank. Nothing if the system's clock has none from
/// 1970 to 9999: env_logger's own would panic then.
fn stamp(clock: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);

    match clock.duration_since(UNIX_EPOCH) {
        Ok(since) if since <= LAST => format!("{} ", format_rfc3339_seconds(clock)),
        _ => String::new(),
    }
}

/// Colours where stderr is a terminal, and where the environment says so.
fn write_style() -> WriteStyle {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_zero = |name| env::var_os(name).is_some_and(|value| value == "0");
    let colours = match env::var("RUST_LOG_STYLE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        _ if is_set("NO_COLOR") => false,
        _ if is_set("CLICOLOR_FORCE") && !is_zero("CLICOLOR_FORCE") => true,
        _ => os::is_screen(Stream::Stderr) && !is_zero("CLICOLOR"),
    };
    match colours {
        true => WriteStyle::Always,
        false => WriteStyle::Never,
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
    let terminal = os::is_screen(Stream::Stderr);
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
            log::warn!("the progress of a drain will not be shown: {error}");
            Narrator(None)
        }
    }
}

fn draw(stop: &ShutdownHandle, signals: &Signals) {
    while !stop.wait_for_timeout(Phase::Stopped, TICK) {
        let counts = stop.counts();
        let how = if signals.seen() { "again" } else { "twice" };
        STDERR.show_live(Some(LiveLine {
            text: format!(
                "{}: {} in progress, {} idle, {:.1} s left",
                stop.phase(),
                counts.in_progress + counts.waiting,
                counts.idle,
                seconds_left(stop),
            ),
            hint: format!("; Ctrl+C {how} to stop at once"),
        }));
    }
    STDERR.show_live(None);
}

fn write_log(stop: &ShutdownHandle) {
    while !stop.wait_for_timeout(Phase::Stopped, LOG_EVERY) {
        let (phase, counts, left) = (stop.phase(), stop.counts(), seconds_left(stop));
        log::info!("{phase}: {counts}, {left:.1} s left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_without_a_date_gives_no_stamp() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(stamp(at(784_111_777)), "1994-11-06T08:49:37Z ");
        assert_eq!(stamp(at(253_402_300_799)), "9999-12-31T23:59:59Z ");
        assert_eq!(stamp(at(253_402_300_800)), "");
        assert_eq!(stamp(UNIX_EPOCH - Duration::from_secs(1)), "");
    }
}
