//! What an operator asks for: another try, an end, a pause.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use super::fault::Fault;
use super::lines;
use super::names::{self, Role};
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{DeliveryId, DeliveryStatus, Timestamp};
use crate::failpoint;
use crate::store::Change;

/// A delivery as an operator finds it.
struct Found {
    destination: i64,
    state: i64,
    leased: bool,
    waits_in_line: bool,
    /// Whether it has a place in a line.
    stands: bool,
}

fn find(unit: &Unit<'_>, id: DeliveryId) -> Result<Option<Found>, Fault> {
    let mut statement = unit.conn.prepare_cached(FIND)?;
    let found = statement.query_row((id.0, lines::NEVER), |row| {
        Ok(Found { destination: row.get(0)?, state: row.get(1)?, leased: row.get(2)?, waits_in_line: row.get(3)?, stands: row.get(4)? })
    });
    Ok(found.optional()?)
}

const FIND: &str = "
    SELECT destination, state, owner IS NOT NULL, state = 0 AND due_at = ?2, standing FROM delivery WHERE id = ?1";

/// Makes a delivery due again.
pub(super) struct Retry {
    /// Which.
    pub(super) id: DeliveryId,
    /// When it is due.
    pub(super) now: Timestamp,
}

impl Operation for Retry {
    type Output = Change;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Change, Fault> {
        retry(unit, self.id, self.now)
    }
}

/// As [`Retry`], inside another operation.
pub(super) fn retry(unit: &mut Unit<'_>, id: DeliveryId, now: Timestamp) -> Result<Change, Fault> {
    let Some(found) = find(unit, id)? else { return Ok(Change::Unknown) };
    let destination = unit.name(found.destination)?;
    match found.state {
        // Under way, or behind another in its line: there is nothing to hasten.
        0 if found.leased || found.waits_in_line => Ok(Change::Done { destination }),
        0 => {
            unit.execute("UPDATE delivery SET due_at = ?2 WHERE id = ?1", (id.0, now.as_millis()))?;
            Ok(Change::Done { destination })
        }
        1 => Ok(Change::Conflict(DeliveryStatus::Delivered)),
        _ => {
            if !unit.conn.prepare_cached(HAS_PAYLOAD)?.exists([id.0])? {
                return Ok(Change::Gone);
            }
            let due = lines::rejoin(unit, id, now.as_millis())?;
            unit.execute(REVIVE, (id.0, due))?;
            failpoint::reach("control.retried");
            Ok(Change::Done { destination })
        }
    }
}

const HAS_PAYLOAD: &str = "SELECT 1 FROM payload WHERE seq = (SELECT event_seq FROM delivery WHERE id = ?1)";
/// The schedule begins anew; the attempts go on being numbered.
const REVIVE: &str = "UPDATE delivery SET state = 0, owner = NULL, failures = 0, finished_at = NULL, due_at = ?2 WHERE id = ?1";

/// Calls a delivery off.
pub(super) struct Cancel {
    /// Which.
    pub(super) id: DeliveryId,
    /// When.
    pub(super) now: Timestamp,
}

impl Operation for Cancel {
    type Output = Change;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Change, Fault> {
        cancel(unit, self.id, self.now)
    }
}

/// As [`Cancel`], inside another operation.
pub(super) fn cancel(unit: &mut Unit<'_>, id: DeliveryId, now: Timestamp) -> Result<Change, Fault> {
    let Some(found) = find(unit, id)? else { return Ok(Change::Unknown) };
    match found.state {
        1 => return Ok(Change::Conflict(DeliveryStatus::Delivered)),
        3 => {}
        _ => {
            unit.execute(CANCEL, (id.0, now.as_millis()))?;
            failpoint::reach("control.cancelled");
            // Behind one that waited nobody steps forward: the first place is taken, and not always by the oldest.
            if found.stands && !found.waits_in_line {
                lines::step_forward(unit, id.0, now)?;
            }
        }
    }
    Ok(Change::Done { destination: unit.name(found.destination)? })
}

const CANCEL: &str = "UPDATE delivery SET state = 3, owner = NULL, standing = 0, finished_at = ?2 WHERE id = ?1";

/// Holds a destination, or releases it.
pub(super) struct Pause {
    /// Its name.
    pub(super) destination: Arc<str>,
    /// Whether nothing is to go there.
    pub(super) paused: bool,
}

impl Operation for Pause {
    type Output = ();
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let destination = unit.intern(Role::Destination, &self.destination)?;
        let sql = match self.paused {
            true => "INSERT INTO paused (destination) VALUES (?1) ON CONFLICT DO NOTHING",
            false => "DELETE FROM paused WHERE destination = ?1",
        };
        unit.execute(sql, [destination])?;
        failpoint::reach("control.paused");
        Ok(())
    }
}

/// Whether nothing goes to a destination.
pub(super) fn is_paused(unit: &Unit<'_>, destination: i64) -> Result<bool, Fault> {
    Ok(unit.conn.prepare_cached("SELECT 1 FROM paused WHERE destination = ?1")?.exists([destination])?)
}

/// The destinations that are held.
pub(super) fn paused(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let names = names::all(conn, Role::Destination)?;
    let mut statement = conn.prepare_cached("SELECT 1 FROM paused WHERE destination = ?1")?;
    let mut paused = Vec::new();
    for (id, name) in names {
        if statement.exists([id])? {
            paused.push(name);
        }
    }
    Ok(paused)
}
