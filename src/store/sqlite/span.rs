//! Which numbers a minute can hold. Numbers ascend with arrival, times only roughly: clocks step. Two running extremes a
//! minute turn a question by time into a range of numbers, at the price of one row a minute instead of an index entry an
//! event.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _};

use crate::domain::Timestamp;

/// Whose numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Events, by when they were recorded.
    Event = 0,
    /// Deliveries, by when they were created.
    Delivery = 1,
    /// Events that were recorded long after they had arrived, by when they arrived. Among the others, one of them would
    /// stretch the range of every minute since, for whoever looks for what is old.
    Late = 2,
}

/// What times of events can mean for their numbers.
pub(super) const EVENTS: &[Kind] = &[Kind::Event, Kind::Late];
/// What times of deliveries can mean for theirs.
pub(super) const DELIVERIES: &[Kind] = &[Kind::Delivery];

/// What a transaction has numbered: the first and last number for each minute.
#[derive(Default)]
pub(super) struct Spans(BTreeMap<(Kind, i64), (i64, i64)>);

impl Spans {
    /// Notes a new number. It is larger than any before it.
    pub(super) fn add(&mut self, kind: Kind, at: i64, number: i64) {
        self.0.entry((kind, minute(at))).or_insert((number, number)).1 = number;
    }

    /// Writes the notes. From the latest minute to the earliest, so that each finds the later ones of its own
    /// transaction already written.
    pub(super) fn write(self, conn: &Connection) -> rusqlite::Result<()> {
        for ((kind, minute), (first, last)) in self.0.into_iter().rev() {
            conn.prepare_cached(ADD)?.execute((kind as i64, minute, first, last))?;
            conn.prepare_cached(RAISE)?.execute((kind as i64, minute, last))?;
        }
        Ok(())
    }
}

const ADD: &str = "
    INSERT INTO span (kind, minute, low, high)
    VALUES (?1, ?2, min(?3, coalesce((SELECT low FROM span WHERE kind = ?1 AND minute > ?2 ORDER BY minute LIMIT 1), ?3)), ?4)
    ON CONFLICT DO UPDATE SET high = max(high, excluded.high)";

/// Touches nothing unless the clock stepped back.
const RAISE: &str = "UPDATE span SET high = ?3 WHERE kind = ?1 AND minute > ?2 AND high < ?3";

/// No number of these kinds that is below this one has a time at or after `since`; `None` when no number at all has.
pub(super) fn lowest(conn: &Connection, kinds: &[Kind], since: Timestamp) -> rusqlite::Result<Option<i64>> {
    let lows = kinds.iter().map(|kind| low(conn, *kind, since)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(lows.into_iter().flatten().min())
}

/// No number of these kinds that is above this one has a time before `until`; `None` when no number at all has.
pub(super) fn highest(conn: &Connection, kinds: &[Kind], until: Timestamp) -> rusqlite::Result<Option<i64>> {
    let highs = kinds.iter().map(|kind| high(conn, *kind, until)).collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(highs.into_iter().flatten().max())
}

/// No number below this one has a time at or after `since`; `None` when no number at all has.
fn low(conn: &Connection, kind: Kind, since: Timestamp) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT low FROM span WHERE kind = ?1 AND minute >= ?2 ORDER BY minute LIMIT 1")?
        .query_row((kind as i64, minute(since.as_millis())), |row| row.get(0))
        .optional()
}

/// No number above this one has a time before `until`; `None` when no number at all has.
pub(super) fn high(conn: &Connection, kind: Kind, until: Timestamp) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT high FROM span WHERE kind = ?1 AND minute <= ?2 ORDER BY minute DESC LIMIT 1")?
        .query_row((kind as i64, minute(until.as_millis().saturating_sub(1))), |row| row.get(0))
        .optional()
}

/// Drops a few of the oldest minutes that hold nothing any more.
pub(super) fn tidy(conn: &Connection) -> rusqlite::Result<()> {
    for (kind, sql) in [(Kind::Event, TIDY_EVENTS), (Kind::Late, TIDY_EVENTS), (Kind::Delivery, TIDY_DELIVERIES)] {
        conn.prepare_cached(sql)?.execute([kind as i64])?;
    }
    Ok(())
}

const TIDY_EVENTS: &str = "
    DELETE FROM span WHERE kind = ?1 AND high < (SELECT coalesce(min(seq), 0) FROM event)
    AND minute IN (SELECT minute FROM span WHERE kind = ?1 ORDER BY minute LIMIT 50)";
const TIDY_DELIVERIES: &str = "
    DELETE FROM span WHERE kind = ?1 AND high < (SELECT coalesce(min(id), 0) FROM delivery)
    AND minute IN (SELECT minute FROM span WHERE kind = ?1 ORDER BY minute LIMIT 50)";

/// The minute of a time.
pub(super) fn minute(millis: i64) -> i64 {
    millis.div_euclid(60_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn database() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("migrations/0001.sql")).unwrap();
        conn
    }

    proptest! {
        #[test]
        fn every_number_lies_in_the_range_that_its_time_gives(batches in proptest::collection::vec(proptest::collection::vec(0i64..12, 1..6), 1..12)) {
            let conn = database();
            let mut numbered = Vec::new();
            for batch in batches {
                let mut spans = Spans::default();
                for minute in batch {
                    numbered.push(minute * 60_000);
                    spans.add(Kind::Event, minute * 60_000, numbered.len() as i64);
                }
                spans.write(&conn).unwrap();
            }
            for bound in (0..13).map(|minute| Timestamp::from_millis(minute * 60_000)) {
                let (low, high) = (low(&conn, Kind::Event, bound).unwrap(), high(&conn, Kind::Event, bound).unwrap());
                for (number, at) in (1i64..).zip(&numbered) {
                    prop_assert!(*at < bound.as_millis() || low.is_some_and(|low| low <= number), "{number} at {at} below {low:?}");
                    prop_assert!(*at >= bound.as_millis() || high.is_some_and(|high| number <= high), "{number} at {at} above {high:?}");
                }
            }
        }
    }

    #[test]
    fn with_a_steady_clock_the_range_is_the_minute() {
        let conn = database();
        let mut spans = Spans::default();
        for number in 1..=50 {
            spans.add(Kind::Event, number * 30_000, number);
        }
        spans.write(&conn).unwrap();
        assert_eq!(low(&conn, Kind::Event, Timestamp::from_secs(600)).unwrap(), Some(20));
        assert_eq!(high(&conn, Kind::Event, Timestamp::from_secs(600)).unwrap(), Some(19));
        assert_eq!(low(&conn, Kind::Event, Timestamp::from_secs(6_000)).unwrap(), None);
        assert_eq!(high(&conn, Kind::Event, Timestamp::from_secs(0)).unwrap(), None);
        assert_eq!(low(&conn, Kind::Delivery, Timestamp::from_secs(0)).unwrap(), None);
    }
}
