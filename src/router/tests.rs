//! What `build` refuses, and with which messages.

use http::Method;
use proptest::prelude::*;

use crate::message::request::Request;
use crate::message::route_match::RouteMatch;
use crate::router::Router;

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
        .post("/api/{id}", nothing)
        .nest("/api", inner());
    assert_eq!(
        refused(methods),
        "the route GET /api/{id} conflicts with POST /api/{id}, which is in another router"
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
fn two_routers_at_one_prefix() {
    for (first, second, expected) in [
        ("/a", "/a", "the prefix /a is registered twice"),
        ("/{a}", "/{b}", "the prefix /{b} conflicts with /{a}"),
        ("/", "/", "the prefix / is registered twice"),
    ] {
        let router = Router::new()
            .nest(first, Router::new())
            .nest(second, Router::new());
        assert_eq!(refused(router), expected);
    }
    let inside = Router::new().nest("/", Router::new());
    Router::new().nest("/a", inside).build().unwrap();
    let overlapping = Router::new()
        .nest("/{a}", Router::new())
        .nest("/a", Router::new())
        .nest("/{x}/b", Router::new())
        .nest("/", Router::new());
    overlapping.build().unwrap();
}

#[test]
fn a_second_fallback() {
    let twice = || Router::new().fallback(nothing).fallback(nothing);
    assert_eq!(refused(twice()), "the router has two fallbacks");
    assert_eq!(
        refused(Router::new().nest("/a", twice())),
        "the router under /a has two fallbacks"
    );
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
