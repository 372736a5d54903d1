//! Metrics in the Prometheus text format. One registry for each running program, not for the process, so that several
//! can run in one.

use std::time::Duration;

use metrics::{Counter, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};

const METADATA: Metadata<'static> = Metadata::new("onceward", Level::INFO, None);

/// Upper bounds in seconds, from 100 µs to 60 s.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Upper bounds of a batch's size.
const BATCH: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0];

/// What each metric is, for `# HELP`.
const HELP: &[(&str, &str, Kind)] = &[
    ("onceward_requests_total", "Requests to known sources by outcome", Kind::Counter),
    ("onceward_verified_total", "Requests whose signature held, by the position of the secret", Kind::Counter),
    ("onceward_events_total", "Events recorded", Kind::Counter),
    ("onceward_duplicates_total", "Verified requests whose event was recorded before", Kind::Counter),
    ("onceward_same_content_total", "Verified requests whose content was recorded before under another ID", Kind::Counter),
    ("onceward_body_differs_total", "Duplicates with other content than the recorded event", Kind::Counter),
    ("onceward_filter_errors_total", "Events on which a destination's filter failed", Kind::Counter),
    ("onceward_rejections_total", "Requests refused by code", Kind::Counter),
    ("onceward_attempts_total", "Delivery attempts by outcome", Kind::Counter),
    ("onceward_deliveries_total", "Deliveries ended by outcome", Kind::Counter),
    ("onceward_circuit_opened_total", "How often a destination was left alone because it kept failing", Kind::Counter),
    ("onceward_answer_seconds", "Time from a whole request to its answer", Kind::Histogram),
    ("onceward_commit_seconds", "Time of a commit with its sync", Kind::Histogram),
    ("onceward_commit_events", "Operations in a commit", Kind::Histogram),
    ("onceward_attempt_seconds", "Time of a delivery attempt", Kind::Histogram),
    ("onceward_queue_depth", "Operations that wait to be committed", Kind::Gauge),
    ("onceward_pending_deliveries", "Unfinished deliveries", Kind::Gauge),
    ("onceward_oldest_pending_seconds", "Age of the oldest unfinished delivery", Kind::Gauge),
    ("onceward_attempts_in_flight", "Delivery attempts under way", Kind::Gauge),
    ("onceward_circuit_open", "1 while a destination is left alone because it keeps failing", Kind::Gauge),
    ("onceward_destination_paused", "1 while an operator holds a destination", Kind::Gauge),
    ("onceward_database_bytes", "Size of the database", Kind::Gauge),
    ("onceward_wal_bytes", "Size of the write-ahead log", Kind::Gauge),
];

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A registry of metrics.
pub struct Metrics(PrometheusRecorder);

impl Default for Metrics {
    fn default() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Full("onceward_commit_events".into()), BATCH))
            .expect("the bucket lists are not empty")
            .build_recorder();
        for (name, help, kind) in HELP {
            match kind {
                Kind::Counter => recorder.describe_counter((*name).into(), None, (*help).into()),
                Kind::Gauge => recorder.describe_gauge((*name).into(), None, (*help).into()),
                Kind::Histogram => recorder.describe_histogram((*name).into(), None, (*help).into()),
            }
        }
        Self(recorder)
    }
}

impl Metrics {
    /// Counts one.
    pub fn count(&self, name: &'static str, labels: &[(&'static str, &str)]) {
        self.counter(name, labels).increment(1);
    }

    /// A counter to be kept, where it is counted often.
    pub fn counter(&self, name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        self.0.register_counter(&key(name, labels), &METADATA)
    }

    /// A histogram to be kept, where it is recorded often.
    pub fn histogram(&self, name: &'static str) -> Histogram {
        self.0.register_histogram(&key(name, &[]), &METADATA)
    }

    /// Sets a gauge.
    pub fn set(&self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        self.0.register_gauge(&key(name, labels), &METADATA).set(value);
    }

    /// Adds a duration to a histogram of seconds.
    pub fn time(&self, name: &'static str, labels: &[(&'static str, &str)], took: Duration) {
        self.0.register_histogram(&key(name, labels), &METADATA).record(took.as_secs_f64());
    }

    /// All of it as Prometheus text.
    pub fn render(&self) -> String {
        self.0.handle().render()
    }

    /// Folds what was recorded into the histograms; to be called every few seconds, so that samples do not pile up.
    pub fn upkeep(&self) {
        self.0.handle().run_upkeep();
    }
}

fn key(name: &'static str, labels: &[(&'static str, &str)]) -> Key {
    Key::from_parts(name, labels.iter().map(|(label, value)| Label::new(*label, (*value).to_owned())).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_shows_in_prometheus_text() {
        let metrics = Metrics::default();
        for (name, _, kind) in HELP {
            match kind {
                Kind::Counter => metrics.count(name, &[("source", "a\"b")]),
                Kind::Gauge => metrics.set(name, &[], 3.0),
                Kind::Histogram => metrics.time(name, &[], Duration::from_millis(3)),
            }
        }
        metrics.upkeep();
        let text = metrics.render();
        for (name, help, _) in HELP {
            assert!(text.contains(&format!("# HELP {name} {help}")), "{name}\n{text}");
        }
        assert!(text.contains("onceward_answer_seconds_bucket{le=\"0.005\"} 1"), "{text}");
        assert!(text.contains("onceward_events_total{source=\"a\\\"b\"} 1"), "{text}");
    }
}
