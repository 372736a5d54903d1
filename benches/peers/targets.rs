//! What Onceward is meant to reach beside its peers. A measurement on a busy machine scatters, so only a wide miss fails.

use crate::load::Plan;

/// A measured value within this factor of its target passes the check.
const WIDE: f64 = 1.6;
/// The same for the share that verifying leaves: two servers that differ in nothing else scatter less.
const NARROW: f64 = 1.1;

/// A target and what was measured.
#[derive(serde::Serialize)]
pub(crate) struct Target {
    what: &'static str,
    measured: f64,
    target: f64,
    /// Whether more is better.
    at_least: bool,
    /// By which factor it may be missed.
    #[serde(skip)]
    margin: f64,
}

/// What the targets are about, medians of all rounds.
pub(crate) struct Measured {
    /// Throughput of Onceward as a share of A's in the same round.
    pub(crate) of_a: Option<f64>,
    /// The same of D's.
    pub(crate) of_d: Option<f64>,
    pub(crate) p99_ms: f64,
    pub(crate) peak_memory_mb: f64,
}

/// The targets that this plan measures: throughput and memory in the closed loop, latency in the open one.
pub(crate) fn applicable(plan: &Plan, delivers: bool, measured: &Measured) -> Vec<Target> {
    let most = |what, measured, target| Target { what, measured, target, at_least: false, margin: WIDE };
    let least = |what, target| move |measured| Target { what, measured, target, at_least: true, margin: WIDE };
    let fresh = plan.duplicates == 0.0 && !delivers;
    match (plan.rate, plan.connections) {
        (None, 64) if fresh => {
            let of_a = measured.of_a.map(least("Onceward/A", 0.40));
            let of_d = measured.of_d.map(least("Onceward/D", 8.0));
            let memory = most("peak memory, MB", measured.peak_memory_mb, 32.0);
            of_a.into_iter().chain(of_d).chain([memory]).collect()
        }
        (None, 1024) => vec![most("peak memory, MB", measured.peak_memory_mb, 64.0)],
        (Some(1_000.0), _) => vec![most("answer p99 at 1,000/s, ms", measured.p99_ms, 1.0)],
        (Some(10_000.0), _) => vec![most("answer p99 at 10,000/s, ms", measured.p99_ms, 10.0)],
        _ => Vec::new(),
    }
}

/// What verifying may cost: the throughput of B as a share of A's in the same round.
pub(crate) fn verification(plan: &Plan, of_a: f64) -> Option<Target> {
    let applies = plan.rate.is_none() && plan.connections == 64;
    applies.then_some(Target { what: "B/A, verification alone", measured: of_a, target: 0.84, at_least: true, margin: NARROW })
}

impl Target {
    /// Whether the target is reached, or missed by less than its margin.
    pub(crate) fn is_close(&self) -> bool {
        if self.at_least { self.measured * self.margin >= self.target } else { self.measured <= self.target * self.margin }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, measured, target, at_least, .. } = self;
        let sign = if *at_least { "≥" } else { "≤" };
        let verdict = if self.is_close() { "" } else { "  MISSED" };
        write!(f, "{what} {measured:.2} (target {sign} {target}){verdict}")
    }
}
