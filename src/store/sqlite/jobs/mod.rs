//! Jobs: their rows, and beginning and ending them. What they find and do is in files of their own.

mod kept;
mod matching;
mod replay;
mod step;

use rusqlite::{Connection, OptionalExtension as _, Row};

pub(super) use matching::{matching, newest};
pub(super) use replay::{Replay, recorded};
pub(super) use step::TakeStep;

use super::conditions::{Conditions, count, unknown};
use super::fault::Fault;
use super::keyed;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{JobStatus, Timestamp};
use crate::store::{ENDED_KEPT, JobRow, MOST_RUNNING, NewJob, Page};
use kept::Kept;

/// A page of jobs.
pub(super) fn list(conn: &Connection, page: Page) -> rusqlite::Result<Vec<JobRow>> {
    Conditions::default().list(conn, SELECT, "id", page, row)
}

/// Those that run, oldest first.
pub(super) fn running(conn: &Connection) -> rusqlite::Result<Vec<JobRow>> {
    let sql = format!("{SELECT} WHERE state = 0 ORDER BY id");
    conn.prepare_cached(&sql)?.query_map((), row)?.collect()
}

/// One job.
pub(super) fn one(conn: &Connection, id: i64) -> rusqlite::Result<Option<JobRow>> {
    let sql = format!("{SELECT} WHERE id = ?1");
    conn.prepare_cached(&sql)?.query_row([id], row).optional()
}

const SELECT: &str = "
    SELECT id, kind, filter, targets, state, rate, last, reached, due_at, total, done, failed, created_at, finished_at FROM job";

fn row(row: &Row<'_>) -> rusqlite::Result<JobRow> {
    let kept = Kept { kind: row.get(1)?, filter: row.get(2)?, targets: row.get(3)? };
    let status = match row.get(4)? {
        0 => JobStatus::Running,
        1 => JobStatus::Done,
        2 => JobStatus::Cancelled,
        _ => return Err(unknown(4, "a job's state")),
    };
    let time = |column| row.get(column).map(Timestamp::from_millis);
    Ok(JobRow {
        id: row.get(0)?,
        work: kept.read().ok_or_else(|| unknown(2, "a job's filter"))?,
        status,
        rate: row.get(5)?,
        last: row.get(6)?,
        reached: row.get(7)?,
        due_at: time(8)?,
        total: count(row, 9)?,
        done: count(row, 10)?,
        failed: count(row, 11)?,
        created_at: time(12)?,
        finished_at: row.get::<_, Option<i64>>(13)?.map(Timestamp::from_millis),
    })
}

/// Begins a job.
pub(super) struct Begin(pub(super) NewJob);

impl Operation for Begin {
    /// It; nothing when too many run.
    type Output = Option<JobRow>;
    const ONLY_IF_AWAITED: bool = true;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Option<JobRow>, Fault> {
        let NewJob { work, rate, last, total, created_at, claim } = &self.0;
        let running: i64 = unit.conn.prepare_cached(RUNNING)?.query_row((), |row| row.get(0))?;
        if running >= MOST_RUNNING as i64 {
            return Ok(None);
        }
        unit.execute(FORGET_ENDED, [ENDED_KEPT as i64])?;
        let kept = Kept::of(work);
        let total = i64::try_from(*total).unwrap_or(i64::MAX);
        // Without a row before its last one, there is nothing to do.
        let nothing = *last <= 0;
        let ended = nothing.then(|| created_at.as_millis());
        unit.execute(INSERT, (kept.kind, kept.filter, kept.targets, rate, last, total, created_at.as_millis(), nothing, ended))?;
        let id = unit.conn.last_insert_rowid();
        keyed::mark(unit, *claim)?;
        Ok(one(unit.conn, id)?)
    }
}

const RUNNING: &str = "SELECT count(*) FROM job WHERE state = 0";
const FORGET_ENDED: &str = "
    DELETE FROM job WHERE state <> 0 AND id < (SELECT id FROM job WHERE state <> 0 ORDER BY id DESC LIMIT 1 OFFSET ?1 - 1)";
const INSERT: &str = "
    INSERT INTO job (kind, filter, targets, rate, last, total, created_at, state, finished_at, reached, due_at, done, failed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 0, ?7, 0, 0)";

/// Calls a job off.
pub(super) struct CallOff {
    /// Which.
    pub(super) id: i64,
    /// When.
    pub(super) now: Timestamp,
}

impl Operation for CallOff {
    type Output = Option<JobRow>;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Option<JobRow>, Fault> {
        unit.execute(CALL_OFF, (self.id, self.now.as_millis()))?;
        Ok(one(unit.conn, self.id)?)
    }
}

const CALL_OFF: &str = "UPDATE job SET state = 2, finished_at = ?2 WHERE id = ?1 AND state = 0";

#[cfg(test)]
pub(super) mod plans {
    //! What plans are looked at of.
    pub(in super::super) use super::matching::{DELIVERIES, EVENTS, WINDOW, deliveries_within, events_within};
    pub(in super::super) use super::replay::SOURCE;
    pub(in super::super) use super::step::GO_ON;
}
