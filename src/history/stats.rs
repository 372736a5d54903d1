//! How much comes in, in all and lately.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Timestamp;
use crate::store::{Counts, Tally};

/// What lately means.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What a rate is taken over: the hour that runs, and the one before it.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What has come in and what has come of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stats {
    /// All sources together.
    pub all: SourceStats,
    /// Each by its name.
    pub sources: BTreeMap<String, SourceStats>,
    /// Deliveries that are dead.
    pub dead: u64,
}

/// What has come to a source, or to all.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, ToSchema)]
#[schema(as = Received)]
pub struct SourceStats {
    /// Since the beginning, whatever of it has been pruned.
    #[serde(flatten)]
    pub total: Volume,
    /// In the hour that runs and the 24 before it.
    pub last_24h: Volume,
    /// First-seen events a minute, over the hour that runs and the one before it.
    pub events_per_minute: f64,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct Volume {
    /// First-seen events.
    pub events: u64,
    /// Duplicates.
    pub duplicates: u64,
    /// Refused requests that went into the log.
    pub rejections: u64,
    /// Bytes of the events' headers and bodies.
    pub bytes: u64,
}

impl Stats {
    pub(super) fn of(counts: Counts, now: Timestamp) -> Self {
        let mut stats = Self { all: SourceStats::default(), sources: BTreeMap::new(), dead: counts.dead };
        for tally in counts.tallies {
            stats.all.add(&tally, now);
            stats.sources.entry(tally.source.clone()).or_default().add(&tally, now);
        }
        stats
    }
}

impl SourceStats {
    fn add(&mut self, tally: &Tally, now: Timestamp) {
        let Some(hour) = tally.hour else {
            self.total += Volume::from(tally);
            return;
        };
        self.last_24h += Volume::from(tally);
        let since = now.minus(HOUR).as_millis().div_euclid(HOUR.as_millis() as i64) * HOUR.as_millis() as i64;
        if hour.as_millis() >= since {
            let minutes = (now.as_millis() - since) as f64 / 60_000.0;
            self.events_per_minute += tally.events as f64 / minutes;
        }
    }
}

impl AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        self.events += other.events;
        self.duplicates += other.duplicates;
        self.rejections += other.rejections;
        self.bytes += other.bytes;
    }
}

impl From<&Tally> for Volume {
    fn from(tally: &Tally) -> Self {
        Self { events: tally.events, duplicates: tally.duplicates, rejections: tally.rejections, bytes: tally.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(source: &str, hour: Option<i64>, events: u64) -> Tally {
        let hour = hour.map(|hour| Timestamp::from_secs(hour * 3_600));
        Tally { source: source.to_owned(), hour, events, duplicates: 1, rejections: 2, bytes: 10 * events }
    }

    #[test]
    fn hours_make_the_day_and_the_last_two_of_them_the_rate() {
        let now = Timestamp::from_secs(100 * 3_600 + 1_800);
        let tallies = vec![
            tally("a", None, 1_000),
            tally("a", Some(98), 500),
            tally("a", Some(99), 60),
            tally("a", Some(100), 30),
            tally("b", None, 7),
        ];
        let stats = Stats::of(Counts { tallies, dead: 3 }, now);
        let a = stats.sources["a"];
        assert_eq!(a.total, Volume { events: 1_000, duplicates: 1, rejections: 2, bytes: 10_000 });
        assert_eq!(a.last_24h, Volume { events: 590, duplicates: 3, rejections: 6, bytes: 5_900 });
        assert!((a.events_per_minute - 1.0).abs() < 1e-9, "90 events in 90 minutes: {a:?}");
        assert_eq!((stats.all.total.events, stats.all.last_24h.events, stats.dead), (1_007, 590, 3));
        assert_eq!(stats.sources["b"].last_24h, Volume::default());
    }
}
