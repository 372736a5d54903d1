//! How much comes in, by source and hour: kept beside the events, so that nobody has to count them.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row};

use super::conditions::count;
use crate::domain::Timestamp;
use crate::store::{Counts, Tally};

/// Stands for all hours since the beginning.
const ALL: i64 = 0;
/// How many hours are kept.
const HOURS: i64 = 8 * 24;

/// What a transaction has brought, by source and hour.
#[derive(Default)]
pub(super) struct Tallies(BTreeMap<(i64, i64), Brought>);

/// What has come.
#[derive(Default, Clone, Copy)]
pub(super) struct Brought {
    /// Events.
    pub(super) events: i64,
    /// Duplicates.
    pub(super) duplicates: i64,
    /// Rejections.
    pub(super) rejections: i64,
    /// Bytes of headers and bodies.
    pub(super) bytes: i64,
}

impl Tallies {
    /// Adds what has come to a source at this time.
    pub(super) fn add(&mut self, source: i64, at: Timestamp, brought: Brought) {
        for hour in [ALL, hour(at)] {
            let sum = self.0.entry((source, hour)).or_default();
            sum.events += brought.events;
            sum.duplicates += brought.duplicates;
            sum.rejections += brought.rejections;
            sum.bytes += brought.bytes;
        }
    }

    /// Writes it. Hours that are no longer kept go.
    pub(super) fn write(self, conn: &Connection) -> rusqlite::Result<()> {
        for ((source, hour), Brought { events, duplicates, rejections, bytes }) in self.0 {
            conn.prepare_cached(ADD)?.execute((source, hour, events, duplicates, rejections, bytes))?;
            if hour != ALL {
                conn.prepare_cached(FORGET)?.execute((source, ALL, hour - HOURS))?;
            }
        }
        Ok(())
    }
}

/// What has come in since then and since the beginning, by source, and how many deliveries are dead.
pub(super) fn counts(conn: &Connection, since: Timestamp) -> rusqlite::Result<Counts> {
    let tallies = conn.prepare_cached(SELECT)?.query_map((ALL, hour(since)), row)?.collect::<rusqlite::Result<_>>()?;
    let dead = conn.prepare_cached(COUNT_DEAD)?.query_row((), |row| count(row, 0))?;
    Ok(Counts { tallies, dead })
}

fn row(row: &Row<'_>) -> rusqlite::Result<Tally> {
    let hour: i64 = row.get(1)?;
    Ok(Tally {
        source: row.get(0)?,
        hour: (hour != ALL).then(|| Timestamp::from_secs(hour.saturating_mul(3_600))),
        events: count(row, 2)?,
        duplicates: count(row, 3)?,
        rejections: count(row, 4)?,
        bytes: count(row, 5)?,
    })
}

fn hour(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(3_600_000)
}

const ADD: &str = "
    INSERT INTO tally (source, hour, events, duplicates, rejections, bytes) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET events = events + excluded.events, duplicates = duplicates + excluded.duplicates,
                              rejections = rejections + excluded.rejections, bytes = bytes + excluded.bytes";
const FORGET: &str = "DELETE FROM tally WHERE source = ?1 AND hour > ?2 AND hour < ?3";
pub(super) const SELECT: &str = "
    SELECT (SELECT name FROM name WHERE id = t.source), t.hour, t.events, t.duplicates, t.rejections, t.bytes
    FROM (SELECT id FROM name WHERE role = 0) s CROSS JOIN tally t ON t.source = s.id AND (t.hour = ?1 OR t.hour >= ?2)";
pub(super) const COUNT_DEAD: &str = "SELECT count(*) FROM delivery WHERE state >= 2 AND state = 2";
