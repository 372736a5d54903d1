//! When a delivery is tried again, and when its destination is left alone.

use std::time::Duration;

use super::MOST;
use crate::config::file;
use crate::config::report::Keys;
use crate::config::{Circuit, Retry};
use crate::domain::parse_duration;

/// The policy for failed attempts.
pub(super) fn retry(written: &file::Retry, mut keys: Keys<'_>) -> Retry {
    if let Some(waits) = &written.schedule {
        let others = written.attempts.is_some() || written.first.is_some() || written.max.is_some() || written.factor.is_some();
        if others {
            keys.problem("schedule", "stands beside attempts, first, max or factor: the schedule says all of these");
        }
        return schedule(waits, keys);
    }
    let attempts = keys.count("attempts", written.attempts, 12, 1, MOST);
    let first = keys.duration("first", written.first.as_deref(), Duration::from_secs(5));
    let max = keys.duration("max", written.max.as_deref(), Duration::from_secs(12 * 3600));
    if max < first {
        keys.problem(if written.max.is_some() { "max" } else { "first" }, "`max` must be at least `first`");
    }
    let factor = written.factor.unwrap_or(3.0);
    if !(1.0..=1000.0).contains(&factor) {
        keys.problem("factor", "must be 1 to 1000");
    }
    Retry::Exponential { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), first, max, factor }
}

fn schedule(waits: &[String], mut keys: Keys<'_>) -> Retry {
    if waits.is_empty() {
        keys.problem("schedule", "is empty: write the waits between attempts, or attempts = 1 for a single one");
    }
    let mut parsed = Vec::new();
    for (at, text) in waits.iter().enumerate() {
        match parse_duration(text) {
            Ok(wait) => parsed.push(wait),
            Err(error) => {
                let path = keys.item("schedule", at);
                keys.report.problem(&path, error);
            }
        }
    }
    Retry::Schedule(parsed)
}

/// The circuit. No failures at all is how it is switched off.
pub(super) fn circuit(written: &file::Circuit, mut keys: Keys<'_>) -> Circuit {
    let failures = keys.count("failures", written.failures, 5, 0, MOST);
    let probe = keys.duration("probe", written.probe.as_deref(), Duration::from_secs(5));
    let max_probe = keys.duration("max_probe", written.max_probe.as_deref(), Duration::from_secs(300));
    if max_probe < probe {
        keys.problem(if written.max_probe.is_some() { "max_probe" } else { "probe" }, "`max_probe` must be at least `probe`");
    }
    Circuit { failures: u32::try_from(failures).ok().filter(|failures| *failures > 0), probe, max_probe }
}
