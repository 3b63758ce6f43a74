//! How large the body of a request may be: what a [`RouteTable`] says to the server.

use crate::route_table::Area;
use crate::route_table::RouteTable;
use crate::route_table::body_limits::BodyLimits;
use crate::route_table::prefixes::Prefixes;

/// Without uploads. Every body is refused at once by a 405, which a 413 would hide.
pub(super) const NO_BODIES: BodyLimits = BodyLimits::new().bytes_max(u64::MAX).buffer(0);

/// A table with these limits for every request.
pub(super) fn route_table(limits: BodyLimits) -> RouteTable {
    let area = Area {
        names: Vec::new(),
        limits,
    };
    let mut prefixes = Prefixes::default();
    let inserted = prefixes.insert("", 0);
    inserted.expect("there is no other prefix");
    let no_paths = (matchit::Router::new(), Vec::new());
    RouteTable::new(no_paths, (prefixes, vec![area]), BodyLimits::new())
}
