//! The loads with `wrk`, and one measurement.

use std::io::Read;
use std::io::Write;
use std::net::Ipv4Addr;
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::Result;
use crate::harness::peers::RunningServer;
use crate::harness::wrk::Load;
use crate::servers::SESSION;

pub(crate) const WARM_UP: Duration = Duration::from_millis(500);

const CONNECTIONS: usize = 64;

/// A load, and what a request of it asks for.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    path: &'static str,
    is_conditional: bool,
    /// The bytes of a response, if the table has bytes a second.
    pub(crate) bytes: Option<u64>,
}

pub(crate) const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "1k",
        title: "1 KiB",
        path: "/1k",
        is_conditional: false,
        bytes: None,
    },
    Scenario {
        name: "64k",
        title: "64 KiB",
        path: "/64k",
        is_conditional: false,
        bytes: None,
    },
    Scenario {
        name: "10m",
        title: "10 MiB",
        path: "/10m",
        is_conditional: false,
        bytes: Some(10 << 20),
    },
    Scenario {
        name: "304",
        title: "304",
        path: "/1k",
        is_conditional: true,
        bytes: None,
    },
    Scenario {
        name: "listing",
        title: "listing of 1 000 entries",
        path: "/many/",
        is_conditional: false,
        bytes: None,
    },
];

/// The figures of one measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    /// User and system time of the server, in µs.
    pub(crate) processor_per_request: f64,
    /// In KiB.
    pub(crate) peak_memory: f64,
}

/// The figures of farewell divided by those of another server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratios {
    pub(crate) requests: f64,
    pub(crate) processor: f64,
}

impl Sample {
    pub(crate) fn divided_by(&self, other: &Self) -> Ratios {
        Ratios {
            requests: self.requests_per_second / other.requests_per_second,
            processor: self.processor_per_request / other.processor_per_request,
        }
    }
}

impl Scenario {
    pub(crate) fn of_name(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// The load. A condition has the entity tag that this server gives, or its date.
    ///
    /// # Errors
    ///
    /// If the server does not answer as the scenario expects.
    pub(crate) fn load_for(&self, server: &RunningServer) -> Result<Load> {
        let head = head_of_response(server.port, self.path, "")?;
        let mut field = None;
        if self.is_conditional {
            let value = |name: &str| {
                let line = head.lines().find_map(|line| {
                    let (found, value) = line.split_once(": ")?;
                    found.eq_ignore_ascii_case(name).then_some(value)
                });
                line.map(str::to_owned)
            };
            let condition = match (value("etag"), value("last-modified")) {
                (Some(tag), _) => format!("If-None-Match: {tag}"),
                (None, Some(date)) => format!("If-Modified-Since: {date}"),
                (None, None) => return Err("a response without ETag and Last-Modified".into()),
            };
            field = Some(&*condition.leak());
        }
        let expected = match self.is_conditional {
            true => "HTTP/1.1 304",
            false => "HTTP/1.1 200",
        };
        let head = head_of_response(server.port, self.path, field.unwrap_or_default())?;
        if !head.starts_with(expected) {
            return Err(format!("{expected} expected for {}: {head}", self.path).into());
        }
        Ok(Load {
            path: self.path,
            connections: CONNECTIONS,
            post: None,
            close: false,
            field,
            pause: None,
        })
    }
}

/// Measures the server for this many seconds.
///
/// # Errors
///
/// If `wrk` fails, or a response has another status than 2xx and 3xx.
pub(crate) fn measure(server: &RunningServer, load: &Load, seconds: u64) -> Result<Sample> {
    let before = server.process.processor_time();
    let figures = load.run(server.port, seconds, SESSION)?;
    let used = server.process.processor_time().saturating_sub(before);
    if figures.errors.status > 0 || figures.requests == 0.0 {
        return Err(format!("{}: errors: {}", load.path, figures.errors).into());
    }
    Ok(Sample {
        requests_per_second: figures.requests / figures.seconds,
        processor_per_request: used.as_secs_f64() * 1e6 / figures.requests,
        peak_memory: server.process.memory("VmHWM"),
    })
}

fn head_of_response(port: u16, path: &str, field: &str) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let field = match field {
        "" => String::new(),
        field => format!("{field}\r\n"),
    };
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\n{field}\r\n"
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
