//! A histogram of durations: logarithmic buckets, each less than 1 % wide, so that a p99.9 costs 60 KB and no sorting.

use std::time::Duration;

/// Each power of two is split into 2^7 buckets: a value is off by less than 1/128.
const SPLIT_BITS: u32 = 7;
const SPLIT: u64 = 1 << SPLIT_BITS;
const BUCKETS: usize = bucket(u64::MAX) + 1;

/// How often each duration was seen.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// An empty histogram.
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, value: Duration) {
        let nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// The duration that the share `q` (0 to 1) of all does not exceed; zero when nothing was recorded.
    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let rank = ((q * self.total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(upper_bound(index));
            }
        }
        Duration::ZERO
    }

    /// `quantile` in milliseconds.
    pub(crate) fn quantile_ms(&self, q: f64) -> f64 {
        self.quantile(q).as_secs_f64() * 1e3
    }
}

const fn bucket(value: u64) -> usize {
    if value < SPLIT {
        return value as usize;
    }
    let shift = value.ilog2() - SPLIT_BITS;
    (shift as u64 * SPLIT + (value >> shift)) as usize
}

const fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < 2 * SPLIT {
        return index;
    }
    let shift = index / SPLIT - 1;
    let mantissa = index - shift * SPLIT;
    ((mantissa << shift) - 1) + (1 << shift)
}

/// Each bucket's bound maps back to the bucket, bounds are within 1 % of the value, and quantiles of a known series are right.
///
/// # Panics
/// When the arithmetic is broken.
pub(crate) fn self_check() {
    for index in 0..BUCKETS {
        assert_eq!(bucket(upper_bound(index)), index, "a bucket's bound must fall into the bucket");
    }
    for value in [0, 1, 127, 128, 255, 256, 257, 80_000, 1_000_003, u64::MAX] {
        let bound = upper_bound(bucket(value));
        assert!(bound >= value && (bound - value) as f64 <= value as f64 / 100.0, "{value} became {bound}");
    }
    let mut histogram = Histogram::new();
    assert_eq!(histogram.quantile(0.99), Duration::ZERO);
    for micros in 1..=1000 {
        histogram.record(Duration::from_micros(micros));
    }
    for (q, micros) in [(0.0, 1.0), (0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
        let found = histogram.quantile(q).as_secs_f64() * 1e6;
        assert!((found / micros - 1.0).abs() < 0.01, "quantile {q} is {found} µs, not {micros}");
    }
}
