//! The audit trail: written before what it tells of, and again behind it.

use rusqlite::{Connection, Row};

use super::conditions::Conditions;
use super::fault::Fault;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::Timestamp;
use crate::failpoint;
use crate::store::{Asked, AuditFilter, AuditRow, Page};

/// Notes that something is asked for.
pub(super) struct Ask(pub(super) Asked);

impl Operation for Ask {
    /// Its ID.
    type Output = i64;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<i64, Fault> {
        let Asked { at, actor, client, method, path } = &self.0;
        unit.execute(INSERT, (at.as_millis(), actor, client, method, path))?;
        failpoint::reach("audit.asked");
        Ok(unit.conn.last_insert_rowid())
    }
}

/// Notes what became of it.
pub(super) struct Answer {
    /// Which.
    pub(super) id: i64,
    /// The status of the answer.
    pub(super) status: u16,
}

impl Operation for Answer {
    type Output = ();
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        unit.execute("UPDATE audit SET status = ?2 WHERE id = ?1", (self.id, self.status))?;
        failpoint::reach("audit.answered");
        Ok(())
    }
}

/// Forgets the oldest rows.
pub(super) struct Forget {
    /// Those from before then.
    pub(super) before: Timestamp,
    /// At most so many.
    pub(super) chunk: usize,
}

impl Operation for Forget {
    /// How many there were.
    type Output = usize;

    fn run(&self, unit: &mut Unit<'_>) -> Result<usize, Fault> {
        unit.execute(FORGET, (self.before.as_millis(), i64::try_from(self.chunk).unwrap_or(i64::MAX)))
    }
}

/// A page of the trail.
pub(super) fn trail(conn: &Connection, filter: &AuditFilter, page: Page) -> rusqlite::Result<Vec<AuditRow>> {
    conditions(filter).list(conn, SELECT, "id", page, row)
}

pub(super) fn conditions(filter: &AuditFilter) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(actor) = &filter.actor {
        conditions.and("actor = ?", actor.clone());
    }
    if let Some(since) = filter.since {
        conditions.and("at >= ?", since.as_millis());
    }
    if let Some(until) = filter.until {
        conditions.and("at < ?", until.as_millis());
    }
    conditions
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let asked =
        Asked { at: Timestamp::from_millis(row.get(1)?), actor: row.get(2)?, client: row.get(3)?, method: row.get(4)?, path: row.get(5)? };
    Ok(AuditRow { id: row.get(0)?, asked, status: row.get(6)? })
}

const INSERT: &str = "INSERT INTO audit (at, actor, client, method, path) VALUES (?1, ?2, ?3, ?4, ?5)";
pub(super) const SELECT: &str = "SELECT id, at, actor, client, method, path, status FROM audit";
/// Up to the first that is younger, because times ascend with IDs as long as the clock does not step.
const FORGET: &str = "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?2) AND at < ?1";
