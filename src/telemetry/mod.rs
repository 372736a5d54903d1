//! What happened → one log line and one metric, in one place for each happening. Never bodies, secrets or tokens.

mod log;
mod metrics;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ::metrics::{Counter, Histogram};
use tracing::{debug, info, warn};

pub use log::{Format, init};
pub use metrics::Metrics;

use crate::domain::{AttemptEnd, Buried, Code, DeliveryId, EventKey, Happening, OWN_SOURCE, Observer, Outcome, Verdict};

/// Turns happenings into log lines and metrics.
pub struct Telemetry {
    metrics: Metrics,
    /// What is counted for each request is looked up once for each source.
    sources: RwLock<HashMap<Arc<str>, Arc<SourceCounters>>>,
    answers: Histogram,
    commits: Histogram,
    batches: Histogram,
}

/// The counters of one source's requests that were verified.
struct SourceCounters {
    accepted: Counter,
    duplicate: Counter,
    events: Counter,
    duplicates: Counter,
    /// By how they were verified.
    verified: RwLock<Vec<(Box<str>, Counter)>>,
}

impl SourceCounters {
    fn new(metrics: &Metrics, source: &str) -> Self {
        let outcome = |outcome| metrics.counter("onceward_requests_total", &[("source", source), ("outcome", outcome)]);
        Self {
            accepted: outcome("accepted"),
            duplicate: outcome("duplicate"),
            events: metrics.counter("onceward_events_total", &[("source", source)]),
            duplicates: metrics.counter("onceward_duplicates_total", &[("source", source)]),
            verified: RwLock::default(),
        }
    }

