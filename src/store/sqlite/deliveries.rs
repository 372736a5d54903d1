//! Questions about deliveries and their attempts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::conditions::{Conditions, Named, Range, count, unknown};
use super::names::Role;
use super::span;
use crate::domain::{Attempt, Backlog, DeliveryId, DeliveryStatus, EventKey, Timestamp};
use crate::store::{AttemptRow, DeliveryFilter, DeliveryRow, Page};

/// A page of deliveries, without attempts.
pub(super) fn list(conn: &Connection, filter: &DeliveryFilter, page: Page) -> rusqlite::Result<Vec<DeliveryRow>> {
    match conditions(conn, filter)? {
        Some(conditions) => conditions.list(conn, SELECT, "d.id", page, row),
        None => Ok(Vec::new()),
    }
}

/// The filter's conditions; `None` when nothing can match.
pub(super) fn conditions(conn: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Option<Conditions>> {
    let Some(mut conditions) = fixed_conditions(conn, filter)? else { return Ok(None) };
    if let Some(status) = filter.status {
        conditions.also(in_status(status));
    }
    Ok(Some(conditions))
}

/// Everything that never changes of a delivery; `None` when nothing can match.
pub(super) fn fixed_conditions(conn: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Option<Conditions>> {
    let columns = [
        Named { column: "d.source", count: COUNT_SOURCE, role: Role::Source, name: filter.source.as_deref() },
        Named { column: "d.destination", count: COUNT_DESTINATION, role: Role::Destination, name: filter.destination.as_deref() },
    ];
    let Some(mut conditions) = Conditions::named(conn, &columns)? else { return Ok(None) };
    let range = Range { kinds: span::DELIVERIES, time: "d.created_at", since: filter.since, until: filter.until };
    Ok(conditions.between(conn, &range)?.then_some(conditions))
}

const COUNT_SOURCE: &str = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE source = ?1 LIMIT ?2)";
const COUNT_DESTINATION: &str = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE destination = ?1 LIMIT ?2)";

/// In the words of the small indexes, where there is one.
fn in_status(status: DeliveryStatus) -> &'static str {
    match status {
        DeliveryStatus::Pending => "d.state = 0",
        DeliveryStatus::Delivered => "d.state = 1",
        DeliveryStatus::Dead => "d.state >= 2 AND d.state = 2",
        DeliveryStatus::Cancelled => "d.state >= 2 AND d.state = 3",
    }
}

/// The deliveries of some events, oldest first.
pub(super) fn of_events(conn: &Connection, events: &[i64], attempts: bool) -> rusqlite::Result<Vec<DeliveryRow>> {
    let sql = format!("{SELECT} WHERE d.event_seq = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = Vec::new();
    for event in events {
        for delivery in statement.query_map([event], row)? {
            found.push(delivery?);
        }
    }
    found.sort_by_key(|delivery| delivery.id);
    if attempts {
        for delivery in &mut found {
            delivery.history = history(conn, delivery.id)?;
        }
    }
    Ok(found)
}

/// One delivery with its attempts.
pub(super) fn one(conn: &Connection, id: DeliveryId) -> rusqlite::Result<Option<DeliveryRow>> {
    let sql = format!("{SELECT} WHERE d.id = ?1");
    let found = conn.prepare_cached(&sql)?.query_row([id.0], row).optional()?;
    found.map(|delivery| Ok(DeliveryRow { history: history(conn, id)?, ..delivery })).transpose()
}

/// What is unfinished, for each destination. All from the index of pending deliveries; the oldest is the one with the
/// lowest ID.
pub(super) fn backlog(conn: &Connection) -> rusqlite::Result<Vec<Backlog>> {
    let row = |row: &Row<'_>| {
        let oldest = Some(Timestamp::from_millis(row.get(2)?));
        Ok(Backlog { destination: row.get(0)?, pending: count(row, 1)?, oldest })
    };
    conn.prepare_cached(BACKLOG)?.query_map((), row)?.collect()
}

pub(super) const BACKLOG: &str = "
    SELECT (SELECT name FROM name WHERE id = b.destination), b.pending, (SELECT created_at FROM delivery WHERE id = b.oldest)
    FROM (SELECT destination, count(*) AS pending, min(id) AS oldest FROM delivery WHERE state = 0 GROUP BY destination) b
    ORDER BY 1";

pub(super) const SELECT: &str = "
    SELECT d.id, d.event_seq, (SELECT name FROM name WHERE id = d.source), e.event_id,
           (SELECT name FROM name WHERE id = d.destination), d.state, d.attempts,
           CASE WHEN d.state = 0 AND d.owner IS NULL AND d.due_at < 9223372036854775807 THEN d.due_at END, d.created_at, d.finished_at, d.replay, d.last_error,
           d.state = 0 AND d.due_at = 9223372036854775807, d.state <> 0 AND d.standing = 1
    FROM delivery d CROSS JOIN event e ON e.seq = d.event_seq";

fn row(row: &Row<'_>) -> rusqlite::Result<DeliveryRow> {
    let time = |column| row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis));
    Ok(DeliveryRow {
        id: DeliveryId(row.get(0)?),
        event_seq: row.get(1)?,
        event: EventKey { source: row.get(2)?, event_id: row.get(3)? },
        destination: row.get(4)?,
        status: status(row.get(5)?)?,
        attempts: row.get(6)?,
        next_attempt_at: time(7)?,
        created_at: Timestamp::from_millis(row.get(8)?),
        finished_at: time(9)?,
        replay: row.get(10)?,
        last_error: row.get(11)?,
        waits_in_line: row.get(12)?,
        holds_line: row.get(13)?,
        history: Vec::new(),
    })
}

fn status(state: i64) -> rusqlite::Result<DeliveryStatus> {
    match state {
        0 => Ok(DeliveryStatus::Pending),
        1 => Ok(DeliveryStatus::Delivered),
        2 => Ok(DeliveryStatus::Dead),
        3 => Ok(DeliveryStatus::Cancelled),
        _ => Err(unknown(5, "a delivery's state")),
    }
}

fn history(conn: &Connection, delivery: DeliveryId) -> rusqlite::Result<Vec<AttemptRow>> {
    conn.prepare_cached(HISTORY)?.query_map([delivery.0], attempt)?.collect()
}

const HISTORY: &str = "
    SELECT number, at, duration_ms, status_code, error, response FROM attempt WHERE delivery = ?1 ORDER BY number";

fn attempt(row: &Row<'_>) -> rusqlite::Result<AttemptRow> {
    let attempt = Attempt {
        at: Timestamp::from_millis(row.get(1)?),
        duration: Duration::from_millis(count(row, 2)?),
        status_code: row.get(3)?,
        error: row.get(4)?,
        response: row.get(5)?,
    };
    Ok(AttemptRow { number: row.get(0)?, attempt })
}
