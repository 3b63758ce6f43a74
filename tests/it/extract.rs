//! Reading JSON bodies, forms and queries as values.

use std::collections::HashMap;

use farewell::Json;
use farewell::Rejection;
use farewell::Request;
use farewell::Router;
use serde::Deserialize;
use serde::Serialize;

use crate::support::Client;
use crate::support::TestServer;
use crate::support::client::Response;
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

fn post(client: &mut Client, path: &str, content_type: &str, body: impl AsRef<[u8]>) -> Response {
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
