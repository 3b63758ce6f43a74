//! The route of a request, and the values of its parameters.

use std::sync::Arc;

/// Names and decoded values of path parameters, in the order in the path.
pub(crate) type Params = Vec<(Arc<str>, String)>;

/// What a request is for, as a [`RouteTable`](crate::RouteTable) finds it: indices of
/// its endpoints and areas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// `OPTIONS *`: the server as a whole.
    Server,
    Endpoint(usize),
    /// An endpoint, but a parameter is not percent-encoded UTF-8.
    BadParameter(usize),
    /// No route matches the path.
    Area(usize),
    /// An area, but a parameter of its prefix is not percent-encoded UTF-8.
    BadAreaParameter(usize),
}

impl Target {
    /// The index of the route.
    pub(crate) fn endpoint(self) -> Option<usize> {
        match self {
            Self::Endpoint(index) | Self::BadParameter(index) => Some(index),
            Self::Server | Self::Area(_) | Self::BadAreaParameter(_) => None,
        }
    }
}

/// The route that matched a request. The default, for no route, allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct RouteMatch {
    /// The whole path of the route, as registered.
    pub(crate) route: Option<Arc<str>>,
    pub(crate) params: Params,
    /// The number of the table that has been looked up, and what was found. `None` if
    /// the request has changed since.
    pub(crate) found: Option<(u64, Target)>,
}

impl RouteMatch {
    pub(crate) fn of(route: Option<Arc<str>>, params: Params) -> Self {
        let found = None;
        Self {
            route,
            params,
            found,
        }
    }

    /// What the table with this number has found.
    pub(crate) fn found_by(&self, table: u64) -> Option<Target> {
        let (by, target) = self.found?;
        (by == table).then_some(target)
    }

    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        let (_, value) = params.find(|(known, _)| **known == *name)?;
        Some(value)
    }
}
