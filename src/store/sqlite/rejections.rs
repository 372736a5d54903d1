//! The rejection log: written within bounds, and read.

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::conditions::{Conditions, count, unknown};
use super::fault::Fault;
use super::names::{self, Role};
use super::queue::Priority;
use super::tally::Brought;
use super::unit::{Operation, RejectionBounds, Unit};
use crate::domain::{Code, Headers, NewRejection, RejectionStatus, Timestamp};
use crate::failpoint;
use crate::store::{KeptRequest, Page, RejectionFilter, RejectionRow, StoredBody};

/// Adds a refused request to the log.
pub(super) struct Refuse {
    rejection: NewRejection,
    /// Its static credentials as they are stored.
    sealed: Option<String>,
}

impl Refuse {
    /// To be added.
    pub(super) fn new(rejection: NewRejection) -> Self {
        // Names and hex, which can always be written.
        let sealed = (!rejection.sealed.0.is_empty()).then(|| serde_json::to_string(&rejection.sealed).unwrap_or_default());
        Self { rejection, sealed }
    }
}

impl Operation for Refuse {
    /// The number in the log.
    type Output = i64;
    const PRIORITY: Priority = Priority::Spare;

    fn bytes(&self) -> usize {
        let NewRejection { rejection, headers, body, subpath, query, .. } = &self.rejection;
        let sealed = self.sealed.as_ref().map_or(0, String::len);
        headers.encoded().len() + body.len() + subpath.len() + query.len() + rejection.diagnosis.len() + sealed
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<i64, Fault> {
        let NewRejection { source, rejection, method, subpath, query, headers, body, received_at, .. } = &self.rejection;
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
            &self.sealed,
            self.bytes() as i64,
        );
        unit.execute(INSERT, row)?;
        failpoint::reach("refuse.inserted");
        let id = unit.conn.last_insert_rowid();
        unit.tally(source, *received_at, Brought { rejections: 1, ..Brought::default() });
        unit.cut_rejections(source);
        Ok(id)
    }
}

const INSERT: &str = "
    INSERT INTO rejection (source, received_at, code, diagnosis, method, subpath, query, headers, body, sealed, size)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// Deletes the oldest rejections of a source beyond its bounds. Counts by the index, so that several processes on one
/// file agree.
pub(super) fn cut(conn: &Connection, source: i64, bounds: RejectionBounds) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached("SELECT id, size FROM rejection WHERE source = ?1 ORDER BY id DESC")?;
    let mut rows = statement.query([source])?;
    let (mut kept, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        kept += 1;
        bytes += count(row, 1)?;
        if kept > bounds.count || bytes > bounds.bytes as u64 {
            let newest_to_go: i64 = row.get(0)?;
            conn.prepare_cached(DELETE_VERDICTS)?.execute((source, newest_to_go))?;
            conn.prepare_cached("DELETE FROM rejection WHERE source = ?1 AND id <= ?2")?.execute((source, newest_to_go))?;
            break;
        }
    }
    Ok(())
}

const DELETE_VERDICTS: &str = "
    DELETE FROM reverified WHERE rejection IN (SELECT id FROM rejection WHERE source = ?1 AND id <= ?2)";

/// The log by filter.
pub(super) fn list(conn: &Connection, filter: &RejectionFilter, page: Page) -> rusqlite::Result<Vec<RejectionRow>> {
    let mut conditions = Conditions::default();
    if let Some(source) = &filter.source {
        let Some(source) = names::find(conn, Role::Source, source)? else { return Ok(Vec::new()) };
        conditions.and("r.source = ?", source);
    }
    if let Some(code) = filter.code {
        conditions.and("coalesce(v.code, r.code) = ?", code.as_str().to_owned());
    }
    if let Some(since) = filter.since {
        conditions.and("r.received_at >= ?", since.as_millis());
    }
    if let Some(until) = filter.until {
        conditions.and("r.received_at < ?", until.as_millis());
    }
    match filter.status {
        Some(RejectionStatus::Refused) => conditions.also("v.event_id IS NULL"),
        Some(RejectionStatus::Accepted) => conditions.also("v.event_id IS NOT NULL"),
        None => {}
    }
    conditions.list(conn, SELECT, "r.id", page, row)
}

const SELECT: &str = "
    SELECT r.id, (SELECT name FROM name WHERE id = r.source), r.received_at, coalesce(v.code, r.code),
           coalesce(v.diagnosis, r.diagnosis), v.event_id
    FROM rejection r LEFT JOIN reverified v ON v.rejection = r.id";

fn row(row: &Row<'_>) -> rusqlite::Result<RejectionRow> {
    let code: String = row.get(3)?;
    Ok(RejectionRow {
        id: row.get(0)?,
        source: row.get(1)?,
        received_at: Timestamp::from_millis(row.get(2)?),
        code: Code::from_name(&code).ok_or_else(|| unknown(3, "a refusal's code"))?,
        diagnosis: row.get(4)?,
        event_id: row.get(5)?,
        request: None,
    })
}

/// One rejection with what is kept of the request, its body aside.
pub(super) fn one(conn: &Connection, id: i64) -> rusqlite::Result<Option<RejectionRow>> {
    let found = conn.prepare_cached(&format!("{SELECT} WHERE r.id = ?1"))?.query_row([id], row).optional()?;
    let Some(mut found) = found else { return Ok(None) };
    found.request = conn.prepare_cached(SELECT_REQUEST)?.query_row([id], kept).optional()?;
    Ok(Some(found))
}

const SELECT_REQUEST: &str = "SELECT method, subpath, query, headers, length(body) FROM rejection WHERE id = ?1";

fn kept(row: &Row<'_>) -> rusqlite::Result<KeptRequest> {
    Ok(KeptRequest {
        method: row.get(0)?,
        subpath: row.get(1)?,
        query: row.get(2)?,
        headers: Headers::from_encoded(row.get::<_, Vec<u8>>(3)?).map_err(|_| unknown(3, "an encoding of headers"))?,
        size: count(row, 4)?,
    })
}

/// One rejection's body.
pub(super) fn body(conn: &Connection, id: i64) -> rusqlite::Result<Option<StoredBody>> {
    let read = |row: &Row<'_>| {
        let headers = Headers::from_encoded(row.get::<_, Vec<u8>>(0)?).map_err(|_| unknown(0, "an encoding of headers"))?;
        Ok(StoredBody { content_type: headers.text("content-type").map(str::to_owned), bytes: row.get::<_, Vec<u8>>(1)?.into() })
    };
    conn.prepare_cached("SELECT headers, body FROM rejection WHERE id = ?1")?.query_row([id], read).optional()
}