    /// Counts a verified request by its secret's position: there are as many labels as secrets.
    fn count_verified(&self, metrics: &Metrics, source: &str, by: &str) {
        let find =
            |counters: &[(Box<str>, Counter)]| counters.iter().find(|(known, _)| **known == *by).map(|(_, counter)| counter.increment(1));
        if find(&self.verified.read().unwrap_or_else(PoisonError::into_inner)).is_some() {
            return;
        }
        let mut counters = self.verified.write().unwrap_or_else(PoisonError::into_inner);
        if find(&counters).is_none() {
            let secret = by.strip_prefix("secret:").unwrap_or(by);
            let counter = metrics.counter("onceward_verified_total", &[("source", source), ("secret", secret)]);
            counter.increment(1);
            counters.push((by.into(), counter));
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        let metrics = Metrics::default();
        Self {
            sources: RwLock::default(),
            answers: metrics.histogram("onceward_answer_seconds"),
            commits: metrics.histogram("onceward_commit_seconds"),
            batches: metrics.histogram("onceward_commit_events"),
            metrics,
        }
    }
}

impl Telemetry {
    /// The metrics, to be shown.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn source(&self, name: &Arc<str>) -> Arc<SourceCounters> {
        if let Some(counters) = self.sources.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Arc::clone(counters);
        }
        let mut sources = self.sources.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(sources.entry(Arc::clone(name)).or_insert_with(|| Arc::new(SourceCounters::new(&self.metrics, name))))
    }

    fn request(&self, source: &str, outcome: &'static str) {
        self.metrics.count("onceward_requests_total", &[("source", source), ("outcome", outcome)]);
    }

    fn same_content(&self, event: &EventKey, earlier: &str, dropped: bool, quiet: bool) {
        self.metrics.count("onceward_same_content_total", &[("source", &event.source)]);
        let (source, id) = (&*event.source, &*event.event_id);
        let became = if dropped { "dropped" } else { "marked" };
        match quiet {
            false => warn!(source.name = source, event.id = ?id, earlier.id = ?earlier, became, "the same content came under another ID"),
            true => debug!(source.name = source, event.id = ?id, earlier.id = ?earlier, became, "the same content came under another ID"),
        }
    }

    fn filter_failed(&self, destination: &str, event: &EventKey, cause: &str, quiet: bool) {
        self.metrics.count("onceward_filter_errors_total", &[("destination", destination)]);
        let (source, id) = (&*event.source, &*event.event_id);
        match quiet {
            false => warn!(source.name = source, event.id = ?id, destination.name = destination, cause, "a filter failed"),
            true => debug!(source.name = source, event.id = ?id, destination.name = destination, cause, "a filter failed"),
        }
    }

    fn body_differs(&self, event: &EventKey, quiet: bool) {
        self.metrics.count("onceward_body_differs_total", &[("source", &event.source)]);
        match quiet {
            false => warn!(source.name = &*event.source, event.id = ?event.event_id, "a duplicate has other content"),
            true => debug!(source.name = &*event.source, event.id = ?event.event_id, "a duplicate has other content"),
        }
    }

    fn refused(&self, source: &str, code: Code, diagnosis: &str, quiet: bool) {
        self.request(source, "refused");
        self.metrics.count("onceward_rejections_total", &[("source", source), ("code", code.as_str())]);
        match quiet {
            false => info!(source.name = source, code = code.as_str(), diagnosis = ?diagnosis, "refused"),
            true => debug!(source.name = source, code = code.as_str(), diagnosis = ?diagnosis, "refused"),
        }
    }

    fn readmitted(&self, rejection: i64, event: &EventKey, fresh: bool) {
        let counters = self.source(&event.source);
        let (counter, became) = if fresh { (&counters.events, "an event") } else { (&counters.duplicates, "a duplicate") };
        counter.increment(1);
        info!(source.name = &*event.source, event.id = ?event.event_id, rejection.id = rejection, became, "a refused request is let in");
    }

    fn buried(&self, destination: &str, buried: &Buried) {
        self.metrics.count("onceward_deliveries_total", &[("destination", destination), ("outcome", "dead")]);
        let Buried { delivery, event, reason } = buried;
        warn!(source.name = &*event.source, event.id = ?event.event_id, delivery.id = delivery.0, destination.name = destination, reason, "delivery is dead");
    }

    fn circuit_opened(&self, destination: &str, probe_in: Duration) {
        self.metrics.count("onceward_circuit_opened_total", &[("destination", destination)]);
        let probe_in_ms = probe_in.as_millis() as u64;
        warn!(destination.name = destination, probe_in_ms, "destination keeps failing: deliveries wait, one at a time probes");
    }

    fn attempted(&self, end: &AttemptEnd<'_>) {
        let destination: &str = end.destination;
        let (outcome, reason) = match end.outcome {
            Outcome::Delivered => ("delivered", ""),
            Outcome::Retry { reason, .. } => ("failed", reason.as_str()),
            Outcome::GiveUp { reason } => ("gave_up", reason.as_str()),
        };
        self.metrics.count("onceward_attempts_total", &[("destination", destination), ("outcome", outcome)]);
        self.metrics.time("onceward_attempt_seconds", &[("destination", destination)], end.duration);
        let ended = match end.verdict {
            Verdict::Delivered => Some("delivered"),
            Verdict::Dead => Some("dead"),
            Verdict::RetryAt(_) => None,
        };
        if let Some(outcome) = ended {
            self.metrics.count("onceward_deliveries_total", &[("destination", destination), ("outcome", outcome)]);
        }
        let (source, id, ms) = (&*end.event.source, &*end.event.event_id, end.duration.as_millis() as u64);
        let (delivery, attempt) = (end.delivery.0, end.attempt);
        match end.verdict {
            Verdict::Delivered => {
                debug!(source.name = source, event.id = ?id, delivery.id = delivery, delivery.attempt = attempt, destination.name = destination, took_ms = ms, "delivered");
            }
            Verdict::RetryAt(at) => {
                warn!(source.name = source, event.id = ?id, delivery.id = delivery, delivery.attempt = attempt, destination.name = destination, took_ms = ms, next_attempt_at = %at, reason, "attempt failed");
            }
            Verdict::Dead => {
                warn!(source.name = source, event.id = ?id, delivery.id = delivery, delivery.attempt = attempt, destination.name = destination, took_ms = ms, reason, "delivery is dead");
            }
        }
    }
}

