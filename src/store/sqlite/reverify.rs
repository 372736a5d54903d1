//! Refused requests that are verified again: handed out with what is kept of them, and let in or refused once more.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row};

use super::conditions::unknown;
use super::fault::Fault;
use super::names::{self, Role};
use super::queue::Priority;
use super::record::Record;
use super::unit::{Operation, Unit};
use crate::domain::{Code, Headers, RawRequest, RefusedRequest, Rejection, SealKey, SealedCredentials, Timestamp};
use crate::store::Recorded;

/// The key under which credentials are sealed: the one that is kept, or this one from now on.
pub(super) struct TakeSealKey(pub(super) [u8; 32]);

impl Operation for TakeSealKey {
    type Output = SealKey;
    const PRIORITY: Priority = Priority::Spare;

    fn run(&self, unit: &mut Unit<'_>) -> Result<SealKey, Fault> {
        unit.execute("INSERT INTO seal (id, key) VALUES (1, ?1) ON CONFLICT DO NOTHING", [self.0])?;
        let key = unit.conn.prepare_cached("SELECT key FROM seal WHERE id = 1")?.query_row((), |row| row.get(0))?;
        Ok(SealKey::new(key))
    }
}

/// Records what a refused request has turned out to be, and notes it there: both or neither, and once.
pub(super) struct Readmit {
    /// The rejection.
    pub(super) id: i64,
    /// Its event.
    pub(super) record: Record,
}

impl Operation for Readmit {
    /// Nothing when the rejection has been accepted before.
    type Output = Option<Recorded>;

    fn bytes(&self) -> usize {
        self.record.bytes()
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<Option<Recorded>, Fault> {
        // One that is gone from the log meanwhile is let in all the same.
        if unit.conn.prepare_cached(ACCEPTED)?.exists([self.id])? {
            return Ok(None);
        }
        let (recorded, _) = self.record.run(unit)?;
        let event_id = match &recorded {
            Recorded::Dropped { earlier } => earlier,
            _ => self.record.event_id(),
        };
        unit.execute(ACCEPT, (self.id, event_id))?;
        Ok(Some(recorded))
    }
}

const ACCEPTED: &str = "SELECT 1 FROM reverified WHERE rejection = ?1 AND event_id IS NOT NULL";
const ACCEPT: &str = "
    INSERT INTO reverified (rejection, event_id) SELECT id, ?2 FROM rejection WHERE id = ?1
    ON CONFLICT DO UPDATE SET event_id = excluded.event_id";

/// Notes why a request is still refused.
pub(super) struct RefuseAgain {
    /// The rejection.
    pub(super) id: i64,
    /// Why.
    pub(super) rejection: Rejection,
}

impl Operation for RefuseAgain {
    type Output = ();

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        unit.execute(REFUSE_AGAIN, (self.id, self.rejection.code.as_str(), &self.rejection.diagnosis))?;
        Ok(())
    }
}

const REFUSE_AGAIN: &str = "
    INSERT INTO reverified (rejection, code, diagnosis) SELECT id, ?2, ?3 FROM rejection WHERE id = ?1
    ON CONFLICT DO UPDATE SET code = excluded.code, diagnosis = excluded.diagnosis WHERE event_id IS NULL";

/// A refused request with everything that is kept of it.
pub(super) fn one(conn: &Connection, id: i64) -> rusqlite::Result<Option<RefusedRequest>> {
    conn.prepare_cached(SELECT)?.query_row([id], request).optional()
}

const SELECT: &str = "
    SELECT (SELECT name FROM name WHERE id = r.source), r.received_at, r.method, r.subpath, r.query, r.headers, r.body,
           r.sealed, coalesce((SELECT code FROM reverified WHERE rejection = r.id), r.code), EXISTS (SELECT 1 FROM reverified v WHERE v.rejection = r.id AND v.event_id IS NOT NULL)
    FROM rejection r WHERE r.id = ?1";

fn request(row: &Row<'_>) -> rusqlite::Result<RefusedRequest> {
    let (source, subpath): (Arc<str>, String) = (row.get(0)?, row.get(3)?);
    let sealed = row.get::<_, Option<String>>(7)?.map(|text| serde_json::from_str(&text));
    let sealed: Option<SealedCredentials> = sealed.transpose().map_err(|_| unknown(7, "a form of credentials"))?;
    let request = RawRequest {
        method: row.get(2)?,
        path: format!("/hooks/{source}{subpath}"),
        subpath,
        query: row.get(4)?,
        headers: Headers::from_encoded(row.get::<_, Vec<u8>>(5)?).map_err(|_| unknown(5, "an encoding of headers"))?,
        body: row.get::<_, Vec<u8>>(6)?.into(),
        received_at: Timestamp::from_millis(row.get(1)?),
    };
    let code = Code::from_name(&row.get::<_, String>(8)?).ok_or_else(|| unknown(8, "a refusal's code"))?;
    Ok(RefusedRequest { source, request, sealed: sealed.unwrap_or_default(), code, accepted: row.get(9)? })
}

/// The rejections that are still refused, oldest first.
pub(super) fn refused(conn: &Connection, source: Option<&str>) -> rusqlite::Result<Vec<i64>> {
    let Some(source) = source else { return conn.prepare_cached(REFUSED)?.query_map((), |row| row.get(0))?.collect() };
    let Some(source) = names::find(conn, Role::Source, source)? else { return Ok(Vec::new()) };
    conn.prepare_cached(REFUSED_OF)?.query_map([source], |row| row.get(0))?.collect()
}

/// Both read an index alone, never a body.
pub(super) const REFUSED: &str = "
    SELECT r.id FROM rejection r INDEXED BY rejection_source
    WHERE NOT EXISTS (SELECT 1 FROM reverified v WHERE v.rejection = r.id AND v.event_id IS NOT NULL) ORDER BY r.id";
pub(super) const REFUSED_OF: &str = "
    SELECT r.id FROM rejection r WHERE r.source = ?1
    AND NOT EXISTS (SELECT 1 FROM reverified v WHERE v.rejection = r.id AND v.event_id IS NOT NULL) ORDER BY r.id";
