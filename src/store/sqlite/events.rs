//! Questions about events.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::conditions::{Conditions, Named, Range, count, unknown};
use super::keys::{self, key};
use super::names::{self, Role};
use super::{span, stored};
use crate::domain::{EventKey, EventStatus, Headers, StoredEvent, Timestamp};
use crate::store::{EventFilter, EventRow, Order, Page, StoredBody};

/// A page of events.
pub(super) fn list(conn: &Connection, filter: &EventFilter, page: Page) -> rusqlite::Result<Vec<EventRow>> {
    match &filter.event_id {
        Some(event_id) => list_by_id(conn, filter, event_id, page),
        None => match conditions(conn, filter)? {
            Some(conditions) => conditions.list(conn, SELECT, "e.seq", page, row),
            None => Ok(Vec::new()),
        },
    }
}

/// By the sender's ID, which is unique for each source: the key is looked up for each, so that it needs no index.
fn list_by_id(conn: &Connection, filter: &EventFilter, event_id: &str, page: Page) -> rusqlite::Result<Vec<EventRow>> {
    let sources = match &filter.source {
        Some(source) => vec![source.clone()],
        None => names::all(conn, Role::Source)?.into_iter().map(|(_, name)| name).collect(),
    };
    let mut found = Vec::new();
    for source in sources {
        let (Some(seq), Some(mut conditions)) = (seq(conn, &source, event_id)?, conditions(conn, filter)?) else { continue };
        conditions.and("e.seq = ?", seq);
        conditions.and("e.event_id = ?", event_id.to_owned());
        found.extend(conditions.list(conn, SELECT, "e.seq", page, row)?);
    }
    match page.order {
        Order::Newest => found.sort_by_key(|row| std::cmp::Reverse(row.seq)),
        Order::Oldest => found.sort_by_key(|row| row.seq),
    }
    found.truncate(page.limit);
    Ok(found)
}

/// Everything but the ID; `None` when nothing can match.
pub(super) fn conditions(conn: &Connection, filter: &EventFilter) -> rusqlite::Result<Option<Conditions>> {
    let Some(mut conditions) = fixed_conditions(conn, filter)? else { return Ok(None) };
    if let Some(status) = filter.status {
        conditions.also(in_status(status));
    }
    Ok(Some(conditions))
}

/// Everything that never changes of an event, its ID aside; `None` when nothing can match.
pub(super) fn fixed_conditions(conn: &Connection, filter: &EventFilter) -> rusqlite::Result<Option<Conditions>> {
    let columns = [
        Named { column: "e.source", count: COUNT_SOURCE, role: Role::Source, name: filter.source.as_deref() },
        Named { column: "e.type", count: COUNT_TYPE, role: Role::Type, name: filter.event_type.as_deref() },
    ];
    let Some(mut conditions) = Conditions::named(conn, &columns)? else { return Ok(None) };
    let range = Range { kinds: span::EVENTS, time: "e.received_at", since: filter.since, until: filter.until };
    Ok(conditions.between(conn, &range)?.then_some(conditions))
}

const COUNT_SOURCE: &str = "SELECT count(*) FROM (SELECT 1 FROM event WHERE source = ?1 LIMIT ?2)";
const COUNT_TYPE: &str = "SELECT count(*) FROM (SELECT 1 FROM event WHERE type = ?1 LIMIT ?2)";

/// [`EventStatus::of`] as a condition. What is rare starts from the small indexes of pending and undelivered deliveries.
pub(super) fn in_status(status: EventStatus) -> &'static str {
    match status {
        EventStatus::Dead => "e.seq IN (SELECT event_seq FROM delivery WHERE state >= 2 AND state = 2)",
        EventStatus::Failing => {
            "e.seq IN (SELECT event_seq FROM delivery WHERE state = 0 AND failures > 0)
             AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state = 2)"
        }
        EventStatus::Pending => {
            "e.seq IN (SELECT event_seq FROM delivery WHERE state = 0)
             AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq
                             AND (d.state = 2 OR d.state = 0 AND d.failures > 0))"
        }
        EventStatus::Delivered => {
            "EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state = 1)
             AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state IN (0, 2))"
        }
        EventStatus::Cancelled => {
            "e.seq IN (SELECT event_seq FROM delivery WHERE state >= 2 AND state = 3)
             AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND d.state <> 3)"
        }
        EventStatus::Unrouted => "NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq)",
    }
}

