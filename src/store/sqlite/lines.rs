//! Lines: deliveries of one destination that go one at a time and in the order in which they were created. Of those that
//! stand in a line, the first alone is due at a time; all others are due never. Whoever lets the first leave has the next
//! step forward in the same transaction, so that a claim need not look for the first.

use rusqlite::OptionalExtension as _;

use super::fault::Fault;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{DeliveryId, Line, OnDead, Timestamp};
use crate::failpoint;

/// When those are due that stand behind another.
pub(super) const NEVER: i64 = i64::MAX;

/// When a delivery that joins the line is due: then, or never if there is somebody before it.
pub(super) fn join(unit: &Unit<'_>, destination: i64, line: Line, due: i64) -> Result<i64, Fault> {
    let taken = unit.conn.prepare_cached(TAKEN)?.exists((destination, line.0))?;
    Ok(if taken { NEVER } else { due })
}

/// Has the next one step forward into the place of this one, which has left its line.
pub(super) fn step_forward(unit: &mut Unit<'_>, left: i64, now: Timestamp) -> Result<(), Fault> {
    unit.execute(STEP_FORWARD, (left, now.as_millis(), NEVER))?;
    failpoint::reach("lines.stepped-forward");
    Ok(())
}

/// Puts a delivery that had left its line back into it; returns when it is due.
pub(super) fn rejoin(unit: &mut Unit<'_>, id: DeliveryId, due: i64) -> Result<i64, Fault> {
    let mut statement = unit.conn.prepare_cached(PLACE)?;
    let place = statement.query_row([id.0], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, bool>(2)?)));
    match place.optional()? {
        Some((destination, Some(line), false)) => {
            let due = join(unit, destination, Line(line), due)?;
            unit.execute("UPDATE delivery SET standing = 1 WHERE id = ?1", [id.0])?;
            Ok(due)
        }
        _ => Ok(due),
    }
}

pub(super) const TAKEN: &str = "SELECT 1 FROM delivery WHERE standing = 1 AND destination = ?1 AND line = ?2 LIMIT 1";
const PLACE: &str = "SELECT destination, line, standing FROM delivery WHERE id = ?1";
/// A line that is held, or whose first is under way, stays as it is.
pub(super) const STEP_FORWARD: &str = "
    UPDATE delivery SET due_at = ?2
    WHERE id = (SELECT min(n.id) FROM delivery d CROSS JOIN delivery n ON n.destination = d.destination AND n.line = d.line
                WHERE d.id = ?1 AND n.standing = 1)
    AND state = 0 AND due_at = ?3";

/// Brings the lines of a destination into the form that its configuration asks for, a few at a time. The output tells
/// whether there is more to be done.
pub(super) struct Straighten {
    /// The destination's name.
    pub(super) destination: std::sync::Arc<str>,
    /// What becomes of those behind a dead one; `None` where there is no order any more.
    pub(super) order: Option<OnDead>,
    /// When those fall due that need not wait.
    pub(super) now: Timestamp,
}

/// How many deliveries are straightened in one transaction.
const STEP: i64 = 500;

impl Operation for Straighten {
    type Output = bool;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<bool, Fault> {
        let Some(destination) = unit.find(super::names::Role::Destination, &self.destination)? else { return Ok(false) };
        match self.order {
            None => self.dissolve(unit, destination),
            Some(OnDead::Skip) => self.let_dead_leave(unit, destination),
            Some(OnDead::Hold) => Ok(false),
        }
    }
}

impl Straighten {
    /// Whoever stands first has the next one step forward, as always: a line of which a part is left still goes on,
    /// should the order come back before the rest is done.
    fn dissolve(&self, unit: &mut Unit<'_>, destination: i64) -> Result<bool, Fault> {
        let standing = some(unit, STANDING, destination)?;
        for id in &standing {
            if unit.execute(LEAVE_FIRST_PLACE, (id, NEVER))? > 0 {
                step_forward(unit, *id, self.now)?;
            }
            unit.execute(DISSOLVE, (id, self.now.as_millis(), NEVER))?;
        }
        failpoint::reach("straighten.dissolved");
        Ok(!standing.is_empty())
    }

    fn let_dead_leave(&self, unit: &mut Unit<'_>, destination: i64) -> Result<bool, Fault> {
        let dead = some(unit, HOLDING, destination)?;
        for id in &dead {
            unit.execute("UPDATE delivery SET standing = 0 WHERE id = ?1", [id])?;
            step_forward(unit, *id, self.now)?;
        }
        failpoint::reach("straighten.dead-left");
        Ok(!dead.is_empty())
    }
}

/// Some of a destination's deliveries.
fn some(unit: &Unit<'_>, sql: &str, destination: i64) -> Result<Vec<i64>, Fault> {
    let mut statement = unit.conn.prepare_cached(sql)?;
    let rows = statement.query_map((destination, STEP), |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) const STANDING: &str = "SELECT id FROM delivery WHERE standing = 1 AND destination = ?1 LIMIT ?2";
const LEAVE_FIRST_PLACE: &str = "UPDATE delivery SET standing = 0 WHERE id = ?1 AND (state <> 0 OR due_at < ?2)";
const DISSOLVE: &str = "
    UPDATE delivery SET standing = 0, line = NULL, due_at = iif(state = 0 AND due_at = ?3, ?2, due_at) WHERE id = ?1";
pub(super) const HOLDING: &str = "SELECT id FROM delivery WHERE standing = 1 AND destination = ?1 AND state <> 0 LIMIT ?2";
