//! The URL and the address of the server under test.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::ToSocketAddrs;

use fastrand::Rng;

/// Stands for a port that the drill picks.
const PLACEHOLDER: &str = "{port}";

/// The range of picked ports. It is below the ephemeral ports of common
/// systems, so that no client's connection can occupy the port that the server
/// is about to bind.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// How many ports the drill tries before it gives up.
const PICKS_MAX: usize = 100;

/// The URL on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    text: String,
    /// The form in a `Host` field: an IPv6 address is in brackets.
    host: String,
    port: Port,
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Port {
    Fixed(u16),
    /// A free port, picked anew for each round.
    Picked,
}

/// The address of the server in one round.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// All addresses of the host, with the port.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) port: u16,
    /// The value of the `Host` field.
    pub(super) authority: String,
}

impl Url {
    /// Parses `http://HOST[:PORT][/PATH]`. The port may be `{port}`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https:") {
            return Err("https is not supported: the drill speaks plain http".to_owned());
        }
        let rest = text
            .strip_prefix("http://")
            .ok_or("write it as http://127.0.0.1:8080/")?;
        if !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it must contain only visible ASCII characters".to_owned());
        }
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err("it must not contain a user name".to_owned());
        }
        let (host, port) = split_port(authority)?;
        if host.is_empty() {
            return Err("it has no host".to_owned());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self {
            text: text.to_owned(),
            host: host.to_owned(),
            port,
            path: format!("{slash}{path}"),
        })
    }

    /// The request target: path and query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the drill picks a port for each round.
    pub(super) fn picks_port(&self) -> bool {
        self.port == Port::Picked
    }

    /// The IP addresses of the host.
    pub(super) fn resolve(&self) -> Result<Vec<IpAddr>, String> {
        let name = self.host.trim_start_matches('[').trim_end_matches(']');
        let addresses = (name, 0)
            .to_socket_addrs()
            .map_err(|error| format!("--url: cannot resolve the host {}: {error}", self.host))?;
        Ok(addresses.map(|address| address.ip()).collect())
    }

    /// The target of one round. Picks a free port if the URL contains `{port}`.
    pub(super) fn target(&self, ips: &[IpAddr]) -> Result<Target, String> {
        let port = match self.port {
            Port::Fixed(port) => port,
            Port::Picked => {
                free_port(ips).ok_or("cannot find a free port for {port}: choose one in --url")?
            }
        };
        Ok(Target {
            addresses: ips.iter().map(|&ip| SocketAddr::new(ip, port)).collect(),
            port,
            authority: format!("{}:{port}", self.host),
        })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Puts the port in place of `{port}` in an argument of the command.
pub(super) fn with_port(argument: &str, port: u16) -> String {
    argument.replace(PLACEHOLDER, &port.to_string())
}

/// Whether an argument of the command contains `{port}`.
pub(super) fn has_placeholder(argument: &str) -> bool {
    argument.contains(PLACEHOLDER)
}

fn split_port(authority: &str) -> Result<(&str, Port), String> {
    let after_host = authority.find(']').map_or(0, |bracket| bracket + 1);
    let Some(colon) = authority[after_host..].find(':') else {
        return Ok((authority, Port::Fixed(80)));
    };
    let (host, port) = authority.split_at(after_host + colon);
    match &port[1..] {
        PLACEHOLDER => Ok((host, Port::Picked)),
        port => match port.parse() {
            Ok(port) if port > 0 => Ok((host, Port::Fixed(port))),
            _ => Err(format!(
                "the port is {port:?}: it must be a number from 1 to 65535, or {PLACEHOLDER}"
            )),
        },
    }
}

/// A port that is free on all of these addresses. It does not depend on the
/// seed: two drills that run at the same time must pick different ports.
fn free_port(ips: &[IpAddr]) -> Option<u16> {
    let mut rng = Rng::new();
    let is_free = |port: &u16| ips.iter().all(|&ip| TcpListener::bind((ip, *port)).is_ok());
    (0..PICKS_MAX).map(|_| rng.u16(PORTS)).find(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_parsed() {
        let url = Url::parse("http://localhost:8080/a?b=c#d").unwrap();
        assert_eq!(
            (url.host.as_str(), url.port),
            ("localhost", Port::Fixed(8080))
        );
        assert_eq!(url.path(), "/a?b=c");
        let url = Url::parse("http://[::1]:{port}").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("[::1]", Port::Picked));
        assert_eq!(url.path(), "/");
        let url = Url::parse("http://[::1]?x").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("[::1]", Port::Fixed(80)));
        assert_eq!(url.path(), "/?x");
    }

    #[test]
    fn an_invalid_url_is_rejected() {
        for text in [
            "https://localhost/",
            "localhost:80",
            "http://",
            "http://:80/",
            "http://h:0/",
            "http://h:99999/",
            "http://h:/",
            "http://me@h/",
            "http://h/a b",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_picked_port_replaces_the_placeholder_in_the_host_and_in_arguments() {
        let url = Url::parse("http://127.0.0.1:{port}/").unwrap();
        let target = url.target(&url.resolve().unwrap()).unwrap();
        assert!(PORTS.contains(&target.port));
        assert_eq!(target.authority, format!("127.0.0.1:{}", target.port));
        assert_eq!(with_port("127.0.0.1:{port}", 81), "127.0.0.1:81");
    }
}