/// One event with its headers.
pub(super) fn one(conn: &Connection, wanted: &EventKey) -> rusqlite::Result<Option<EventRow>> {
    let Some(seq) = seq(conn, &wanted.source, &wanted.event_id)? else { return Ok(None) };
    let sql = format!("{SELECT} WHERE e.seq = ?1");
    let found = conn.prepare_cached(&sql)?.query_row([seq], row).optional()?;
    let Some(mut found) = found.filter(|row| row.key == *wanted) else { return Ok(None) };
    let headers =
        conn.prepare_cached("SELECT headers FROM payload WHERE seq = ?1")?.query_row([seq], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    found.headers = headers.map(Headers::from_encoded).transpose().map_err(|_| unknown(0, "an encoding of headers"))?;
    let items = conn.prepare_cached("SELECT ids FROM item WHERE seq = ?1")?.query_row([seq], |row| row.get::<_, String>(0)).optional()?;
    let items = items.map(|ids| serde_json::from_str(&ids)).transpose().map_err(|_| unknown(0, "a list of IDs"))?;
    found.item_ids = items.unwrap_or_default();
    Ok(Some(found))
}

/// One event's body.
pub(super) fn body(conn: &Connection, wanted: &EventKey) -> rusqlite::Result<Option<StoredBody>> {
    let Some(seq) = seq(conn, &wanted.source, &wanted.event_id)? else { return Ok(None) };
    conn.prepare_cached(SELECT_BODY)?
        .query_row((seq, &*wanted.event_id), |row| {
            Ok(StoredBody { content_type: row.get(0)?, bytes: Bytes::from(row.get::<_, Vec<u8>>(1)?) })
        })
        .optional()
}

/// One event as it came, to be sent or written again.
pub(super) fn request(conn: &Connection, wanted: &EventKey) -> rusqlite::Result<Option<StoredEvent>> {
    let Some(seq) = seq(conn, &wanted.source, &wanted.event_id)? else { return Ok(None) };
    let found = stored::event(conn, seq, |id| names::of(conn, id))?;
    let found = found.transpose().map_err(|_| unknown(0, "an encoding of headers"))?;
    Ok(found.filter(|event| event.key == *wanted))
}

const SELECT_BODY: &str = "
    SELECT e.content_type, p.body FROM event e JOIN payload p ON p.seq = e.seq WHERE e.seq = ?1 AND e.event_id = ?2";

fn seq(conn: &Connection, source: &str, event_id: &str) -> rusqlite::Result<Option<i64>> {
    keys::find(conn, key(source, event_id))
}

pub(super) const SELECT: &str = "
    SELECT e.seq, (SELECT name FROM name WHERE id = e.source), e.event_id, (SELECT name FROM name WHERE id = e.provider),
           (SELECT name FROM name WHERE id = e.type), e.received_at,
           (SELECT max(CASE d.state WHEN 2 THEN 5 WHEN 0 THEN 3 + (d.failures > 0) WHEN 1 THEN 2 ELSE 1 END)
            FROM delivery d WHERE d.event_seq = e.seq),
           e.duplicates, e.last_duplicate_at, e.size, e.content_type, e.verified_by, e.same_content_as, e.body_differs
    FROM event e";

pub(super) fn row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    Ok(EventRow {
        seq: row.get(0)?,
        key: EventKey { source: row.get::<_, Arc<str>>(1)?, event_id: row.get(2)? },
        provider: row.get(3)?,
        event_type: row.get(4)?,
        received_at: Timestamp::from_millis(row.get(5)?),
        status: status(row.get(6)?),
        duplicates: count(row, 7)?,
        last_duplicate_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_millis),
        size: count(row, 9)?,
        content_type: row.get(10)?,
        verified_by: row.get(11)?,
        same_content_as: row.get(12)?,
        body_differs: row.get(13)?,
        headers: None,
        item_ids: Vec::new(),
    })
}

/// From the worst delivery, as [`SELECT`] ranks them.
fn status(worst: Option<i64>) -> EventStatus {
    match worst {
        None => EventStatus::Unrouted,
        Some(1) => EventStatus::Cancelled,
        Some(2) => EventStatus::Delivered,
        Some(3) => EventStatus::Pending,
        Some(4) => EventStatus::Failing,
        Some(_) => EventStatus::Dead,
    }
}
