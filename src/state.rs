//! What handlers share.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use crate::handler::Handler;
use crate::message::request::Request;
use crate::message::response::IntoResponse;
use crate::message::response::Response;

/// A value that handlers and layers share, such as a store or a pool of connections.
///
/// [`handler`](Self::handler) makes a [`Handler`] of a function that takes the value and
/// the request, and [`layer`](Self::layer) makes a layer of one that takes the next
/// handler too. Clones are handles of the same value, and a state dereferences to it: so
/// the program can use it after the server has stopped.
///
/// The value is shared by threads. What changes needs a lock or an atomic.
///
/// ```
/// use std::sync::Mutex;
///
/// use farewell::{Handler, IntoResponse, NoContent, Rejection, Request, Response};
/// use farewell::{Router, State, StatusCode};
/// use subtle::ConstantTimeEq; // the crate `subtle`
///
/// struct Notes {
///     notes: Mutex<Vec<String>>,
///     token: String,
/// }
///
/// fn list(notes: &Notes, _: Request) -> Result<String, Rejection> {
///     Ok(notes.notes.lock()?.join("\n")) // a 500 if a handler has panicked with the lock
/// }
///
/// fn add(notes: &Notes, mut request: Request) -> Result<NoContent, Rejection> {
///     let note = request.text()?;
///     notes.notes.lock()?.push(note);
///     Ok(NoContent)
/// }
///
/// // `bearer_auth` of the feature `auth` does this, and more.
/// fn auth(notes: &Notes, request: Request, next: &dyn Handler) -> Response {
///     let expected = format!("Bearer {}", notes.token);
///     let given = request.headers().get("authorization");
///     let given = given.map_or(&b""[..], |given| given.as_bytes());
///     // `==` would tell by its time how much of the token is right.
///     match bool::from(given.ct_eq(expected.as_bytes())) {
///         true => next.handle(request),
///         false => StatusCode::UNAUTHORIZED.into_response(),
///     }
/// }
///
/// // A real token is random, and comes from a file or from the environment.
/// let token = "open-sesame".to_owned();
/// assert!(!token.is_empty());
/// let state = State::new(Notes { notes: Mutex::default(), token });
/// let routes = Router::new()
///     .get("/notes", state.handler(list))
///     .post("/notes", state.handler(add))
///     .layer(state.layer(auth))
///     .build()?;
/// # let _ = routes;
/// println!("{} notes", state.notes.lock().unwrap().len());
/// # Ok::<(), farewell::Error>(())
/// ```
pub struct State<S>(Arc<S>);

impl<S: Send + Sync + 'static> State<S> {
    /// A state with this value.
    pub fn new(value: S) -> Self {
        Self(Arc::new(value))
    }

    /// The handler that calls `f`, a `fn(&S, Request) -> impl IntoResponse`, with the
    /// value. A method of `S` serves as well: `state.handler(Notes::list)`.
    ///
    /// A closure has to name the types of its parameters: `|notes: &Notes, request:
    /// Request|`.
    ///
    /// [`StateHandler`] is the trait of all of these. There is nothing to implement.
    pub fn handler<F>(&self, f: F) -> impl Handler + use<S, F>
    where
        F: for<'s> StateHandler<'s, S> + Send + Sync + 'static,
    {
        let state = Arc::clone(&self.0);
        move |request: Request| f(&state, request).into_response()
    }

    /// The layer that calls `f`, a `fn(&S, Request, &dyn Handler) -> impl
    /// IntoResponse`, with the value: for [`Router::layer`](crate::Router::layer). The
    /// third parameter is the next handler.
    ///
    /// A closure has to name the types of its parameters: `|notes: &Notes, request:
    /// Request, next: &dyn Handler|`.
    ///
    /// [`StateLayer`] is the trait of all of these. There is nothing to implement.
    pub fn layer<F>(
        &self,
        f: F,
    ) -> impl Fn(Request, &dyn Handler) -> Response + Send + Sync + use<S, F>
    where
        F: for<'s, 'n> StateLayer<'s, 'n, S> + Send + Sync + 'static,
    {
        let state = Arc::clone(&self.0);
        move |request: Request, next: &dyn Handler| f(&state, request, next).into_response()
    }
}

impl<S> Clone for State<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Deref for State<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.0
    }
}

impl<S: fmt::Debug> fmt::Debug for State<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&*self.0).finish()
    }
}

/// What [`State::handler`] takes: every function and closure that takes `&S` and a
/// [`Request`], and returns a type that implements [`IntoResponse`].
///
/// It is implemented for all of these, and cannot be implemented for other types. Only a
/// function that passes such a function on has to name it:
///
/// ```
/// use std::sync::Mutex;
///
/// use farewell::{Handler, Request, Router, State, StateHandler};
///
/// type Log = Mutex<Vec<String>>;
///
/// /// The routes of a version of the API.
/// fn version<F>(path: &str, state: &State<Log>, list: F) -> Router
/// where
///     F: for<'s> StateHandler<'s, Log> + Send + Sync + 'static,
/// {
///     Router::new().get(path, state.handler(list))
/// }
///
/// fn list(_: &Log, _: Request) -> &'static str {
///     "[]"
/// }
///
/// let routes = version("/v1/log", &State::new(Log::default()), list).build()?;
/// # let response = routes.handle(http::Request::get("/v1/log").body(()).unwrap().into());
/// # assert_eq!(response.status(), 200);
/// # Ok::<(), farewell::Error>(())
/// ```
///
/// `'s` is the lifetime of the reference: `for<'s>` says that the function takes a
/// reference of any lifetime.
// With a type parameter for the response instead of `Answer`, the response could not
// depend on the lifetime, as `impl IntoResponse` of a function does.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler with the state `{S}`",
    note = "it has to be a function from `&{S}` and `Request` to a type that implements `IntoResponse`"
)]
pub trait StateHandler<'s, S: 's>: Fn(&'s S, Request) -> Self::Answer {
    /// What the function returns.
    type Answer: IntoResponse;
}

impl<'s, S: 's, F, R> StateHandler<'s, S> for F
where
    F: Fn(&'s S, Request) -> R,
    R: IntoResponse,
{
    type Answer = R;
}

/// What [`State::layer`] takes: every function and closure that takes `&S`, a [`Request`]
/// and the next [`Handler`], and returns a type that implements [`IntoResponse`].
///
/// As with [`StateHandler`], there is nothing to implement, and a bound is
/// `for<'s, 'n> StateLayer<'s, 'n, S> + Send + Sync + 'static`. `'n` is the lifetime of the
/// reference to the next handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer with the state `{S}`",
    note = "it has to be a function from `&{S}`, `Request` and `&dyn Handler` to a type that implements `IntoResponse`"
)]
pub trait StateLayer<'s, 'n, S: 's>: Fn(&'s S, Request, &'n dyn Handler) -> Self::Answer {
    /// What the function returns.
    type Answer: IntoResponse;
}

impl<'s, 'n, S: 's, F, R> StateLayer<'s, 'n, S> for F
where
    F: Fn(&'s S, Request, &'n dyn Handler) -> R,
    R: IntoResponse,
{
    type Answer = R;
}
