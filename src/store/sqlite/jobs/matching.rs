//! What a job is about, found in windows of rows: a question costs the same whatever its filter finds, also when it finds
//! nothing.

use rusqlite::Connection;

use super::super::conditions::{Conditions, Window};
use super::super::{deliveries, events, find};
use crate::domain::EventStatus;
use crate::store::{DeliveryFilter, EventFilter, Matching, Order, Page, Work};

/// How many rows one question looks at.
pub(in super::super) const WINDOW: i64 = 5_000;

/// The newest row of those that the work is about.
pub(in super::super) fn newest(conn: &Connection, work: &Work) -> rusqlite::Result<i64> {
    let sql = match work {
        Work::Replay { .. } => "SELECT coalesce(max(seq), 0) FROM event",
        Work::Retry { .. } => "SELECT coalesce(max(id), 0) FROM delivery",
    };
    conn.prepare_cached(sql)?.query_row((), |row| row.get(0))
}

/// The next rows that the work is about.
pub(in super::super) fn matching(
    conn: &Connection,
    work: &Work,
    unsearched: &[String],
    after: i64,
    last: i64,
    limit: usize,
) -> rusqlite::Result<Matching> {
    let page = Page { limit, after: Some(after), order: Order::Oldest };
    if let Work::Replay { filter: filter @ EventFilter { q: Some(_), .. }, .. } = work {
        let found = find::find(conn, filter, unsearched, page)?;
        let numbers = found.rows.into_iter().map(|row| row.seq).filter(|seq| *seq <= last).collect();
        return Ok(up_to(numbers, limit, found.reached.map_or(last, |reached| reached.min(last))));
    }
    // By its ID an event is looked up in each source, without a walk.
    if let Work::Replay { filter: filter @ EventFilter { event_id: Some(_), .. }, .. } = work {
        let found = events::list(conn, filter, page)?.into_iter().map(|row| row.seq).filter(|seq| *seq <= last);
        return Ok(up_to(found.collect(), limit, last));
    }
    let (found, select, number) = match work {
        Work::Replay { filter, .. } => (events_within(conn, filter, after, last)?, EVENTS, "e.seq"),
        Work::Retry { filter } => (deliveries_within(conn, filter, after, last)?, DELIVERIES, "d.id"),
    };
    let Some((window, conditions)) = found else { return Ok(Matching { numbers: Vec::new(), reached: last }) };
    let numbers = conditions.list(conn, select, number, Page { after: Some(window.after), ..page }, |row| row.get(0))?;
    Ok(up_to(numbers, limit, if window.is_last { last } else { window.to }))
}

pub(in super::super) const EVENTS: &str = "SELECT e.seq FROM event e";
pub(in super::super) const DELIVERIES: &str = "SELECT d.id FROM delivery d";

/// What was looked for up to `end`, and no further than the last that was found if there may be more.
fn up_to(numbers: Vec<i64>, limit: usize, end: i64) -> Matching {
    let reached = numbers.last().copied().filter(|_| numbers.len() >= limit).unwrap_or(end);
    Matching { numbers, reached }
}

/// A window, and what has to hold in it; `None` when nothing more can match.
type Within = Option<(Window, Conditions)>;

/// Events behind `after`.
pub(in super::super) fn events_within(conn: &Connection, filter: &EventFilter, after: i64, last: i64) -> rusqlite::Result<Within> {
    let Some(mut conditions) = events::fixed_conditions(conn, filter)? else { return Ok(None) };
    let Some(window) = conditions.within(after, last, WINDOW) else { return Ok(None) };
    match filter.status {
        None => {}
        // Rare, and in an index by the event's number: only those of the window are gone through.
        Some(EventStatus::Dead) => conditions.and_all(DEAD, [window.after, window.to]),
        Some(EventStatus::Cancelled) => conditions.and_all(CANCELLED, [window.after, window.to]),
        Some(EventStatus::Failing) => conditions.also(FAILING),
        Some(EventStatus::Pending) => conditions.also(PENDING),
        Some(EventStatus::Delivered) => conditions.also(events::in_status(EventStatus::Delivered)),
        Some(EventStatus::Unrouted) => conditions.also(events::in_status(EventStatus::Unrouted)),
    }
    Ok(Some((window, conditions)))
}

const DEAD: &str = "
    e.seq IN (SELECT event_seq FROM delivery WHERE state >= 2 AND state = 2 AND event_seq > ? AND event_seq <= ?)";
const CANCELLED: &str = "
    e.seq IN (SELECT event_seq FROM delivery WHERE state >= 2 AND state = 3 AND event_seq > ? AND event_seq <= ?)
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state <> 3)";
const FAILING: &str = "
    EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state = 0 AND d.failures > 0)
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state = 2)";
const PENDING: &str = "
    EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state = 0)
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND (d.state = 2 OR d.state = 0 AND d.failures > 0))";

/// Dead deliveries behind `after`.
pub(in super::super) fn deliveries_within(conn: &Connection, filter: &DeliveryFilter, after: i64, last: i64) -> rusqlite::Result<Within> {
    let Some(mut conditions) = deliveries::fixed_conditions(conn, filter)? else { return Ok(None) };
    let Some(window) = conditions.within(after, last, WINDOW) else { return Ok(None) };
    conditions.also("d.state = 2");
    Ok(Some((window, conditions)))
}
