//! The router finds the handler of each request.

use std::sync::Arc;
use std::sync::Mutex;

use farewell::Handler;
use farewell::Rejection;
use farewell::Request;
use farewell::Response;
use farewell::Router;
use http::Method;
use http::StatusCode;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::client;
use crate::support::config;

fn serve(router: Router) -> TestServer {
    TestServer::start(config(), router.build().unwrap())
}

/// Answers with the route, and with the parameters that the tests use.
fn show(request: Request) -> String {
    let mut text = request.route().unwrap_or("none").to_owned();
    for name in ["id", "tenant", "rest"] {
        if let Some(value) = request.param(name) {
            text += &format!(" {name}={value:?}");
        }
    }
    text
}

fn say(text: &'static str) -> impl Handler {
    move |_: Request| text
}

/// A layer that adds its name to the field `marks` of the response.
fn mark(name: &'static str) -> impl Fn(Request, &dyn Handler) -> Response + Send + Sync + 'static {
    move |request, next| {
        let mut response = next.handle(request);
        let headers = response.headers_mut();
        let mut marks = headers.get("marks").map_or(String::new(), |marks| {
            marks.to_str().unwrap().to_owned() + " "
        });
        marks += name;
        headers.insert("marks", marks.parse().unwrap());
        response
    }
}

/// The names that the layers have added, the innermost first.
fn marks(response: &client::Response) -> &str {
    let mut lines = response.head.lines();
    lines
        .find_map(|line| line.strip_prefix("marks: "))
        .unwrap_or_default()
}

fn ask(client: &mut Client, method: &str, target: &str) -> client::Response {
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
    if method == "HEAD" {
        client.head_response()
    } else {
        client.response()
    }
}

#[test]
fn a_request_goes_to_its_method_and_path() {
    let server = serve(
        Router::new()
            .get("/", say("root"))
            .get("/a", say("get"))
            .post("/a", say("post"))
            .put("/a", say("put"))
            .delete("/a", say("delete"))
            .patch("/a", say("patch"))
            .route(Method::from_bytes(b"BREW").unwrap(), "/a", say("brew")),
    );
    let mut client = server.connect();
    assert_eq!(client.get("/?a=b").body, "root");
    assert_eq!(client.get("http://elsewhere").body, "root");
    for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let response = ask(&mut client, method, "/a?b");
        assert_eq!(response.body, method.to_lowercase());
    }
}

#[test]
fn parameters_are_matched_as_sent_and_then_decoded() {
    let server = serve(
        Router::new()
            .get("/users/{id}", show)
            .get("/users/me", say("me"))
            .get("/users/{id}/pets", show)
            .get("/img-{id}.png", show)
            .get("/files/{*rest}", show),
    );
    let mut client = server.connect();
    for (path, body) in [
        ("/users/7", "/users/{id} id=\"7\""),
        ("/users/a%2Fb%20c+d", "/users/{id} id=\"a/b c+d\""),
        ("/users/%C3%BC%2541", "/users/{id} id=\"ü%41\""),
        ("/users/me", "me"),
        ("/users/%6De", "/users/{id} id=\"me\""),
        ("/users/a%2Fpets", "/users/{id} id=\"a/pets\""),
        ("/users/me/pets", "/users/{id}/pets id=\"me\""),
        ("/img-1.png", "/img-{id}.png id=\"1\""),
        ("/files/a//b/..%2F", "/files/{*rest} rest=\"a//b/../\""),
    ] {
        let response = client.get(path);
        assert_eq!(response.body, body, "{path}");
        assert_eq!(response.status, 200);
    }
}

#[test]
fn a_parameter_that_is_no_text_is_a_400() {
    let server = serve(
        Router::new()
            .get("/users/{id}", show)
            .nest("/in/{tenant}", Router::new().fallback(show))
            .layer(mark("layer")),
    );
    let mut client = server.connect();
    for path in [
        "/users/%FF",
        "/users/%C3",
        "/users/%zz",
        "/users/%",
        "/in/%FF/x",
    ] {
        let response = client.get(path);
        assert_eq!(response.status, 400, "{path}");
        assert_eq!(
            response.body,
            "path parameter is not percent-encoded UTF-8\n"
        );
        assert_eq!(marks(&response), "layer");
    }
    assert_eq!(client.get("/%FF").status, 404, "there is no parameter");
}

