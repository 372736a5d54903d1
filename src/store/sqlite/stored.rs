//! A stored event with its payload, as a destination gets it.

use std::sync::Arc;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::domain::{EventKey, Headers, StoredEvent, Timestamp};

/// The stored headers are no encoding of headers.
pub(super) struct UnreadableHeaders;

/// The event of that number, its names looked up by `name`; `None` when it is not there whole.
pub(super) fn event<E>(
    conn: &Connection,
    seq: i64,
    mut name: impl FnMut(i64) -> Result<Arc<str>, E>,
) -> Result<Option<Result<StoredEvent, UnreadableHeaders>>, E>
where
    E: From<rusqlite::Error>,
{
    let Some(raw) = conn.prepare_cached(EVENT)?.query_row([seq], RawEvent::read).optional()? else { return Ok(None) };
    let Ok(headers) = Headers::from_encoded(raw.headers) else { return Ok(Some(Err(UnreadableHeaders))) };
    Ok(Some(Ok(StoredEvent {
        key: EventKey { source: name(raw.source)?, event_id: raw.event_id },
        provider: name(raw.provider)?,
        event_type: name(raw.event_type)?.as_ref().to_owned(),
        method: raw.method,
        subpath: raw.subpath,
        query: raw.query,
        headers,
        body: raw.body,
        received_at: raw.received_at,
    })))
}

/// An event with its names still numbers.
struct RawEvent {
    source: i64,
    event_id: Arc<str>,
    provider: i64,
    event_type: i64,
    method: String,
    subpath: String,
    query: String,
    received_at: Timestamp,
    headers: Vec<u8>,
    body: Bytes,
}

impl RawEvent {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            source: row.get(0)?,
            event_id: row.get(1)?,
            provider: row.get(2)?,
            event_type: row.get(3)?,
            method: row.get(4)?,
            subpath: row.get(5)?,
            query: row.get(6)?,
            received_at: Timestamp::from_millis(row.get(7)?),
            headers: row.get(8)?,
            body: row.get::<_, Vec<u8>>(9)?.into(),
        })
    }
}

pub(super) const EVENT: &str = "
    SELECT e.source, e.event_id, e.provider, e.type, e.method, e.subpath, e.query, e.received_at, p.headers, p.body
    FROM event e JOIN payload p ON p.seq = e.seq WHERE e.seq = ?1";
