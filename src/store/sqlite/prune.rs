//! Forgetting: a reader walks to what is old enough and finished, the writer removes it in small chunks. The walk goes
//! on where it stopped, so that what must stay is stepped over once a round and never under the write lock.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::fault::Fault;
use super::keys::{self, content_key, key};
use super::span::{self, Kind};
use super::unit::{Operation, Unit};
use crate::domain::Timestamp;
use crate::store::Pruned;

/// What is removed of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// All of it.
    Whole,
    /// Headers, body and attempts.
    Payload,
}

/// How far the walks of this round have come. A round ends when neither walk finds anything.
#[derive(Default)]
pub(super) struct Marks(Mutex<[Mark; 2]>);

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    after: i64,
    done: bool,
}

impl Marks {
    /// Where the walk goes on; `None` when it is through with this round.
    pub(super) fn next(&self, extent: Extent) -> Option<i64> {
        let mark = self.0.lock().unwrap_or_else(PoisonError::into_inner)[extent as usize];
        (!mark.done).then_some(mark.after)
    }

    /// The walk has come to here; `None`: to the end.
    pub(super) fn advance(&self, extent: Extent, to: Option<i64>) {
        let mark = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner)[extent as usize];
        match to {
            Some(seq) => mark.after = seq,
            None => mark.done = true,
        }
    }

    /// Begins a new round.
    pub(super) fn restart(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Default::default();
    }
}

/// The next events behind `after` that can be removed to this extent.
pub(super) fn candidates(conn: &Connection, extent: Extent, before: Timestamp, after: i64, chunk: usize) -> rusqlite::Result<Vec<i64>> {
    let Some(high) = span::high(conn, Kind::Event, before)? else { return Ok(Vec::new()) };
    let sql = match extent {
        Extent::Whole => OLD_EVENTS,
        Extent::Payload => OLD_PAYLOADS,
    };
    let chunk = i64::try_from(chunk.max(1)).unwrap_or(i64::MAX);
    conn.prepare_cached(sql)?.query_map((after, high, before.as_millis(), chunk), |row| row.get(0))?.collect()
}

pub(super) const OLD_EVENTS: &str = "
    SELECT e.seq FROM event e WHERE e.seq > ?1 AND e.seq <= ?2 AND e.received_at < ?3
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND (d.state = 0 OR d.standing = 1))
    ORDER BY e.seq LIMIT ?4";
pub(super) const OLD_PAYLOADS: &str = "
    SELECT p.seq FROM payload p CROSS JOIN event e ON e.seq = p.seq
    WHERE p.seq > ?1 AND p.seq <= ?2 AND e.received_at < ?3
    AND NOT EXISTS (SELECT 1 FROM delivery d WHERE d.event_seq = e.seq AND (d.state = 0 OR d.standing = 1))
    ORDER BY p.seq LIMIT ?4";

/// Removes candidates.
pub(super) struct Erase {
    /// How much of each.
    pub(super) extent: Extent,
    /// The candidates, ascending.
    pub(super) events: Vec<i64>,
    /// Stops after so many rows.
    pub(super) rows: usize,
}

/// What [`Erase`] did.
pub(super) struct Erased {
    /// What is gone.
    pub(super) pruned: Pruned,
    /// The last candidate that was dealt with.
    pub(super) last: Option<i64>,
}

impl Operation for Erase {
    type Output = Erased;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Erased, Fault> {
        let mut erased = Erased { pruned: Pruned::default(), last: None };
        let (mut rows, mut types) = (0, BTreeSet::new());
        for seq in &self.events {
            if rows >= self.rows.max(1) {
                break;
            }
            erased.last = Some(*seq);
            // Looked at again under the write lock: the candidate may have come to life since.
            let pending = unit.conn.prepare_cached(PENDING)?.exists([seq])?;
            if !pending {
                rows += self.erase(unit, *seq, &mut erased.pruned, &mut types)?;
            }
        }
        for event_type in types {
            if unit.execute(DELETE_TYPE, [event_type])? > 0 {
                unit.forget_type(event_type);
            }
        }
        if self.extent == Extent::Whole {
            span::tidy(unit.conn)?;
        }
        Ok(erased)
    }
}

impl Erase {
    fn erase(&self, unit: &mut Unit<'_>, seq: i64, pruned: &mut Pruned, types: &mut BTreeSet<i64>) -> Result<usize, Fault> {
        let payloads = unit.execute("DELETE FROM payload WHERE seq = ?1", [seq])?;
        pruned.payloads += payloads as u64;
        if self.extent == Extent::Payload {
            unit.execute(BLANK_PATH, [seq])?;
        }
        unit.execute("DELETE FROM item WHERE seq = ?1", [seq])?;
        let mut rows = payloads + unit.execute(DELETE_ATTEMPTS, [seq])?;
        if self.extent == Extent::Whole {
            let identity = erase_identity(unit, seq, types)?;
            pruned.events += u64::from(identity > 0);
            rows += identity + unit.execute("DELETE FROM delivery WHERE event_seq = ?1", [seq])?;
        }
        Ok(rows)
    }
}

fn erase_identity(unit: &mut Unit<'_>, seq: i64, types: &mut BTreeSet<i64>) -> Result<usize, Fault> {
    let mut statement = unit.conn.prepare_cached(IDENTITY)?;
    let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get(2)?, row.get::<_, Option<[u8; 32]>>(3)?));
    let Some((source, event_id, event_type, content)) = statement.query_row([seq], read).optional()? else { return Ok(0) };
    types.insert(event_type);
    let mut keys = keys::erase(unit, key(&source, &event_id), seq)?;
    if let Some(digest) = content {
        keys += keys::erase(unit, content_key(&source, &digest), seq)?;
    }
    Ok(keys + unit.execute("DELETE FROM event WHERE seq = ?1", [seq])?)
}

/// The path and the query are the sender's words, as the body is.
pub(super) const BLANK_PATH: &str = "UPDATE event SET subpath = '', query = '' WHERE seq = ?1 AND (subpath <> '' OR query <> '')";
const PENDING: &str = "SELECT 1 FROM delivery WHERE event_seq = ?1 AND (state = 0 OR standing = 1)";
const IDENTITY: &str = "
    SELECT (SELECT name FROM name WHERE id = event.source), event_id, type, iif(content_key, content_digest, NULL)
    FROM event WHERE seq = ?1";
/// Types come from senders: their names would pile up.
pub(super) const DELETE_TYPE: &str = "DELETE FROM name WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM event WHERE type = ?1)";
const DELETE_ATTEMPTS: &str = "DELETE FROM attempt WHERE delivery IN (SELECT id FROM delivery WHERE event_seq = ?1)";