fn ordered(what: &str, destination: &str, delivery: Option<DeliveryId>) {
    let delivery = delivery.map(|id| id.0);
    info!(order = what, destination.name = destination, delivery.id = delivery, "an operator's order is carried out");
}

impl Observer for Telemetry {
    fn happened(&self, happening: &Happening<'_>) {
        match happening {
            Happening::Verified { source, by } => self.source(source).count_verified(&self.metrics, source, by),
            Happening::Accepted { event, event_type, deliveries } => {
                let counters = self.source(&event.source);
                // What Onceward says itself has not come by a request.
                counters.accepted.increment(u64::from(&*event.source != OWN_SOURCE));
                counters.events.increment(1);
                debug!(source.name = &*event.source, event.id = ?event.event_id, event.r#type = ?event_type, deliveries, "accepted");
            }
            Happening::Duplicate { event } => {
                let counters = self.source(&event.source);
                counters.duplicate.increment(1);
                counters.duplicates.increment(1);
                debug!(source.name = &*event.source, event.id = ?event.event_id, "duplicate");
            }
            Happening::SameContent { event, earlier, dropped, quiet } => self.same_content(event, earlier, *dropped, *quiet),
            Happening::BodyDiffers { event, quiet } => self.body_differs(event, *quiet),
            Happening::FilterFailed { destination, event, cause, quiet } => self.filter_failed(destination, event, cause, *quiet),
            Happening::Handshake { source } => {
                self.request(source, "handshake");
                info!(source.name = source, "handshake answered");
            }
            Happening::Refused { source, code, diagnosis, quiet } => self.refused(source, *code, diagnosis, *quiet),
            Happening::Readmitted { rejection, event, fresh, .. } => self.readmitted(*rejection, event, *fresh),
            Happening::Replayed { event, deliveries } => {
                info!(source.name = &*event.source, event.id = ?event.event_id, deliveries, "replayed");
            }
            Happening::Published { event } => info!(source.name = &*event.source, event.id = ?event.event_id, "published by hand"),
            Happening::Erased { event } => info!(source.name = &*event.source, event.id = ?event.event_id, "erased"),
            Happening::Ordered { what, destination, delivery } => ordered(what, destination, *delivery),
            Happening::Job { id, kind, status, total, done, failed } => {
                info!(job.id = id, job.kind = kind, job.status = status.as_str(), total, done, failed, "job");
            }
            Happening::UnknownSource { name, quiet } => {
                // What was asked for is no label: anyone could make any number of them.
                self.request("", "unknown-source");
                match quiet {
                    false => info!(source.name = ?name, "there is no such source"),
                    true => debug!(source.name = ?name, "there is no such source"),
                }
            }
            Happening::Answered { took } => self.answers.record(took.as_secs_f64()),
            Happening::Committed { operations, took } => {
                self.commits.record(took.as_secs_f64());
                self.batches.record(*operations as f64);
            }
            Happening::StoreFailed { cause } => warn!(cause, "the store failed"),
            Happening::Attempted(end) => self.attempted(end),
            Happening::Buried { destination, buried } => self.buried(destination, buried),
            Happening::CircuitOpened { destination, probe_in } => self.circuit_opened(destination, *probe_in),
            Happening::CircuitClosed { destination } => info!(destination.name = &***destination, "destination works again"),
        }
    }
}

/// Tells the first observer, and the second if there is one.
pub struct Tee(Arc<dyn Observer>, Option<Arc<dyn Observer>>);

impl Tee {
    /// Both are told everything, in this order.
    pub fn new(first: Arc<dyn Observer>, second: Option<Arc<dyn Observer>>) -> Self {
        Self(first, second)
    }
}

impl Observer for Tee {
    fn happened(&self, happening: &Happening<'_>) {
        self.0.happened(happening);
        if let Some(second) = &self.1 {
            second.happened(happening);
        }
    }
}
