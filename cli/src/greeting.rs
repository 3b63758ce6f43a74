//! The lines that the program prints when it listens: where, and how to stop it.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use farewell::LocalAddr;
use farewell::Server;

use super::args::Options;
use super::files::Folder;
use super::files::Urls;
use super::output::counted;

/// What the program prints when it listens.
pub(super) fn greeting(
    server: &Server,
    options: &Options,
    folder: Option<&Folder>,
    admin: Option<&LocalAddr>,
    needs_token: bool,
) -> String {
    let address = server.local_addr();
    let all_addresses = match address.ip() {
        Some(IpAddr::V4(ip)) if ip.is_unspecified() => "; on all IPv4 addresses",
        Some(IpAddr::V6(ip)) if ip.is_unspecified() => "; on all addresses",
        _ => "",
    };
    let route = !options.no_shutdown_route;
    let (curl, missing_token) = match (needs_token, curl_target(&address, admin, needs_token)) {
        _ if !route => (String::new(), ""),
        (true, Some(target)) => (
            format!("curl -H 'Authorization: Bearer TOKEN' {target}  or "),
            "",
        ),
        (false, Some(target)) => (format!("curl {target}  or "), ""),
        (_, None) => (
            String::new(),
            " (on this address, /shutdown needs --shutdown-token-file)",
        ),
    };
    let scheme = scheme(&address);
    let admin = admin.map_or(String::new(), |admin| {
        format!("admin on {}{admin}\n", self::scheme(admin))
    });
    let serving = match (folder, Urls::of(&address)) {
        (None, _) => String::new(),
        (Some(folder), Some(urls)) => format!("serving {} at {}\n", folder.shown(), urls.listed()),
        (Some(folder), None) => format!("serving {}\n", folder.shown()),
    };
    format!(
        "farewell {} listening on {scheme}{address} ({}{all_addresses})\n{admin}{serving}\
         stop it with: {curl}Ctrl+C; twice to stop at once{missing_token}\n",
        env!("CARGO_PKG_VERSION"),
        counted(server.config().workers, "worker"),
    )
}

fn scheme(address: &LocalAddr) -> &'static str {
    match address {
        LocalAddr::Inet(_) => "http://",
        _ => "",
    }
}

/// The arguments with which `curl` on this machine can stop the program. Without a
/// token, only requests to a loopback address can, and those to a unix socket for
/// operators, so there are none for another address or socket.
fn curl_target(
    listening: &LocalAddr,
    admin: Option<&LocalAddr>,
    needs_token: bool,
) -> Option<String> {
    let listening = match admin.unwrap_or(listening) {
        LocalAddr::Inet(address) => address,
        LocalAddr::Unix(path) if needs_token || admin.is_some() => {
            let path = quoted(&path.to_string_lossy());
            return Some(format!("--unix-socket {path} http://localhost/shutdown"));
        }
        _ => return None,
    };
    let (ip, port) = (listening.ip(), listening.port());
    let host = match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V6(ip) if ip.is_unspecified() => "localhost".to_owned(),
        ip if !needs_token && !ip.to_canonical().is_loopback() => return None,
        IpAddr::V4(ip) => ip.to_string(),
        // Without quotes, a shell could take the brackets for a pattern.
        IpAddr::V6(_) => return Some(format!("'http://{listening}/shutdown'")),
    };
    Some(format!("http://{host}:{port}/shutdown"))
}

/// A word for a shell, in quotes if it needs them.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match word.bytes().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}
