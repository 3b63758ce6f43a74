//! The route of a request, and the values of its parameters.

use std::sync::Arc;

/// Names and decoded values of path parameters, in the order in the path.
pub(crate) type Params = Vec<(Arc<str>, String)>;

/// The route that matched a request. The default, for no route, allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct RouteMatch {
    /// The whole path of the route, as registered.
    pub(crate) route: Option<Arc<str>>,
    pub(crate) params: Params,
}

impl RouteMatch {
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        let (_, value) = params.find(|(known, _)| **known == *name)?;
        Some(value)
    }
}
