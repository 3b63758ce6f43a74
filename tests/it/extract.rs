//! Reading parts of a request as values: JSON bodies, forms, queries, path parameters,
//! header fields, cookies.

use std::collections::HashMap;

use farewell::Handler;
use farewell::IntoResponse;
use farewell::Json;
use farewell::MultipartLimits;
use farewell::Rejection;
use farewell::Request;
use farewell::RequestBody;
use farewell::Response;
use farewell::Router;
use farewell::header;
use serde::Deserialize;
use serde::Serialize;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::client;
use crate::support::config;

#[derive(Deserialize, Serialize)]
struct Pet {
    name: String,
    age: Option<u8>,
}

/// Each route answers with the value that it has read, as JSON.
fn server() -> TestServer {
    let routes = Router::new()
        .post("/json", |mut request: Request| {
            request.json::<Pet>().map(Json)
        })
        .post("/form", |mut request: Request| {
            request.form::<Pet>().map(Json)
        })
        .get("/query", |request: Request| {
            request.query::<Pet>().map(Json)
        })
        .get("/all", |request: Request| -> Result<_, Rejection> {
            let all: Vec<(String, String)> = request.query()?;
            Ok(Json(all))
        })
        .get("/impossible", |_: Request| {
            Json(HashMap::from([((1, 2), "a key that is not a string")]))
        })
        .build()
        .unwrap();
    TestServer::start(config(), routes)
}

fn post(
    client: &mut Client,
    path: &str,
    content_type: &str,
    body: impl AsRef<[u8]>,
) -> client::Response {
    let body = body.as_ref();
    let length = body.len();
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\n{content_type}Content-Length: {length}\r\n\r\n"
    ));
    client.send(body);
    client.response()
}

const JSON: &str = "Content-Type: application/json\r\n";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";
const REX: &str = r#"{"name":"Rex","age":3}"#;

#[test]
fn json_is_read_and_written() {
    let server = server();
    let mut client = server.connect();
    for content_type in [
        JSON,
        "content-type: Application/JSON; charset=utf-8\r\n",
        "Content-Type: application/pet+json\r\n",
    ] {
        let response = post(&mut client, "/json", content_type, REX);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(response.body, REX);
        assert!(response.has("content-type: application/json"));
    }
}

#[test]
fn a_body_whose_content_type_is_not_json_is_a_415() {
    let server = server();
    let mut client = server.connect();
    for content_type in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: \r\n",
        FORM,
    ] {
        assert_eq!(post(&mut client, "/json", content_type, REX).status, 415);
    }
}

