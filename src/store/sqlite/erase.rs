//! Erasing what an event held because somebody asks for it: its content leaves the file, its identity stays, so that it is known
//! when it is sent again. Unlike pruning, which only frees pages, this overwrites them, and has the log emptied.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::control;
use super::fault::Fault;
use super::keys::{self, key};
use super::prune::BLANK_PATH;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{DeliveryId, EventKey, Timestamp};
use crate::failpoint;

/// Erases the content of an event, and calls off what is unfinished of it.
pub(super) struct EraseContent {
    /// Which.
    pub(super) event: EventKey,
    /// When.
    pub(super) now: Timestamp,
}

impl Operation for EraseContent {
    /// The destinations to which anything of it was called off, now or before; `None` when there is no such event.
    type Output = Option<Vec<Arc<str>>>;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault> {
        let Some(seq) = find(unit.conn, &self.event)? else { return Ok(None) };
        let before: i64 = unit.conn.pragma_query_value(None, "secure_delete", |row| row.get(0))?;
        unit.conn.pragma_update(None, "secure_delete", 1)?;
        let erased = self.erase(unit, seq);
        unit.conn.pragma_update(None, "secure_delete", before)?;
        unit.empty_log();
        erased.map(Some)
    }
}

impl EraseContent {
    fn erase(&self, unit: &mut Unit<'_>, seq: i64) -> Result<Vec<Arc<str>>, Fault> {
        for id in numbers(unit.conn, UNFINISHED, seq)? {
            let _ = control::cancel(unit, DeliveryId(id), self.now)?;
        }
        unit.execute("DELETE FROM payload WHERE seq = ?1", [seq])?;
        failpoint::reach("erase.payload-deleted");
        unit.execute("DELETE FROM item WHERE seq = ?1", [seq])?;
        unit.execute(BLANK_PATH, [seq])?;
        // A destination may have answered with what it was sent.
        unit.execute(BLANK_ATTEMPTS, [seq])?;
        unit.execute(BLANK_REJECTIONS, (seq, &*self.event.event_id))?;
        failpoint::reach("erase.blanked");
        numbers(unit.conn, CALLED_OFF, seq)?.into_iter().map(|destination| unit.name(destination)).collect()
    }
}

/// Whether nothing that was erased is in the log any more. A transaction of its own, behind the one that erased.
pub(super) struct IsLogClean;

impl Operation for IsLogClean {
    type Output = bool;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<bool, Fault> {
        Ok(unit.is_log_clean())
    }
}

/// The number of an event, its ID compared.
fn find(conn: &Connection, event: &EventKey) -> rusqlite::Result<Option<i64>> {
    let Some(seq) = keys::find(conn, key(&event.source, &event.event_id))? else { return Ok(None) };
    let mut statement = conn.prepare_cached("SELECT seq FROM event WHERE seq = ?1 AND event_id = ?2")?;
    statement.query_row((seq, &*event.event_id), |row| row.get(0)).optional()
}

fn numbers(conn: &Connection, sql: &str, seq: i64) -> rusqlite::Result<Vec<i64>> {
    conn.prepare_cached(sql)?.query_map([seq], |row| row.get(0))?.collect()
}

const UNFINISHED: &str = "SELECT id FROM delivery WHERE event_seq = ?1 AND state = 0 ORDER BY id";
const CALLED_OFF: &str = "SELECT DISTINCT destination FROM delivery WHERE event_seq = ?1 AND state = 3";
const BLANK_ATTEMPTS: &str =
    "UPDATE attempt SET response = NULL WHERE delivery IN (SELECT id FROM delivery WHERE event_seq = ?1) AND response IS NOT NULL";
/// The refused requests that this event was, before it was let in.
const BLANK_REJECTIONS: &str = "
    UPDATE rejection SET subpath = '', query = '', headers = x'', body = x'', size = 0, sealed = NULL
    WHERE id IN (SELECT rejection FROM reverified WHERE event_id = ?2) AND source = (SELECT source FROM event WHERE seq = ?1)";