#[test]
fn a_path_without_a_route_is_a_404_and_a_trailing_slash_matters() {
    let server = serve(
        Router::new()
            .get("/a", show)
            .get("/b/", show)
            .get("/files/{*rest}", show),
    );
    let mut client = server.connect();
    for path in ["/", "/c", "/a/", "/b", "/A", "/%61", "/files/", "//a"] {
        let response = client.get(path);
        assert_eq!(response.status, 404, "{path}");
        assert_eq!(response.body, "not found\n");
    }
    assert_eq!(serve(Router::new()).connect().get("/").status, 404);
}

#[test]
fn a_method_without_a_handler_is_a_405_that_names_the_allowed_methods() {
    let server = serve(
        Router::new()
            .post("/a", say("post"))
            .get("/a", say("get"))
            .delete("/b/{id}", say("delete"))
            .fallback(say("fallback")),
    );
    let mut client = server.connect();
    let response = ask(&mut client, "PUT", "/a");
    assert_eq!(response.status, 405);
    assert_eq!(response.body, "method not allowed\n");
    assert!(
        response.has("allow: get, head, options, post"),
        "{response:?}"
    );
    for method in ["HEAD", "GET", "delete", "BREW"] {
        let response = ask(&mut client, method, "/b/1");
        assert_eq!(response.status, 405, "{method}");
        assert!(response.has("allow: delete, options"), "{response:?}");
    }
}

#[test]
fn head_is_answered_by_the_handler_of_get_which_sees_it() {
    let method = |request: Request| request.method().to_string();
    let server = serve(Router::new().get("/a", method).get("/b", say("get")).route(
        Method::HEAD,
        "/b",
        |_: Request| StatusCode::ACCEPTED,
    ));
    let mut client = server.connect();
    let response = ask(&mut client, "HEAD", "/a");
    assert_eq!(response.status, 200);
    assert!(response.has("content-length: 4"), "{response:?}");
    assert_eq!(client.get("/a").body, "GET");
    assert_eq!(
        ask(&mut client, "HEAD", "/b").status,
        202,
        "its own handler"
    );
}

#[test]
fn options_names_the_methods_of_a_path() {
    let server = serve(
        Router::new()
            .get("/a", say("get"))
            .post("/b", say("post"))
            .route(Method::OPTIONS, "/b", say("mine")),
    );
    let mut client = server.connect();
    let response = ask(&mut client, "OPTIONS", "/a");
    assert_eq!(response.status, 204);
    assert!(response.has("allow: get, head, options"), "{response:?}");
    assert_eq!(ask(&mut client, "OPTIONS", "/b").body, "mine");
    let response = ask(&mut client, "GET", "/b");
    assert!(response.has("allow: options, post"), "{response:?}");
    assert_eq!(ask(&mut client, "OPTIONS", "/c").status, 404);
}

#[test]
fn options_of_the_server_names_the_methods_of_all_paths() {
    let inner = Router::new().patch("/", say("patch"));
    let server = serve(
        Router::new()
            .get("/a", say("get"))
            .post("/b", say("post"))
            .nest("/in", inner.layer(mark("inner")))
            .layer(mark("outer")),
    );
    let response = ask(&mut server.connect(), "OPTIONS", "*");
    assert_eq!(response.status, 204);
    assert!(
        response.has("allow: get, head, options, patch, post"),
        "{response:?}"
    );
    assert_eq!(marks(&response), "outer");

    let any = serve(Router::new().any("/a", say("any")));
    let response = ask(&mut any.connect(), "OPTIONS", "*");
    assert!(
        response.has("allow: delete, get, head, options, patch, post, put"),
        "{response:?}"
    );
}

#[test]
fn any_accepts_every_method() {
    let server = serve(Router::new().any("/a", |request: Request| request.method().to_string()));
    let mut client = server.connect();
    for method in ["GET", "OPTIONS", "BREW"] {
        assert_eq!(ask(&mut client, method, "/a").body, method);
    }
    assert!(ask(&mut client, "HEAD", "/a").has("content-length: 4"));
}

#[test]
fn a_nested_router_keeps_the_parameters_outside_it() {
    let pets = Router::new().get("/", show).get("/{id}", show);
    let tenant = Router::new().get("/", show).nest("/pets", pets);
    let server = serve(Router::new().get("/", show).nest("/api/{tenant}", tenant));
    let mut client = server.connect();
    for (path, body) in [
        ("/", "/"),
        ("/api/a%2F", "/api/{tenant} tenant=\"a/\""),
        ("/api/a/pets", "/api/{tenant}/pets tenant=\"a\""),
        (
            "/api/a/pets/7",
            "/api/{tenant}/pets/{id} id=\"7\" tenant=\"a\"",
        ),
    ] {
        assert_eq!(client.get(path).body, body);
    }
    assert_eq!(client.get("/api/a/").status, 404);
    assert_eq!(client.get("/api/a/pets/").status, 404);
}