#[test]
fn malformed_json_is_a_400_with_its_position_and_a_wrong_value_a_422_with_its_reason() {
    let server = server();
    let mut client = server.connect();
    let broken = post(&mut client, "/json", JSON, "{\n  \"name\": Rex}");
    assert_eq!(broken.status, 400);
    assert!(broken.body.contains("line 2 column 11"), "{broken:?}");
    for body in [&b""[..], b"{", b"{\"name\":\"\xff\"}", b"{} {}"] {
        assert_eq!(post(&mut client, "/json", JSON, body).status, 400);
    }
    let wrong = post(&mut client, "/json", JSON, r#"{"age":3}"#);
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("missing field `name`"), "{wrong:?}");
    let wrong = post(&mut client, "/json", JSON, r#"{"name":"Rex","age":300}"#);
    assert_eq!(wrong.status, 422);
    assert_eq!(post(&mut client, "/json", JSON, REX).status, 200);
}

#[test]
fn a_value_that_cannot_be_json_is_a_500() {
    let server = server();
    let mut client = server.connect();
    assert_eq!(client.get("/impossible").status, 500);
    assert_eq!(client.get("/all").body, "[]", "the connection goes on");
}

#[test]
fn a_form_is_read() {
    let server = server();
    let mut client = server.connect();
    let response = post(&mut client, "/form", FORM, "name=Old+Rex%26&age=3");
    assert_eq!(response.body, r#"{"name":"Old Rex&","age":3}"#);
    assert_eq!(post(&mut client, "/form", JSON, "name=Rex").status, 415);
    assert_eq!(post(&mut client, "/form", "", "name=Rex").status, 415);
    assert_eq!(post(&mut client, "/form", FORM, "name=%FF").status, 400);
    assert_eq!(post(&mut client, "/form", FORM, b"name=\xff").status, 400);
    for body in ["", "age=3", "name=Rex&age=300", "name=a&name=b"] {
        let response = post(&mut client, "/form", FORM, body);
        assert_eq!(response.status, 422, "{body}");
    }
}

#[test]
fn a_query_is_read() {
    let server = server();
    let mut client = server.connect();
    let response = client.get("/query?name=R%C3%A9x&age=3");
    assert_eq!(response.body, r#"{"name":"Réx","age":3}"#);
    assert_eq!(
        client.get("/query?name=Rex").body,
        r#"{"name":"Rex","age":null}"#
    );
    for query in ["", "?", "?age=3", "?name=a&age=x", "?name=%FF", "?name=%"] {
        assert_eq!(client.get(&format!("/query{query}")).status, 400, "{query}");
    }
    assert_eq!(
        client.get("/all?b=2&a=1&b=3").body,
        r#"[["b","2"],["a","1"],["b","3"]]"#
    );
}

/// Answers with the values that it has read, or with the reason why it has not.
fn typed() -> TestServer {
    let routes = Router::new()
        .get("/numbers/{id}", |request: Request| {
            let id = request.param_as::<u8>("id")?;
            Ok::<_, Rejection>(id.to_string())
        })
        .get("/typo/{id}", |request: Request| {
            request.param_as::<String>("ID")
        })
        .get("/header", |request: Request| -> Result<_, Rejection> {
            let age: Option<u32> = request.header("X-Age")?;
            let agent: Option<String> = request.header(header::USER_AGENT)?;
            Ok(format!("{age:?} {agent:?}"))
        })
        .get("/tags", |request: Request| -> Result<_, Rejection> {
            let tags: HashMap<String, Vec<String>> = request.query()?;
            Ok(tags.values().map(Vec::len).sum::<usize>().to_string())
        })
        .get("/cookies", |request: Request| {
            let jar = request.cookies();
            let mut pairs: Vec<_> = jar.iter().map(|cookie| cookie.name_value()).collect();
            pairs.sort_unstable();
            format!("{pairs:?}")
        })
        .build()
        .unwrap();
    TestServer::start(config(), routes)
}

#[test]
fn a_parameter_that_is_no_number_is_a_400_with_its_reason() {
    let server = typed();
    let mut client = server.connect();
    assert_eq!(client.get("/numbers/7").body, "7");
    assert_eq!(client.get("/numbers/%37").body, "7");
    for (path, why) in [
        ("/numbers/x", "invalid digit found in string"),
        ("/numbers/256", "number too large to fit in target type"),
        ("/numbers/-1", "invalid digit found in string"),
        ("/numbers/7%0D%0A", "invalid digit found in string"),
        ("/numbers/%00", "invalid digit found in string"),
        ("/numbers/7%20", "invalid digit found in string"),
    ] {
        let refused = client.get(path);
        assert_eq!(refused.status, 400, "{path}");
        let line = format!("path parameter id is not valid: {why}\n");
        assert_eq!(refused.body, line, "{path}");
    }
}

#[test]
fn a_parameter_that_the_route_does_not_have_is_a_500() {
    let server = typed();
    let mut client = server.connect();
    let response = client.get("/typo/7");
    assert_eq!(response.status, 500);
    assert_eq!(response.body, "internal server error\n");
}

#[test]
fn a_header_field_is_parsed_and_a_repeated_one_refused() {
    let server = typed();
    let mut client = server.connect();
    let mut get = |fields: &[u8]| {
        client.send([b"GET /header HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n"].concat());
        client.response()
    };
    assert_eq!(get(b"").body, "None None");
    let both = get(b"x-age: 7\r\nUser-Agent: r\xc3\xa9x\r\n");
    assert_eq!(both.body, "Some(7) Some(\"réx\")");
    for (fields, line) in [
        (
            &b"X-Age: seven\r\n"[..],
            "header field X-Age is not valid: invalid digit found in string\n",
        ),
        (
            b"X-Age: 1\r\nX-Age: 1\r\n",
            "header field X-Age is not valid: it is repeated\n",
        ),
        (
            b"User-Agent: \xff\r\n",
            "header field user-agent is not valid: it is not valid UTF-8\n",
        ),
    ] {
        let refused = get(fields);
        assert_eq!((refused.status, &*refused.body), (400, line));
    }
}

#[test]
fn a_query_of_as_many_fields_as_a_target_holds_is_read() {
    let server = typed();
    let mut client = server.connect();
    let query = "a&".repeat(4000);
    assert_eq!(client.get(&format!("/tags?{query}")).body, "4000");
}

#[test]
fn a_form_of_10_000_fields_is_read() {
    let server = server();
    let mut client = server.connect();
    let fields: String = (0..10_000).map(|number| format!("a{number}=&")).collect();
    let form = fields + "name=Rex";
    assert_eq!(post(&mut client, "/form", FORM, form).status, 200);
    let repeated = "name=Rex&".repeat(10_000);
    let refused = post(&mut client, "/form", FORM, repeated);
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("name: it is repeated"), "{refused:?}");
}

#[test]
fn malformed_cookies_are_left_out() {
    let server = typed();
    let mut client = server.connect();
    let mut get = |fields: &[u8]| {
        client.send([b"GET /cookies HTTP/1.1\r\nHost: a\r\n", fields, b"\r\n"].concat());
        client.response().body
    };
    assert_eq!(get(b""), "[]");
    for (fields, pairs) in [
        (&b"Cookie: a=1; b=2\r\n"[..], r#"[("a", "1"), ("b", "2")]"#),
        (
            b"Cookie: a=1\r\nCookie: b=2\r\n",
            r#"[("a", "1"), ("b", "2")]"#,
        ),
        (b"Cookie: a=1; a=2\r\n", r#"[("a", "1")]"#),
        (
            b"Cookie: a%20b=%C3%BC%3B%0D%0A+\r\n",
            r#"[("a%20b", "ü;\r\n+")]"#,
        ),
        (b"Cookie: ;;=;=x;x; ;a==b\r\n", r#"[("a", "=b")]"#),
        (
            b"Cookie: b=\xff; c=%FF; d=%; a=1\r\n",
            r#"[("a", "1"), ("d", "%")]"#,
        ),
        (
            b"Cookie: a=\"1\"; $Path=/\r\n",
            r#"[("$Path", "/"), ("a", "\"1\"")]"#,
        ),
        (b"Cookie: \r\n", "[]"),
    ] {
        let found = get(fields);
        assert_eq!(found, pairs, "{}", String::from_utf8_lossy(fields));
    }
    let many = format!("Cookie: {}\r\n", "a=1;".repeat(3000));
    assert_eq!(get(many.as_bytes()), r#"[("a", "1")]"#);
}

/// The error type that the documentation of `Rejection` shows.
enum ApiError {
    Refused(Rejection),
}

impl From<Rejection> for ApiError {
    fn from(rejection: Rejection) -> Self {
        Self::Refused(rejection)
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        Self::Refused(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self::Refused(rejection) = self;
        let text = format!("api: {}", rejection.message());
        (rejection.status(), text).into_response()
    }
}

/// Reads a request in the way that its path names.
fn read(mut request: Request) -> Result<&'static str, ApiError> {
    match request.param("way").unwrap_or_default() {
        "bytes" => drop(request.bytes()?),
        "text" => drop(request.text()?),
        "json" => drop(request.json::<u8>()?),
        "form" => drop(request.form::<Vec<(String, String)>>()?),
        "query" => drop(request.query::<HashMap<String, u8>>()?),
        "header" => drop(request.header::<u8>("host")?),
        "multipart" => {
            let mut form = request.multipart(MultipartLimits::default())?;
            while let Some(part) = form.next_part()? {
                part.text()?;
            }
        }
        "copy" => drop(std::io::copy(request.body_mut(), &mut std::io::sink())?),
        _ => drop(request.param_as::<u8>("way")?),
    }
    Ok("read")
}

#[test]
fn the_failure_of_every_reader_becomes_the_error_of_an_api() {
    let routes = Router::new().post("/{way}", read).build().unwrap();
    let types = [
        ("json", "application/json"),
        ("form", "application/x-www-form-urlencoded"),
        ("multipart", "multipart/form-data; boundary=b"),
    ];
    for way in [
        "bytes",
        "text",
        "json",
        "form",
        "query",
        "header",
        "multipart",
        "copy",
        "param",
    ] {
        let mut request = http::Request::post(format!("/{way}?a=x")).header("host", "a");
        if let Some((_, media_type)) = types.iter().find(|(name, _)| *name == way) {
            request = request.header("content-type", *media_type);
        }
        // The client breaks off.
        let body = RequestBody::from_reader(&b"half"[..], Some(10));
        let response = routes.handle(request.body(body).unwrap().into());
        assert!(response.status().is_client_error(), "{way}: {response:?}");
        let text = response.into_body().into_bytes(1000).unwrap();
        assert!(text.starts_with(b"api: "), "{way}: {text:?}");
    }
}
