//! Checked routes, which find the handler for a request.
//!
//! The responses of a router itself (404, 405, 400, `OPTIONS`) are handlers too,
//! with the same layers around them. So a request is one look-up in a
//! [`RouteTable`], and a call of the handler at the index that it gives. If the server
//! has the same table, it has looked up the request already.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::handler::Handler;
use crate::message::rendering;
use crate::message::request::Request;
use crate::message::response::Response;
use crate::message::route_match::Target;
use crate::route_table::RouteTable;

/// A checked [`Router`](crate::Router): the [`Handler`] that passes each request to the
/// handler of its route. [`Router::build`](crate::Router::build) returns it.
///
/// A handler may call routes, and change the request before and the response after: it
/// gets what a [layer](crate::Router::layer) gets. A rejection is the response that the
/// client would get, and so is the 500 after a panic.
pub struct Routes {
    pub(super) table: RouteTable,
    /// In the order of the table.
    pub(super) endpoints: Vec<EndpointHandlers>,
    /// In the order of the table.
    pub(super) areas: Vec<AreaHandlers>,
    /// The answer to `OPTIONS *`.
    pub(super) options_of_server: Arc<dyn Handler>,
}

/// The handlers of one path.
pub(super) struct EndpointHandlers {
    /// Those of `HEAD` and `OPTIONS` included, where the router answers them.
    pub(super) by_method: Vec<(Method, Arc<dyn Handler>)>,
    /// The handler of every other method, or of the 405.
    pub(super) otherwise: Arc<dyn Handler>,
    pub(super) bad_parameter: Arc<dyn Handler>,
}

/// The responses to requests under one prefix that match no route.
pub(super) struct AreaHandlers {
    pub(super) not_found: Arc<dyn Handler>,
    pub(super) bad_parameter: Arc<dyn Handler>,
}

impl Routes {
    fn handler(&self, target: Target, method: &Method) -> &dyn Handler {
        match target {
            Target::Server => &*self.options_of_server,
            Target::Endpoint(index) => self.endpoints[index].handler(method),
            Target::BadParameter(index) => &*self.endpoints[index].bad_parameter,
            Target::Area(index) => &*self.areas[index].not_found,
            Target::BadAreaParameter(index) => &*self.areas[index].bad_parameter,
        }
    }
}

impl Handler for Routes {
    fn handle(&self, mut request: Request) -> Response {
        let target = match request.route_match().found_by(self.table.id()) {
            Some(target) => target,
            None => {
                let path = request.uri().path();
                let (target, route_match) = self.table.look_up(request.method(), path);
                request.set_route_match(route_match);
                target
            }
        };
        let handler = self.handler(target, request.method());
        if self.table.is_called_by_server() {
            return handler.handle(request);
        }
        // A handler around these routes is as a layer: it sees the response that the
        // client would get.
        let (peer, renderer) = (request.peer_addr(), request.renderer().cloned());
        rendering::answer(|| handler.handle(request), peer, renderer.as_ref())
    }

    fn route_table(&self) -> Option<RouteTable> {
        Some(self.table.clone())
    }
}

/// The table of the routes that the handler of a server is, or has inside.
pub(crate) fn table_of(handler: &impl Handler) -> Option<RouteTable> {
    let table = handler.route_table()?;
    if (handler as &dyn Any).is::<Routes>() {
        table.set_called_by_server();
    }
    Some(table)
}

impl EndpointHandlers {
    fn handler(&self, method: &Method) -> &dyn Handler {
        let mut by_method = self.by_method.iter();
        match by_method.find(|(known, _)| known == method) {
            Some((_, handler)) => &**handler,
            None => &*self.otherwise,
        }
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}