#[test]
fn a_router_nested_at_a_slash_keeps_its_paths() {
    let inner = Router::new()
        .get("/", show)
        .get("/a", show)
        .layer(mark("inner"));
    let server = serve(Router::new().get("/b", show).nest("/", inner));
    let mut client = server.connect();
    assert_eq!(client.get("/").body, "/");
    assert_eq!(marks(&client.get("/a")), "inner");
    assert_eq!(marks(&client.get("/b")), "");
    assert_eq!(marks(&client.get("/c")), "inner", "the prefix matches all");
}

#[test]
fn a_fallback_answers_within_its_own_prefix() {
    let own = Router::new()
        .get("/a", show)
        .fallback(|request: Request| (StatusCode::NOT_FOUND, format!("own {}", show(request))));
    let none = Router::new().get("/a", show).nest("/deep", Router::new());
    let server = serve(
        Router::new()
            .nest("/own/{tenant}", own)
            .nest("/none", none)
            .fallback(say("outer")),
    );
    let mut client = server.connect();
    for path in ["/own/7", "/own/7/", "/own/7/b", "/own/7/a/b"] {
        let response = client.get(path);
        assert_eq!(response.body, "own none tenant=\"7\"", "{path}");
        assert_eq!(response.status, 404);
    }
    for path in [
        "/",
        "/own",
        "/own/",
        "/owner",
        "/none/b",
        "/none/deep/b",
        "/nonesuch",
    ] {
        assert_eq!(client.get(path).body, "outer", "{path}");
    }
    assert_eq!(ask(&mut client, "PUT", "/none/a").status, 405);
}

#[test]
fn layers_wrap_every_answer_and_the_last_is_the_outermost() {
    let inner = Router::new()
        .layer(mark("inner"))
        .get("/a", say("a"))
        .layer(mark("around"));
    let server = serve(
        Router::new()
            .get("/before", say("before"))
            .layer(mark("first"))
            .nest("/in", inner)
            .get("/after", say("after"))
            .layer(mark("second")),
    );
    let mut client = server.connect();
    for (method, path, status, expected) in [
        ("GET", "/before", 200, "first second"),
        ("GET", "/after", 200, "first second"),
        ("HEAD", "/after", 200, "first second"),
        ("GET", "/nothing", 404, "first second"),
        ("PUT", "/before", 405, "first second"),
        ("OPTIONS", "/before", 204, "first second"),
        ("GET", "/in/a", 200, "inner around first second"),
        ("GET", "/in/nothing", 404, "inner around first second"),
        ("GET", "/in", 404, "inner around first second"),
        ("PUT", "/in/a", 405, "inner around first second"),
        ("OPTIONS", "/in/a", 204, "inner around first second"),
    ] {
        let response = ask(&mut client, method, path);
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(marks(&response), expected, "{method} {path}");
    }
}

#[test]
fn the_methods_of_one_path_may_be_in_several_routers_each_with_its_layer() {
    let guard = |_: Request, _: &dyn Handler| StatusCode::UNAUTHORIZED;
    let guarded = Router::new()
        .post("/notes", say("added"))
        .delete("/notes/{id}", say("deleted"))
        .layer(guard)
        .layer(mark("guarded"));
    let nested = Router::new().put("/", say("put")).layer(mark("nested"));
    let server = serve(
        Router::new()
            .merge(guarded)
            .merge(
                Router::new()
                    .get("/notes", say("all"))
                    .layer(mark("merged")),
            )
            .nest("/notes", nested)
            .layer(mark("outer")),
    );
    let mut client = server.connect();
    for (method, path, status, expected) in [
        ("GET", "/notes", 200, "merged outer"),
        ("HEAD", "/notes", 200, "merged outer"),
        ("POST", "/notes", 401, "guarded outer"),
        ("PUT", "/notes", 200, "nested outer"),
        ("PATCH", "/notes", 405, "outer"),
        ("OPTIONS", "/notes", 204, "outer"),
        ("DELETE", "/notes/7", 401, "guarded outer"),
        ("PATCH", "/notes/7", 401, "guarded outer"),
        ("GET", "/notes/7/x", 404, "nested outer"),
        ("GET", "/other", 404, "outer"),
    ] {
        let response = ask(&mut client, method, path);
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(marks(&response), expected, "{method} {path}");
    }
    let response = ask(&mut client, "OPTIONS", "/notes");
    assert!(
        response.has("allow: get, head, options, post, put"),
        "{response:?}"
    );
}

