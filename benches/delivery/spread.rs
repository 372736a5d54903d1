//! How times lie between two moments of which either may come first.

use std::time::Instant;

/// Milliseconds.
#[derive(serde::Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
    /// The share below zero.
    pub(crate) negative: f64,
}

impl Spread {
    /// Of these values; of none, everything is infinite, so that no target is reached by measuring nothing.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let quantile = |q: f64| {
            let rank = (q * sorted.len() as f64).ceil() as usize;
            sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::INFINITY)
        };
        let negative = sorted.partition_point(|value| *value < 0.0) as f64 / sorted.len().max(1) as f64;
        Self { min: quantile(0.0), p50: quantile(0.5), p99: quantile(0.99), max: quantile(1.0), negative }
    }
}

/// Milliseconds from one moment to the other; below zero when `to` came first.
pub(crate) fn between(from: Instant, to: Instant) -> f64 {
    let millis = |later: Instant, earlier: Instant| later.duration_since(earlier).as_secs_f64() * 1e3;
    if to >= from { millis(to, from) } else { -millis(from, to) }
}

/// Checks quantiles of a known series, and the sign of a time.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let Spread { min, p50, p99, max, negative } = Spread::of((-9..=90).rev().map(f64::from));
    assert_eq!([min, p50, p99, max].map(|value| value as i64), [-9, 40, 89, 90]);
    assert!((negative - 0.09).abs() < 1e-9, "{negative} of them are negative");
    assert!(Spread::of(std::iter::empty()).p99.is_infinite());
    let now = Instant::now();
    let later = now + std::time::Duration::from_millis(2);
    assert!((between(now, later) - 2.0).abs() < 1e-6 && (between(later, now) + 2.0).abs() < 1e-6);
}
