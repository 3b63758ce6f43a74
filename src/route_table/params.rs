//! The parameters in the path of a route, and their values in the path of a request (RFC
//! 3986 section 2.1).

use std::sync::Arc;

use crate::message::percent;
use crate::message::route_match::Params;

/// The names of the parameters of a path, in order.
pub(crate) fn names(path: &str) -> Vec<Arc<str>> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| Arc::from(name.trim_start_matches('*')))
        .collect()
}

/// The decoded values of the parameters `names`. `None` if one of them is not
/// percent-encoded UTF-8.
pub(crate) fn values(names: &[Arc<str>], found: &matchit::Params<'_, '_>) -> Option<Params> {
    // Both come from the same path, in the same order.
    let found = names.iter().zip(found.iter());
    found
        .map(|(name, (_, value))| Some((Arc::clone(name), percent::decode(value)?.into_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_the_path() {
        let found = names("/a/{b}/c-{d}.e/{*f}");
        let found: Vec<&str> = found.iter().map(|name| &**name).collect();
        assert_eq!(found, ["b", "d", "f"]);
        assert!(names("/a/b").is_empty());
    }
}
