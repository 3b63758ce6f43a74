//! The order in which routers are merged and nested does not matter.

use proptest::collection::vec;
use proptest::prelude::*;

use super::handler;
use super::layer;
use super::request;
use crate::handler::Handler;
use crate::router::Router;
use crate::router::routes::Routes;

/// The status, the names of the handler and of the layers from the inside, and the
/// allowed methods.
fn answer(routes: &Routes, method: &str, path: &str) -> (u16, String, String) {
    let response = routes.handle(request(method, path));
    let field = |name: &str| {
        let field = response.headers().get(name);
        field.map_or(String::new(), |value| value.to_str().unwrap().to_owned())
    };
    let passed = field("passed").trim_end().to_owned();
    (response.status().as_u16(), passed, field("allow"))
}

const ROUTES: [(&str, &str); 7] = [
    ("GET", "/a"),
    ("POST", "/a"),
    ("PUT", "/a"),
    ("GET", "/{id}/b"),
    ("POST", "/{id}/b"),
    ("DELETE", "/{id}/b/c"),
    ("GET", "/"),
];

/// Routes of which each is in one of several routers with a layer. `ways` says how each
/// router joins the outermost, in this order; `fallback` is the router that has one.
fn divided(owners: &[usize], ways: &[(usize, u8)], fallback: Option<usize>) -> Routes {
    let mut whole = Router::new();
    for &(number, way) in ways {
        let mut part = Router::new();
        for (owner, (method, path)) in owners.iter().zip(ROUTES) {
            if *owner == number {
                let name = format!("{method}{path}");
                part = part.route(method.parse().unwrap(), path, handler(name));
            }
        }
        if fallback == Some(number) {
            part = part.fallback(handler("fallback".to_owned()));
        }
        part = part.layer(layer(number.to_string()));
        whole = match way {
            0 => whole.merge(part),
            1 => whole.nest("/", part),
            2 => whole.nest("/in", part),
            3 => whole.merge(Router::new().nest("/in", part)),
            _ => whole.nest("/in", Router::new().merge(part)),
        };
    }
    whole.layer(layer("whole".to_owned())).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_routers_does_not_change_what_a_path_answers(
        owners in vec(0..4_usize, ROUTES.len()),
        ways in vec(0..5_u8, 4),
        order in Just(vec![0_usize, 1, 2, 3]).prop_shuffle(),
        fallback in prop::option::of(0..4_usize),
    ) {
        let in_order: Vec<(usize, u8)> = ways.iter().copied().enumerate().collect();
        let shuffled: Vec<(usize, u8)> = order.iter().map(|&at| in_order[at]).collect();
        let routes = divided(&owners, &in_order, fallback);
        let others = divided(&owners, &shuffled, fallback);
        for path in ["/", "/a", "/x/b", "/%/b", "/x/b/c", "/x", "*"] {
            for prefix in ["", "/in"] {
                for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
                    let path = match path {
                        "*" if prefix.is_empty() && method == "OPTIONS" => path.to_owned(),
                        "*" => continue,
                        "/" if !prefix.is_empty() => prefix.to_owned(),
                        _ => format!("{prefix}{path}"),
                    };
                    let expected = answer(&routes, method, &path);
                    prop_assert_eq!(&expected, &answer(&others, method, &path), "{} {}", method, path);
                    prop_assert!(expected.1.ends_with("whole"), "{}", path);
                }
            }
        }
        for (owner, (method, path)) in owners.iter().zip(ROUTES) {
            let path = path.replace("{id}", "x");
            let path = match (ways[*owner], &*path) {
                (0 | 1, _) => path,
                (_, "/") => "/in".to_owned(),
                _ => format!("/in{path}"),
            };
            let (status, passed, _) = answer(&routes, method, &path);
            prop_assert_eq!(status, 200);
            let begin = format!("{method}/");
            prop_assert!(passed.starts_with(&begin) && passed.ends_with(&format!(" {owner} whole")), "{}", passed);
        }
    }
}
