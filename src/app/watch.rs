//! Who is told what happens: the log and the metrics, the stream, the alerts, and the program that embeds this one.

use std::sync::Arc;

use super::build;
use crate::alert::{self, Alerts};
use crate::config::Config;
use crate::domain::{Announce, Clock, Observer, Silent};
use crate::feed::Feed;
use crate::route::Routes;
use crate::telemetry::{Tee, Telemetry};

/// All that is told.
pub(super) struct Watchers {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) feed: Arc<Feed>,
    /// There where somebody takes Onceward's own events.
    pub(super) alerts: Option<(Arc<Alerts>, alert::Pending)>,
    /// Tells each of them.
    pub(super) observer: Arc<dyn Observer>,
}

impl Watchers {
    pub(super) fn new(config: &Config, routes: &Routes, clock: &Arc<dyn Clock>, embedding: Option<Arc<dyn Observer>>) -> Self {
        let telemetry = Arc::new(Telemetry::default());
        let feed = Arc::new(Feed::new(Arc::clone(clock)));
        let others: Arc<dyn Observer> = Arc::new(Tee::new(Arc::clone(&feed) as _, embedding));
        let observer: Arc<dyn Observer> = Arc::new(Tee::new(Arc::clone(&telemetry) as _, Some(others)));
        let alerts = build::alerts(config, routes, clock, &observer);
        let observer = Arc::new(Tee::new(observer, alerts.as_ref().map(|(alerts, _)| Arc::clone(alerts) as _)));
        Self { telemetry, feed, alerts, observer }
    }

    /// What the dispatcher says of itself.
    pub(super) fn announce(&self) -> Arc<dyn Announce> {
        self.alerts.as_ref().map_or_else(|| Arc::new(Silent) as _, |(alerts, _)| Arc::clone(alerts) as _)
    }
}
