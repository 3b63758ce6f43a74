//! Values that may fail to be a response: options, results, errors, files. And which rejection an
//! error is.

use std::error::Error;
use std::fs::File;
use std::io;
use std::sync::PoisonError;

use http::HeaderValue;
use http::StatusCode;
use http::header;

use super::body::Body;
use super::rejection::Rejection;
use super::request_body::BodyError;
use super::response::IntoResponse;
use super::response::Response;

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Response {
        match self {
            Some(found) => found.into_response(),
            None => Rejection::new(StatusCode::NOT_FOUND, "not found").instead(),
        }
    }
}

impl<T: IntoResponse, E: IntoResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(response) => response.into_response(),
            Err(error) => Rejection::in_place_of_value(error.into_response()),
        }
    }
}

impl From<io::Error> for Rejection {
    /// The error of a read of the request's body becomes the rejection of its
    /// [`BodyError`]. Any other error is logged, and becomes a 500 that does not
    /// name it.
    fn from(error: io::Error) -> Self {
        inside(&error).unwrap_or_else(|| Self::internal(error))
    }
}

impl From<Box<dyn Error + Send + Sync>> for Rejection {
    /// A [`Rejection`], a [`BodyError`], or an [`io::Error`] with one of them inside
    /// is that rejection. Any other error is logged, and becomes a 500 that does not
    /// name it.
    fn from(error: Box<dyn Error + Send + Sync>) -> Self {
        inside(&*error).unwrap_or_else(|| Self::internal(error))
    }
}

impl From<Box<dyn Error>> for Rejection {
    /// As from a `Box<dyn Error + Send + Sync>`.
    fn from(error: Box<dyn Error>) -> Self {
        inside(&*error).unwrap_or_else(|| Self::internal(error))
    }
}

impl<T> From<PoisonError<T>> for Rejection {
    /// A lock that another handler held when it panicked is a logged 500. So
    /// `state.lock()?` does in a handler what `unwrap` would, without a further panic.
    ///
    /// ```
    /// use std::sync::Mutex;
    ///
    /// use farewell::{Rejection, Request};
    ///
    /// fn count(visits: &Mutex<u64>, _: Request) -> Result<String, Rejection> {
    ///     let mut visits = visits.lock()?;
    ///     *visits = visits.saturating_add(1);
    ///     Ok(format!("{visits} visits"))
    /// }
    /// # let _ = farewell::State::new(Mutex::new(0)).handler(count);
    /// ```
    fn from(error: PoisonError<T>) -> Self {
        Self::internal(error)
    }
}

/// The rejection that a call of the library has put into `error`.
fn inside(error: &(dyn Error + 'static)) -> Option<Rejection> {
    if let Some(rejection) = error.downcast_ref::<Rejection>() {
        return Some(rejection.clone());
    }
    if let Some(error) = error.downcast_ref::<BodyError>() {
        return Some((*error).into());
    }
    inside(error.downcast_ref::<io::Error>()?.get_ref()?)
}

impl IntoResponse for io::Error {
    fn into_response(self) -> Response {
        Rejection::from(self).instead()
    }
}

impl IntoResponse for Box<dyn Error + Send + Sync> {
    fn into_response(self) -> Response {
        Rejection::from(self).instead()
    }
}

impl IntoResponse for Box<dyn Error> {
    fn into_response(self) -> Response {
        Rejection::from(self).instead()
    }
}

impl IntoResponse for File {
    /// The response of [`Body::from_file`]. What is not a regular file is a 500, which
    /// is logged.
    fn into_response(self) -> Response {
        let body = match Body::from_file(self) {
            Ok(body) => body,
            Err(error) => return error.into_response(),
        };
        let mut response = Response::new(body);
        let octets = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, octets);
        response
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn none_is_a_404() {
        assert_eq!(Some("here").into_response().status(), 200);
        let response = (StatusCode::CREATED, None::<&str>).into_response();
        assert_eq!(response.status(), 404);
        let rejection: &Rejection = response.extensions().get().unwrap();
        assert_eq!(rejection.message(), "not found");
    }

    #[test]
    fn a_lock_that_a_panic_has_poisoned_is_a_500() {
        let lock = std::sync::Mutex::new("secret");
        let locked = || {
            let _guard = lock.lock();
            panic!("for the test");
        };
        std::thread::scope(|scope| scope.spawn(locked).join().unwrap_err());
        let read = || Ok(*lock.lock()?);
        let refused: Rejection = read().unwrap_err();
        assert_eq!(refused.status(), 500);
        assert_eq!(refused.message(), "internal server error");
    }

    #[test]
    fn an_internal_error_is_not_shown_to_the_client() {
        let internal = Rejection::from(io::Error::other("secret path"));
        assert_eq!(internal.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!internal.message().contains("secret"));
        let slow_body = Rejection::from(io::Error::from(BodyError::TOO_SLOW));
        assert_eq!(slow_body.status(), StatusCode::REQUEST_TIMEOUT);
    }

    #[test]
    fn a_rejection_inside_another_error_stays_the_same() {
        let rejection = Rejection::new(StatusCode::CONFLICT, "there is one already");
        let boxed = |error| -> Box<dyn Error + Send + Sync> { error };
        assert_eq!(Rejection::from(boxed(rejection.clone().into())), rejection);
        let in_io = io::Error::other(rejection.clone());
        assert_eq!(Rejection::from(boxed(in_io.into())), rejection);
        let in_io = io::Error::other(io::Error::from(BodyError::TOO_SLOW));
        assert_eq!(Rejection::from(in_io).status(), 408);
        let in_box: Box<dyn Error> = BodyError::TOO_SLOW.into();
        assert_eq!(Rejection::from(in_box).status(), 408);
        let other: Box<dyn Error> = "secret".into();
        assert_eq!(Rejection::from(other).status(), 500);
    }

    #[test]
    fn an_error_is_a_500_unless_a_rejection_is_inside() {
        type Boxed = Box<dyn Error + Send + Sync>;
        fn handler(error: Boxed) -> Result<&'static str, Boxed> {
            Err(error)
        }
        for (error, status) in [
            (Boxed::from("a text"), 500),
            (Rejection::new(StatusCode::CONFLICT, "taken").into(), 409),
            (io::Error::from(io::ErrorKind::NotFound).into(), 500),
        ] {
            let response = handler(error).into_response();
            assert_eq!(response.status(), status);
        }
        let error: Box<dyn Error> = "a text".into();
        assert_eq!(error.into_response().status(), 500);
        assert_eq!(io::Error::other("x").into_response().status(), 500);
    }

    #[test]
    fn a_file_is_sent_from_its_position_and_a_folder_is_a_500() {
        use std::io::Seek;

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"hello").unwrap();
        file.rewind().unwrap();
        let response = ([(header::CONTENT_TYPE, "text/x-hello")], file).into_response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/x-hello");
        assert_eq!(response.body().content.length(), Some(5));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_is_a_500() {
        let folder = File::open("/").unwrap();
        let response = (StatusCode::CREATED, folder).into_response();
        assert_eq!(response.status(), 500);
    }
}
