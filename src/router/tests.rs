//! What `build` refuses, and with which messages. That the order of routers does not
//! matter.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config::Config;
use crate::handler::Handler;
use crate::http1::head;
use crate::http1::head::Parsed;
use crate::lifecycle::phase::Lifecycle;
use crate::message::request::Origin;
use crate::message::request::Request;
use crate::message::request_body::RequestBody;
use crate::message::response::Response;
use crate::message::route_match::RouteMatch;
use crate::router::Router;
use crate::router::routes::Routes;

fn nothing(_: Request) {}

fn refused(router: Router) -> String {
    let named = format!("{router:?}");
    let error = router.build().expect_err(&named);
    assert!(error.is_config());
    error.to_string()
}

#[test]
fn two_handlers_for_one_method_and_path() {
    let twice = Router::new().get("/a", nothing).get("/a", nothing);
    assert_eq!(refused(twice), "the route GET /a is registered twice");
    let any = Router::new().any("/a", nothing).any("/a", nothing);
    assert_eq!(refused(any), "the route ANY /a is registered twice");
    let both = Router::new().get("/a", nothing).any("/a", nothing);
    assert_eq!(refused(both), "the route ANY /a conflicts with GET /a");
    let both = Router::new()
        .any("/{a}", nothing)
        .route(Method::OPTIONS, "/{a}", nothing);
    assert_eq!(
        refused(both),
        "the route OPTIONS /{a} conflicts with ANY /{a}"
    );
}

#[test]
fn two_paths_that_match_the_same_requests() {
    for (first, second) in [
        ("/users/{id}", "/users/{name}"),
        ("/users/{id}", "/users/{*rest}"),
        ("/{a}/b/{c}", "/{x}/b/{y}"),
        ("/{*all}", "/{one}"),
    ] {
        let router = Router::new().get(first, nothing).post(second, nothing);
        let expected = format!("the route POST {second} conflicts with GET {first}");
        assert_eq!(refused(router), expected);
    }
}

#[test]
fn invalid_paths() {
    for (path, problem) in [
        ("", "does not begin with '/'"),
        (
            "/a?b",
            "contains '?', which must be percent-encoded in a path",
        ),
        ("/{a}/{a}", "has two parameters named a"),
        ("/{}", "has an invalid parameter: write {name}"),
        ("/{*}", "has an invalid parameter: write {name}"),
        ("/{a", "has an invalid parameter: write {name}"),
        ("/a}", "has an invalid parameter: write {name}"),
        ("/{a}{b}", "has two parameters in one segment"),
        ("/{*a}/b", "has a catch-all before its end"),
    ] {
        let router = Router::new().get(path, nothing);
        assert_eq!(refused(router), format!("the route GET {path} {problem}"));
    }
}

#[test]
fn conflicts_between_routers_name_whole_paths() {
    let inner = || Router::new().get("/{id}", nothing);
    let names = Router::new()
        .post("/api/{name}", nothing)
        .nest("/api", inner());
    assert_eq!(
        refused(names),
        "the route GET /api/{id} conflicts with POST /api/{name}"
    );
    let methods = Router::new()
        .get("/api/{id}", nothing)
        .nest("/api", inner());
    assert_eq!(
        refused(methods),
        "the route GET /api/{id} is registered twice"
    );
    let parameters = Router::new().nest("/{id}", inner());
    assert_eq!(
        refused(parameters),
        "the route GET /{id}/{id} has two parameters named id"
    );
}

#[test]
fn invalid_prefixes() {
    for (prefix, problem) in [
        ("", "does not begin with '/'"),
        ("api", "does not begin with '/'"),
        ("/{a}/b{*rest}", "has a catch-all"),
        ("/api/", "ends with '/'"),
        ("/{", "has an invalid parameter: write {name}"),
        ("/{*rest}", "has a catch-all"),
    ] {
        let router = Router::new().nest(prefix, Router::new());
        assert_eq!(refused(router), format!("the prefix {prefix} {problem}"));
    }
    let inner = Router::new().nest("/{a}", Router::new());
    assert_eq!(
        refused(Router::new().nest("/{a}", inner)),
        "the prefix /{a}/{a} has two parameters named a"
    );
}

#[test]
fn prefixes_that_match_the_same_requests() {
    let one = || Router::new();
    let conflict = one().nest("/{a}", one()).nest("/{b}", one());
    assert_eq!(refused(conflict), "the prefix /{b} conflicts with /{a}");
    let overlapping = one()
        .nest("/{a}", one())
        .nest("/a", one())
        .nest("/{x}/b", one())
        .nest("/", one())
        .nest("/", one())
        .nest("/a", one().nest("/", one()));
    overlapping.build().unwrap();
}

