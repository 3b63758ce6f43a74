//! Describes the machine that the figures were measured on, and reads socket
//! statistics of the kernel.

use std::fs;
use std::process::Command;
use std::thread;

use super::Result;
use super::peers;

/// Machine, versions, date, command, and load average before the run, as a
/// Markdown list without host names and paths.
///
/// # Errors
///
/// When the versions of the compared crates cannot be read.
pub(crate) fn description(command: &str) -> Result<String> {
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.split('-').next().unwrap_or_default();
    let memory: f64 = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split(' ').next()?.parse().ok())
        .unwrap_or_default();
    let autogroup = match read("/proc/sys/kernel/sched_autogroup_enabled").trim() {
        "1" => "on",
        "0" => "off",
        _ => "not in this kernel",
    };
    let others = [
        version("rustc", "-V"),
        version("go", "version"),
        version("node", "-v"),
        version("nginx", "-v"),
        version("wrk", "-v"),
    ];
    Ok(format!(
        "- machine: {cores} cores, {}, {:.0} GiB of memory, Linux {kernel}; autogroup scheduling {autogroup}\n\
         - versions: {}; {}\n\
         - day: {}; command: `{command}`; load average before it: {}\n",
        field("/proc/cpuinfo", "model name").unwrap_or_default(),
        memory / f64::from(1 << 20),
        others.join("; "),
        peers::versions()?.join(", "),
        today(),
        read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    ))
}

/// Memory of all TCP sockets of this machine in KiB. Both ends of a connection
/// count.
pub(crate) fn socket_memory() -> f64 {
    let sockets = read("/proc/net/sockstat");
    let line = sockets.lines().find(|line| line.starts_with("TCP:"));
    let pages = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    pages.unwrap_or(0.0) * rustix::param::page_size() as f64 / 1024.0
}

/// How many connections in TIME_WAIT the server closed first, and how many the
/// client: the socket in TIME_WAIT belongs to the side that closed first.
pub(crate) fn closed_first(port: u16) -> (usize, usize) {
    const TIME_WAIT: &str = "06";
    let suffix = format!(":{port:04X}");
    let (mut by_server, mut by_client) = (0, 0);
    for line in read("/proc/net/tcp").lines() {
        let fields: Vec<&str> = line.split_whitespace().take(4).collect();
        if let [_, local, remote, TIME_WAIT] = fields[..] {
            by_server += usize::from(local.ends_with(&suffix));
            by_client += usize::from(remote.ends_with(&suffix));
        }
    }
    (by_server, by_client)
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = read(path);
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The first line of a program's version output.
fn version(program: &str, option: &str) -> String {
    let Ok(output) = Command::new(program).arg(option).output() else {
        return format!("{program} not installed");
    };
    // nginx prints it on stderr.
    let output = [output.stdout, output.stderr].concat();
    let output = String::from_utf8_lossy(&output);
    let line = output.lines().next().unwrap_or_default();
    let line = line.split(" (").next().unwrap_or_default();
    let line = line.split(" [").next().unwrap_or_default();
    match program {
        "node" => format!("node {line}"),
        _ => line.trim_start_matches("nginx version: ").to_owned(),
    }
}

fn today() -> String {
    let date = httpdate::fmt_http_date(std::time::SystemTime::now());
    // As in "Sun, 06 Nov 1994 08:49:37 GMT".
    date.get(5..16).unwrap_or_default().to_owned()
}
