//! What pruning would remove: the same walks as [`super::prune`], which only count.

use rusqlite::Connection;

use super::prune::Extent;
use super::span::{self, Kind};
use crate::store::{Prunable, Prune};

/// A part of a walk.
pub(super) struct Part {
    /// What stands there.
    pub(super) found: Prunable,
    /// Where it ended; `None` at the end.
    pub(super) last: Option<i64>,
}

/// Counts in the next chunk behind `after`: a short question, so that the log is never held for long.
pub(super) fn window(conn: &Connection, extent: Extent, prune: Prune, after: i64) -> rusqlite::Result<Part> {
    let mut part = Part { found: Prunable::default(), last: None };
    let high = |before| Ok::<_, rusqlite::Error>(span::high(conn, Kind::Event, before)?.unwrap_or(0));
    let whole = high(prune.ids_before)?;
    let (sql, high, before) = match extent {
        Extent::Whole => (EVENTS, whole, prune.ids_before),
        Extent::Payload => (PAYLOADS, high(prune.bodies_before)?, prune.bodies_before),
    };
    let chunk = i64::try_from(prune.chunk.max(1)).unwrap_or(i64::MAX);
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query((after, high, before.as_millis(), chunk))?;
    while let Some(row) = rows.next()? {
        let (seq, received_at): (i64, i64) = (row.get(0)?, row.get(1)?);
        part.last = Some(seq);
        let goes_wholly = seq <= whole && received_at < prune.ids_before.as_millis();
        // Counted with its event.
        if extent == Extent::Payload && goes_wholly {
            continue;
        }
        let bytes: Option<i64> = row.get(2)?;
        part.found.events += u64::from(extent == Extent::Whole);
        part.found.payloads += u64::from(bytes.is_some());
        part.found.bytes += bytes.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0);
    }
    Ok(part)
}

const EVENTS: &str = "
    SELECT e.seq, e.received_at, length(p.headers) + length(p.body) FROM event e LEFT JOIN payload p ON p.seq = e.seq
    WHERE e.seq > ?1 AND e.seq <= ?2 AND e.received_at < ?3
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND (d.state = 0 OR d.standing = 1))
    ORDER BY e.seq LIMIT ?4";
const PAYLOADS: &str = "
    SELECT e.seq, e.received_at, length(p.headers) + length(p.body) FROM payload p CROSS JOIN event e ON e.seq = p.seq
    WHERE p.seq > ?1 AND p.seq <= ?2 AND e.received_at < ?3
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND (d.state = 0 OR d.standing = 1))
    ORDER BY p.seq LIMIT ?4";
