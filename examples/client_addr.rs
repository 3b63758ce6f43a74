//! The address of the client behind trusted proxies, which set `Forwarded` (RFC 7239) or
//! `X-Forwarded-For`. The other field, and what the client says itself, is not believed.
//!
//! ```sh
//! cargo run --example client_addr forwarded|x-forwarded-for PROXY,PROXY... [ADDRESS]
//! curl -H 'Forwarded: for=192.0.2.1, for=192.0.2.7' http://127.0.0.1:8080/
//! ```

use std::net::{IpAddr, SocketAddr};
use std::{env, error::Error};

use farewell::{Config, Handler, HeaderName, Request, Response, Router, Server};

/// The address in an element of the field; `None` if the proxy does not tell it.
fn address(element: &str) -> Option<IpAddr> {
    let element = element.to_ascii_lowercase();
    let mut pairs = element.split(';').map(str::trim);
    let node = pairs.find_map(|pair| pair.strip_prefix("for="));
    let node = node.unwrap_or(element.trim()).trim_matches('"');
    let alone = node.trim_matches(['[', ']']).parse().ok();
    let address = alone.or_else(|| Some(node.parse::<SocketAddr>().ok()?.ip()));
    address.map(|address| address.to_canonical())
}

/// The last address that is not a proxy's. Each proxy appends the address of its client, so
/// what stands before that one may be made up. So trust no range, but each proxy by name.
fn client_addr(request: &Request, field: &HeaderName, proxies: &[IpAddr]) -> IpAddr {
    let lines = request.headers().get_all(field).iter().rev();
    let elements = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let peer = request.peer_addr().ip();
    let mut client = peer.unwrap_or([127, 0, 0, 1].into()).to_canonical();
    for before in elements.map_while(address) {
        if proxies.contains(&client) {
            client = before;
        }
    }
    client
}

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |number| env::args().nth(number);
    let field: HeaderName = argument(1).ok_or("name the field")?.parse()?;
    let proxies = argument(2).ok_or("name the proxies")?;
    let proxies: Result<Vec<IpAddr>, _> = proxies.split(',').map(str::parse).collect();
    let (proxies, address) = (proxies?, argument(3).unwrap_or("127.0.0.1:8080".to_owned()));
    let server = Server::bind(address, Config::default())?;
    server.stop_on_signals()?;
    let hello = |request: Request| format!("{:?}\n", request.extensions().get::<IpAddr>());
    let layer = move |mut request: Request, next: &dyn Handler| -> Response {
        let client = client_addr(&request, &field, &proxies);
        request.extensions_mut().insert(client);
        next.handle(request)
    };
    println!("listening on http://{}", server.local_addr());
    server.serve(Router::new().get("/", hello).layer(layer).build()?)?;
    Ok(())
}
