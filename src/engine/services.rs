//! What a connection may use of its server, on any thread.

use std::sync::Arc;
use std::time::Instant;

use http::Method;

use super::peers::Peers;
use super::places::Places;
use super::refusals::Refusals;
use super::upload_limit::UploadLimit;
use crate::config::Config;
use crate::journal::Journal;
use crate::journal::note;
use crate::lifecycle::accounting::Accounting;
use crate::lifecycle::phase::Lifecycle;
use crate::lifecycle::report::CutRequest;
use crate::message::route_match::Target;
use crate::route_table::RouteTable;
use crate::route_table::body_limits::BodyLimits;
use crate::route_table::body_limits::LimitsInForce;

/// See the module. It holds no value of the application, so it may outlive the server.
pub(crate) struct Services {
    pub(crate) config: Config,
    pub(crate) journal: Arc<Journal>,
    pub(crate) life: Arc<Lifecycle>,
    pub(crate) accounting: Arc<Accounting>,
    pub(crate) places: Arc<Places>,
    pub(crate) peers: Arc<Peers>,
    pub(crate) upload_limit: Arc<UploadLimit>,
    pub(crate) refusals: Refusals,
    /// The application renders the server's own responses.
    pub(crate) renders_rejections: bool,
    /// `None` if the handler has no routes.
    pub(crate) routes: Option<RouteTable>,
}

impl Services {
    pub(crate) fn new(
        config: Config,
        journal: Arc<Journal>,
        life: Arc<Lifecycle>,
        accounting: Arc<Accounting>,
        renders_rejections: bool,
        routes: Option<RouteTable>,
    ) -> Arc<Self> {
        let paths = routes.iter().flat_map(RouteTable::paths);
        accounting.count_by(config.shards(), paths.map(|path| path.to_string()));
        Arc::new(Self {
            places: Places::new(config.max_connections),
            peers: Peers::new(config.connections_per_peer),
            upload_limit: UploadLimit::new(config.uploads_max()),
            refusals: Refusals::new(Instant::now()),
            config,
            journal,
            life,
            accounting,
            renders_rejections,
            routes,
        })
    }

    /// The limits on the body of a request. `target` is what the table has found.
    pub(crate) fn body_limits(&self, target: Option<Target>, method: &Method) -> LimitsInForce {
        let limits = match (&self.routes, target) {
            (Some(routes), Some(target)) => routes.body_limits(target, method),
            _ => BodyLimits::new(),
        };
        limits.in_force(&self.config)
    }

    /// Whether the request is for an urgent route. `target` is what the table has found.
    // Not inlined, because most tables have no urgent route.
    #[inline(never)]
    pub(crate) fn is_urgent(&self, target: Target, method: &Method) -> bool {
        let routes = self.routes.as_ref();
        routes.is_some_and(|routes| routes.is_urgent(target, method))
    }

    /// Names a request that was cut, in the report. The log line shows when it
    /// happened.
    pub(crate) fn name_cut(&self, cut: CutRequest) {
        note!(self.journal, Debug, "{cut}");
        self.accounting.name_cut(cut);
    }
}
