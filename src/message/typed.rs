//! Parts of the head, read as values: path parameters and header fields.

use std::fmt;
use std::str::FromStr;

use http::StatusCode;

use super::rejection::Rejection;
use super::request::Request;

impl Request {
    /// The value of a path parameter, parsed. [`param`](Self::param) says what the
    /// text is.
    ///
    /// # Errors
    ///
    /// - 400: the text is not a `T`. The line says which parameter, and why.
    /// - 500, logged: the route has no parameter of that name, which is a mistake of the
    ///   program.
    ///
    /// ```
    /// use farewell::{Rejection, Request};
    ///
    /// fn double(request: Request) -> Result<String, Rejection> {
    ///     let number: u32 = request.param_as("number")?;
    ///     Ok((u64::from(number) * 2).to_string())
    /// }
    /// # let _ = farewell::Router::new().get("/double/{number}", double).build()?;
    /// # Ok::<(), farewell::Error>(())
    /// ```
    pub fn param_as<T>(&self, name: &str) -> Result<T, Rejection>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let Some(text) = self.param(name) else {
            let route = self
                .route()
                .unwrap_or("of the request, which no router found,");
            return Err(Rejection::internal(format_args!(
                "the route {route} has no parameter {name}"
            )));
        };
        text.parse()
            .map_err(|error| refused(format_args!("path parameter {name}"), error))
    }

    /// The value of a header field that occurs once, parsed; `None` if the request does
    /// not have it. For a list, such as `Accept`, use [`headers`](Self::headers).
    ///
    /// # Errors
    ///
    /// 400, with a line that says which field, and why:
    ///
    /// - the value is not a `T`, or not UTF-8.
    /// - the field is repeated. To take the first or the last value would be a guess,
    ///   and a proxy may guess otherwise.
    ///
    /// ```
    /// use farewell::{Rejection, Request};
    ///
    /// fn page(request: Request) -> Result<String, Rejection> {
    ///     let size = request.header::<usize>("x-page-size")?.unwrap_or(20);
    ///     Ok(format!("{} a page", size.min(100)))
    /// }
    /// # let _ = page;
    /// ```
    pub fn header<T>(&self, name: impl AsRef<str>) -> Result<Option<T>, Rejection>
    where
        T: FromStr<Err: fmt::Display>,
    {
        let name = name.as_ref();
        let what = format_args!("header field {name}");
        let mut values = self.headers().get_all(name).iter();
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.next().is_some() {
            return Err(refused(what, "it is repeated"));
        }
        let text = str::from_utf8(value.as_bytes());
        let text = text.map_err(|_| refused(what, "it is not valid UTF-8"))?;
        text.parse().map(Some).map_err(|error| refused(what, error))
    }
}

/// The error of a parser may quote what the client sent, so it is reduced to one line.
fn refused(what: fmt::Arguments<'_>, why: impl fmt::Display) -> Rejection {
    let message = format!("{what} is not valid: {why}");
    let message = message.replace(char::is_control, " ");
    Rejection::new(StatusCode::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_line() {
        let quoting = "no such pet: a\r\nb\u{85}c";
        let rejection = refused(format_args!("path parameter pet"), quoting);
        assert_eq!(rejection.status(), 400);
        assert_eq!(
            rejection.message(),
            "path parameter pet is not valid: no such pet: a  b c"
        );
    }
}
