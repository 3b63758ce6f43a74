//! The methods that are counted apart. The set is fixed, because a client may send any
//! method, and must not add to the numbers.

use http::Method;

/// The names in [`Totals::methods`](crate::Totals::methods), by index.
pub(crate) const METHODS: [&str; 10] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "CONNECT", "TRACE", "other",
];

/// The index of every other method, and of requests whose head is not complete.
pub(crate) const OTHER: usize = METHODS.len() - 1;

/// The index of a method in [`METHODS`].
pub(crate) fn index(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::POST => 2,
        Method::PUT => 3,
        Method::DELETE => 4,
        Method::OPTIONS => 5,
        Method::PATCH => 6,
        Method::CONNECT => 7,
        Method::TRACE => 8,
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_standard_method_has_its_own_name() {
        for (place, name) in METHODS.iter().enumerate().take(OTHER) {
            let method = Method::from_bytes(name.as_bytes()).unwrap();
            assert_eq!(index(&method), place, "{name}");
        }
        for other in ["PROPFIND", "other", "get"] {
            let method = Method::from_bytes(other.as_bytes()).unwrap();
            assert_eq!(index(&method), OTHER, "{other}");
        }
    }
}
