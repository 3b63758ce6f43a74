//! What the routes have found out about a request.

use std::sync::Arc;

/// Names and decoded values of path parameters, in the order of the path.
pub(crate) type Params = Vec<(Arc<str>, String)>;

/// What the routes have found out about a request. Nothing at first, which
/// allocates nothing.
#[derive(Debug, Default)]
pub(crate) struct RouteMatch {
    /// The route's whole path, as it was registered.
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
