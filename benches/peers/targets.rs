//! What Onceward is meant to reach beside its peers.

use crate::common::load::Plan;
use crate::common::target::Target;

/// The share that verifying leaves may be missed by this factor: two servers that differ in nothing else scatter less.
const NARROW: f64 = 1.1;

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
    let least = |what, target| move |measured| Target::at_least(what, measured, target);
    let fresh = plan.duplicates == 0.0 && !delivers;
    match (plan.rate, plan.connections) {
        (None, 64) if fresh => {
            let of_a = measured.of_a.map(least("Onceward/A", 0.40));
            let of_d = measured.of_d.map(least("Onceward/D", 8.0));
            let memory = Target::at_most("peak memory, MB", measured.peak_memory_mb, 32.0);
            of_a.into_iter().chain(of_d).chain([memory]).collect()
        }
        (None, 1024) => vec![Target::at_most("peak memory, MB", measured.peak_memory_mb, 64.0)],
        (Some(1_000.0), _) => vec![Target::at_most("answer p99 at 1,000/s, ms", measured.p99_ms, 1.0)],
        (Some(10_000.0), _) => vec![Target::at_most("answer p99 at 10,000/s, ms", measured.p99_ms, 10.0)],
        _ => Vec::new(),
    }
}

/// What verifying may cost: the throughput of B as a share of A's in the same round.
pub(crate) fn verification(plan: &Plan, of_a: f64) -> Option<Target> {
    let applies = plan.rate.is_none() && plan.connections == 64;
    applies.then(|| Target::at_least("B/A, verification alone", of_a, 0.84).within(NARROW))
}
