//! What `build` refuses, and with which messages.

mod order;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::Method;
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
use crate::message::route_match::Target;
use crate::route_table::body_limits::BodyLimits;
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

#[test]
fn body_limits_out_of_range() {
    let limited = |limits: BodyLimits| Router::new().body_limits(limits);
    assert_eq!(
        refused(limited(BodyLimits::new().buffer((1 << 30) + 1))),
        "the body limits of the router: buffer is 1073741825: it must be from 1 to 1073741824"
    );
    let never = limited(BodyLimits::new().timeout(Duration::ZERO));
    assert_eq!(
        refused(Router::new().nest("/a", never)),
        "the body limits of the router under /a: timeout must not be zero: every request would time out"
    );
    let ever = limited(BodyLimits::new().timeout(Duration::MAX));
    assert_eq!(
        refused(Router::new().merge(ever)),
        "the body limits of the router: timeout must be at most a year (365 days)"
    );
    limited(BodyLimits::new().bytes_max(0)).build().unwrap();
    limited(BodyLimits::new().buffer(0)).build().unwrap();
}

#[test]
fn a_request_that_was_looked_up_is_not_looked_up_again() {
    let routes = || {
        let both = Router::new().get("/a", handler("a".into()));
        both.get("/b", handler("b".into())).build().unwrap()
    };
    let (these, others) = (routes(), routes());
    let passed = |request: Request| {
        let response = these.handle(request);
        response.headers()["passed"].to_str().unwrap().to_owned()
    };
    let looked_up = |routes: &Routes| {
        let mut request = request("GET", "/a");
        let (_, route_match) = routes.table.look_up(&Method::GET, "/b");
        request.set_route_match(route_match);
        request
    };
    assert_eq!(passed(looked_up(&these)), "b ");
    assert_eq!(passed(looked_up(&others)), "a ", "found by another table");
    let mut changed = looked_up(&these);
    changed.forget_route();
    assert_eq!(changed.route(), Some("/b"), "until it is looked up");
    assert_eq!(passed(changed), "a ");
}

#[test]
fn the_paths_of_a_table_are_in_the_order_of_its_targets() {
    let nested = Router::new().get("/{id}", nothing).post("/{id}", nothing);
    let routes = Router::new()
        .get("/", nothing)
        .nest("/users", nested)
        .merge(Router::new().get("/z", nothing))
        .build()
        .unwrap();
    let table = routes.route_table().unwrap();
    let paths: Vec<&str> = table.paths().map(|path| &**path).collect();
    for (asked, path) in [
        ("/", "/"),
        ("/users/7", "/users/{id}"),
        ("/users/%FF", "/users/{id}"),
        ("/z", "/z"),
    ] {
        let (target, route_match) = table.look_up(&Method::PUT, asked);
        assert_eq!(paths[target.endpoint().unwrap()], path);
        assert_eq!(route_match.route.as_deref(), Some(path));
    }
    let (target, _) = table.look_up(&Method::GET, "/users");
    assert_eq!(target, Target::Area(1));
    assert_eq!(target.endpoint(), None);
    assert_eq!(table.look_up(&Method::OPTIONS, "*").0, Target::Server);
}

#[test]
fn few_paths_and_many_are_found_alike() {
    let paths = ["/", "/a", "/a/b", "/b"];
    let with = |more: usize| {
        let router = paths
            .iter()
            .fold(Router::new(), |router, path| router.get(path, nothing));
        let more = (0..more).map(|number| format!("/more/{number}"));
        let router = more.fold(router, |router, path| router.get(&path, nothing));
        router.build().unwrap().table
    };
    let (few, many) = (with(0), with(20));
    for asked in [
        "/", "/a", "/a/", "/a/b", "/b", "/c", "", "*", "//", "/%61", "/{a}",
    ] {
        let (target, route_match) = few.look_up(&Method::GET, asked);
        let (expected, as_many) = many.look_up(&Method::GET, asked);
        assert_eq!(target, expected, "{asked}");
        assert_eq!(route_match.route, as_many.route, "{asked}");
        assert_eq!(route_match.found, Some((few.id(), target)));
    }
}

#[test]
fn a_route_is_urgent_if_it_was_in_the_router_when_it_became_urgent() {
    let urgent = Router::new()
        .get("/early", nothing)
        .nest("/in", Router::new().get("/nested", nothing))
        .merge(Router::new().any("/merged/{id}", nothing))
        .fallback(nothing)
        .urgent()
        .get("/late", nothing)
        .post("/early", nothing);
    let routes = Router::new()
        .get("/", nothing)
        .merge(urgent)
        .build()
        .unwrap();
    let is_urgent = |method: Method, path: &str| {
        let (target, _) = routes.table.look_up(&method, path);
        routes.table.is_urgent(target, &method)
    };
    assert!(routes.table.has_urgent());
    for (path, expected) in [
        ("/early", true),
        ("/in/nested", true),
        ("/merged/7", true),
        ("/merged/%FF", true),
        ("/late", false),
        ("/", false),
        ("/fallback", false),
        ("/in/fallback", false),
    ] {
        assert_eq!(is_urgent(Method::GET, path), expected, "{path}");
        assert_eq!(is_urgent(Method::HEAD, path), expected, "HEAD {path}");
    }
    assert!(!is_urgent(Method::POST, "/early"));
    assert!(!is_urgent(Method::PUT, "/early"), "not all routes are");
    assert!(is_urgent(Method::PUT, "/in/nested"), "all routes are");
    assert!(!is_urgent(Method::OPTIONS, "*"));
    let none = Router::new().urgent().get("/a", nothing).build().unwrap();
    assert!(!none.table.has_urgent());
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
        let (_, matched) = routes.table.look_up(&Method::GET, &path);
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
    let life = Arc::new(Lifecycle::new(&config));
    Request::new(head, RouteMatch::default(), body, origin, life)
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