#[test]
fn a_second_fallback() {
    let one = || Router::new().fallback(nothing);
    let twice = || one().fallback(nothing);
    for (router, expected) in [
        (twice(), "the router has two fallbacks"),
        (one().merge(one()), "the router has two fallbacks"),
        (
            Router::new().merge(one()).merge(one()),
            "the router has two fallbacks",
        ),
        (
            Router::new().nest("/a", twice()),
            "the router under /a has two fallbacks",
        ),
        (
            Router::new().nest("/a", one().merge(Router::new().merge(one()))),
            "the router under /a has two fallbacks",
        ),
        (
            one().nest("/a", one()).nest("/a", one()),
            "the prefix /a has two fallbacks",
        ),
        (
            one().nest("/", one()).merge(Router::new().nest("/", one())),
            "the prefix / has two fallbacks",
        ),
        (
            Router::new()
                .nest("/a", one().nest("/b", Router::new()))
                .nest("/a", one().nest("/b", one())),
            "the prefix /a has two fallbacks",
        ),
    ] {
        assert_eq!(refused(router), expected);
    }
    let nested = one().nest("/a", one()).nest("/", one().nest("/", one()));
    nested.build().unwrap();
    let deeper = Router::new()
        .nest("/a", one().nest("/b", Router::new()))
        .nest("/a/b", one());
    deeper.build().unwrap();
}

#[test]
fn the_spelling_of_another_router() {
    for (path, right) in [
        ("/users/:id", "/users/{id}"),
        ("/static/*", "/static/{*rest}"),
    ] {
        let error = refused(Router::new().get(path, nothing));
        assert!(
            error.starts_with(&format!("the route GET {path} spells a ")),
            "{error}"
        );
        assert!(error.contains(&format!(": write {right} (")), "{error}");
    }
    assert_eq!(
        refused(
            Router::new()
                .get("/a", nothing)
                .nest("/<tenant>", Router::new())
        ),
        "the prefix /<tenant> spells a parameter as '<tenant>': write /{tenant}"
    );
    for path in ["/a:b", "/v1/things:batch", "/:8080", "/a*"] {
        Router::new().get(path, nothing).build().unwrap();
    }
}

/// A route with its parameters filled in.
fn filled(matched: &RouteMatch) -> Option<String> {
    let mut path = matched.route.as_deref()?.to_owned();
    for (name, value) in &matched.params {
        path = path.replace(&format!("{{{name}}}"), value);
        path = path.replace(&format!("{{*{name}}}"), value);
    }
    Some(path)
}

proptest! {
    #[test]
    fn a_route_with_its_parameters_is_the_path_that_was_asked_for(
        path in "(/|/|a|b|x-|\\.png|\\*|ü|%|%2F|%C3|/users|/files|/in){0,12}",
    ) {
        let inner = Router::new()
            .get("/", nothing)
            .get("/{id}/b", nothing)
            .nest("/x-{n}", Router::new());
        let routes = Router::new()
            .get("/{a}", nothing)
            .get("/{a}/b", nothing)
            .get("/{a}/b/", nothing)
            .get("/x-{b}.png", nothing)
            .get("/users/{id}/{other}", nothing)
            .get("/files/{*rest}", nothing)
            .nest("/in/{tenant}", inner)
            .build()
            .unwrap();
        let (_, matched) = routes.choose(&Method::GET, &path);
        if !path.contains('%') && let Some(filled) = filled(&matched) {
            prop_assert_eq!(filled, path);
        }
    }
}

fn request(method: &str, path: &str) -> Request {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\n\r\n");
    let config = Config::default();
    let Ok(Parsed::Complete { head, .. }) = head::parse(head.as_bytes(), &config.head_limits())
    else {
        panic!("{head:?} is not a head");
    };
    let here = SocketAddr::from(([127, 0, 0, 1], 1));
    let origin = Origin {
        peer: here.into(),
        local: here.into(),
        arrived: Instant::now(),
        connection: 1,
        number: 1,
    };
    let body = RequestBody::new(Bytes::new(), Some(0), None);
    Request::new(head, body, origin, Arc::new(Lifecycle::new(&config)))
}

/// Adds a name to the field `passed` of a response.
fn pass(mut response: Response, name: &str) -> Response {
    let before = response.headers().get("passed");
    let before = before.map_or("", |names| names.to_str().unwrap());
    let names = HeaderValue::try_from(format!("{before}{name} ")).unwrap();
    response.headers_mut().insert("passed", names);
    response
}

fn handler(name: String) -> impl Handler {
    move |_: Request| pass(Response::default(), &name)
}

fn layer(name: String) -> impl Fn(Request, &dyn Handler) -> Response + Send + Sync + 'static {
    move |request, next| pass(next.handle(request), &name)
}

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
