//! The rejection log: written within bounds, and read.

use rusqlite::{Connection, Row};

use super::conditions::Conditions;
use super::fault::Fault;
use super::names::{self, Role};
use super::queue::Priority;
use super::unit::{Operation, RejectionBounds, Unit};
use crate::domain::{Code, NewRejection, Timestamp};
use crate::store::{Page, RejectionFilter, RejectionRow};

/// Adds a refused request to the log.
pub(super) struct Refuse(pub(super) NewRejection);

impl Operation for Refuse {
    /// The number in the log.
    type Output = i64;
    const PRIORITY: Priority = Priority::Spare;

    fn bytes(&self) -> usize {
        let NewRejection { rejection, headers, body, subpath, query, .. } = &self.0;
        headers.encoded().len() + body.len() + subpath.len() + query.len() + rejection.diagnosis.len()
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<i64, Fault> {
        let NewRejection { source, rejection, method, subpath, query, headers, body, received_at } = &self.0;
        let source = unit.intern(Role::Source, source)?;
        let row = (
            source,
            received_at.as_millis(),
            rejection.code.as_str(),
            &rejection.diagnosis,
            method,
            subpath,
            query,
            headers.encoded(),
            &body[..],
            self.bytes() as i64,
        );
        unit.execute(INSERT, row)?;
        let id = unit.conn.last_insert_rowid();
        unit.cut_rejections(source);
        Ok(id)
    }
}

const INSERT: &str = "
    INSERT INTO rejection (source, received_at, code, diagnosis, method, subpath, query, headers, body, size)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

/// Deletes the oldest rejections of a source beyond its bounds. Counts by the index, so that several processes on one
/// file agree.
pub(super) fn cut(conn: &Connection, source: i64, bounds: RejectionBounds) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("SELECT id, size FROM rejection WHERE source = ?1 ORDER BY id DESC")?;
    let mut rows = statement.query([source])?;
    let (mut count, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        count += 1;
        bytes += super::conditions::count(row, 1)?;
        if count > bounds.count || bytes > bounds.bytes as u64 {
            let newest_to_go: i64 = row.get(0)?;
            conn.prepare_cached("DELETE FROM rejection WHERE source = ?1 AND id <= ?2")?.execute((source, newest_to_go))?;
            break;
        }
    }
    Ok(())
}

/// The log by filter.
pub(super) fn list(conn: &Connection, filter: &RejectionFilter, page: Page) -> rusqlite::Result<Vec<RejectionRow>> {
    let mut conditions = Conditions::default();
    if let Some(source) = &filter.source {
        let Some(source) = names::find(conn, Role::Source, source)? else { return Ok(Vec::new()) };
        conditions.and("r.source = ?", source);
    }
    if let Some(code) = filter.code {
        conditions.and("r.code = ?", code.as_str().to_owned());
    }
    if let Some(since) = filter.since {
        conditions.and("r.received_at >= ?", since.as_millis());
    }
    if let Some(until) = filter.until {
        conditions.and("r.received_at < ?", until.as_millis());
    }
    conditions.list(conn, SELECT, "r.id", page, row)
}

const SELECT: &str = "
    SELECT r.id, (SELECT name FROM name WHERE id = r.source), r.received_at, r.code, r.diagnosis FROM rejection r";

fn row(row: &Row<'_>) -> rusqlite::Result<RejectionRow> {
    let code: String = row.get(3)?;
    Ok(RejectionRow {
        id: row.get(0)?,
        source: row.get(1)?,
        received_at: Timestamp::from_millis(row.get(2)?),
        code: Code::from_name(&code).ok_or_else(|| super::conditions::unknown(3, "a refusal's code"))?,
        diagnosis: row.get(4)?,
    })
}