#[test]
fn routers_with_one_prefix_share_its_fallback() {
    let part = |path, name| Router::new().get(path, say(name)).layer(mark(name));
    let has_fallback = part("/a", "a").fallback(say("own"));
    let server = serve(
        Router::new()
            .nest("/api", has_fallback)
            .nest("/api", part("/b", "b"))
            .nest("/", part("/c", "c"))
            .nest("/", part("/d", "d"))
            .fallback(say("outer"))
            .layer(mark("whole")),
    );
    let mut client = server.connect();
    for (path, body, expected) in [
        ("/api/a", "a", "a whole"),
        ("/api/b", "b", "b whole"),
        ("/api/x", "own", "a whole"),
        ("/api", "own", "a whole"),
        ("/c", "c", "c whole"),
        ("/d", "d", "d whole"),
        ("/x", "outer", "whole"),
    ] {
        let response = client.get(path);
        assert_eq!(response.body, body, "{path}");
        assert_eq!(marks(&response), expected, "{path}");
    }
}

#[test]
fn the_fallback_of_a_merged_router_keeps_its_layers_and_serves_nested_routers_too() {
    let merged = Router::new().fallback(say("merged")).layer(mark("merged"));
    let nested = Router::new().get("/a", say("a")).layer(mark("nested"));
    let server = serve(
        Router::new()
            .nest("/in", nested)
            .merge(merged)
            .layer(mark("outer")),
    );
    let mut client = server.connect();
    for (path, body, expected) in [
        ("/x", "merged", "merged outer"),
        ("/in/x", "merged", "merged nested outer"),
        ("/in/a", "a", "nested outer"),
    ] {
        let response = client.get(path);
        assert_eq!(response.body, body, "{path}");
        assert_eq!(marks(&response), expected, "{path}");
    }
}

#[test]
fn the_longest_prefix_wins() {
    let server = serve(
        Router::new()
            .nest("/{tenant}", Router::new().fallback(say("tenant")))
            .nest("/admin/users", Router::new().fallback(say("users"))),
    );
    let mut client = server.connect();
    assert_eq!(client.get("/admin/users/x").body, "users");
    assert_eq!(client.get("/admin/x").body, "tenant");
    assert_eq!(client.get("/").status, 404);
}

#[test]
fn a_layer_sees_the_route_and_its_parameters() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let server = serve(
        Router::new()
            .nest("/in", Router::new().get("/{id}", say("")))
            .layer(move |request: Request, next: &dyn Handler| {
                let id = request.param("id").map(str::to_owned);
                let route = request.route().map(str::to_owned);
                let response = next.handle(request);
                let status = response.status().as_u16();
                log.lock().unwrap().push((route, id, status));
                response
            }),
    );
    let mut client = server.connect();
    client.get("/in/7");
    ask(&mut client, "PUT", "/in/7");
    client.get("/in/%FF");
    client.get("/in");
    let route = Some("/in/{id}".to_owned());
    let id = Some("7".to_owned());
    let expected = [
        (route.clone(), id.clone(), 200),
        (route.clone(), id, 405),
        (route, None, 400),
        (None, None, 404),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_layer_may_answer_itself_and_may_add_an_extension() {
    #[derive(Clone)]
    struct User(String);

    let whoami = |request: Request| {
        let user = request.extensions().get::<User>();
        user.map(|User(name)| name.clone())
            .ok_or_else(|| Rejection::new(StatusCode::IM_A_TEAPOT, "no user"))
    };
    let server = serve(Router::new().get("/whoami", whoami).layer(
        |mut request: Request, next: &dyn Handler| {
            let user = request.headers().get("user");
            let user = user.map(|user| user.to_str().unwrap().to_owned());
            let Some(user) = user else {
                return Err((StatusCode::UNAUTHORIZED, "user required"));
            };
            request.extensions_mut().insert(User(user));
            Ok(next.handle(request))
        },
    ));
    let mut client = server.connect();
    assert_eq!(client.get("/whoami").status, 401);
    client.send("GET /whoami HTTP/1.1\r\nHost: a\r\nUser: me\r\n\r\n");
    assert_eq!(client.response().body, "me");
}

#[test]
fn without_a_router_a_request_has_no_route() {
    let server = TestServer::start(config(), show);
    assert_eq!(server.connect().get("/").body, "none");
}

#[test]
fn a_rejection_is_a_response() {
    let server = serve(Router::new().get("/", |_: Request| {
        Err::<(), _>(Rejection::new(StatusCode::GONE, "no more"))
    }));
    let response = server.connect().get("/");
    assert_eq!(response.status, 410);
    assert_eq!(response.body, "no more\n");
    assert!(response.has("content-type: text/plain; charset=utf-8"));
}
