//! Handing out deliveries: claims and hand-backs. A claim moves the due time to the lease's end, so that one index tells
//! what is due, whether it was never begun, waits for a retry, or was lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{OptionalExtension as _, Row};

use super::fault::Fault;
use super::names::Role;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{ClaimedDelivery, DeliveryId, EventKey, Headers, Lease, StoredEvent, Timestamp};
use crate::store::Claim;

/// A claim hands out no more once it holds this many bytes of bodies.
const CLAIM_BYTES: usize = 16 << 20;

/// Claims what is due.
pub(super) struct ClaimDue {
    /// Of this destination.
    pub(super) destination: Arc<str>,
    /// At most so many.
    pub(super) limit: usize,
    /// Due at this time.
    pub(super) now: Timestamp,
    /// For so long.
    pub(super) lease: Duration,
}

/// A delivery that is due.
struct Due {
    id: i64,
    attempts: u32,
    failures: u32,
    replay: bool,
    event_seq: i64,
}

impl Operation for ClaimDue {
    type Output = Claim;
    const PRIORITY: Priority = Priority::Onward;
    const ONLY_IF_AWAITED: bool = true;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Claim, Fault> {
        let Some(destination) = unit.find(Role::Destination, &self.destination)? else { return Ok(Claim::default()) };
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        for due in self.due(unit, destination)? {
            match load(unit, due.event_seq)? {
                Ok(event) => {
                    bytes += event.body.len();
                    deliveries.push(self.take(unit, &due, event)?);
                }
                Err(reason) => {
                    unit.execute(BURY, (due.id, self.now.as_millis(), reason))?;
                }
            }
            if bytes >= CLAIM_BYTES {
                break;
            }
        }
        Ok(Claim { deliveries, next_due: self.next_due(unit, destination)? })
    }
}

impl ClaimDue {
    fn due(&self, unit: &Unit<'_>, destination: i64) -> Result<Vec<Due>, Fault> {
        let mut statement = unit.conn.prepare_cached(DUE)?;
        let limit = i64::try_from(self.limit).unwrap_or(i64::MAX);
        let rows = statement.query_map((destination, self.now.as_millis(), limit), |row| {
            Ok(Due { id: row.get(0)?, attempts: row.get(1)?, failures: row.get(2)?, replay: row.get(3)?, event_seq: row.get(4)? })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn take(&self, unit: &Unit<'_>, due: &Due, event: StoredEvent) -> Result<ClaimedDelivery, Fault> {
        let attempt = due.attempts.saturating_add(1);
        unit.execute(TAKE, (due.id, attempt, unit.owner, self.now.plus(self.lease).as_millis()))?;
        Ok(ClaimedDelivery {
            lease: Lease { delivery: DeliveryId(due.id), attempt },
            destination: Arc::clone(&self.destination),
            failures: due.failures,
            replay: due.replay,
            event: Arc::new(event),
        })
    }

    fn next_due(&self, unit: &Unit<'_>, destination: i64) -> Result<Option<Timestamp>, Fault> {
        let mut statement = unit.conn.prepare_cached(NEXT_DUE)?;
        let next = statement.query_row((destination, self.now.as_millis()), |row| row.get(0)).optional()?;
        Ok(next.map(Timestamp::from_millis))
    }
}

pub(super) const DUE: &str = "
    SELECT id, attempts, failures, replay, event_seq FROM delivery
    WHERE state = 0 AND destination = ?1 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?3";
const TAKE: &str = "UPDATE delivery SET attempts = ?2, owner = ?3, due_at = ?4 WHERE id = ?1";
/// A live lease does not wait: its due time is its end.
pub(super) const NEXT_DUE: &str = "
    SELECT due_at FROM delivery
    WHERE state = 0 AND destination = ?1 AND (owner IS NULL OR due_at <= ?2) ORDER BY due_at LIMIT 1";
/// For what can never be delivered: claimed again and again, it would hold up the rest.
const BURY: &str = "UPDATE delivery SET state = 2, owner = NULL, finished_at = ?2, last_error = ?3 WHERE id = ?1";

/// The event with its payload, or the reason why it cannot be delivered.
fn load(unit: &mut Unit<'_>, seq: i64) -> Result<Result<StoredEvent, &'static str>, Fault> {
    let mut statement = unit.conn.prepare_cached(LOAD)?;
    let Some(raw) = statement.query_row([seq], RawEvent::read).optional()? else {
        return Ok(Err("the event's payload is no longer stored"));
    };
    let Ok(headers) = Headers::from_encoded(raw.headers) else {
        return Ok(Err("the event's stored headers cannot be read"));
    };
    Ok(Ok(StoredEvent {
        key: EventKey { source: unit.name(raw.source)?, event_id: raw.event_id },
        provider: unit.name(raw.provider)?,
        event_type: unit.name(raw.event_type)?.as_ref().to_owned(),
        method: raw.method,
        subpath: raw.subpath,
        query: raw.query,
        headers,
        body: raw.body,
        received_at: raw.received_at,
    }))
}

/// An event with its names still numbers.
struct RawEvent {
    source: i64,
    event_id: Arc<str>,
    provider: i64,
    event_type: i64,
    method: String,
    subpath: String,
    query: String,
    received_at: Timestamp,
    headers: Vec<u8>,
    body: Bytes,
}

impl RawEvent {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            source: row.get(0)?,
            event_id: row.get(1)?,
            provider: row.get(2)?,
            event_type: row.get(3)?,
            method: row.get(4)?,
            subpath: row.get(5)?,
            query: row.get(6)?,
            received_at: Timestamp::from_millis(row.get(7)?),
            headers: row.get(8)?,
            body: row.get::<_, Vec<u8>>(9)?.into(),
        })
    }
}

const LOAD: &str = "
    SELECT e.source, e.event_id, e.provider, e.type, e.method, e.subpath, e.query, e.received_at, p.headers, p.body
    FROM event e JOIN payload p ON p.seq = e.seq WHERE e.seq = ?1";

/// Hands deliveries back.
pub(super) struct Release {
    /// Under these leases.
    pub(super) leases: Vec<Lease>,
    /// Due again at this time.
    pub(super) due: Timestamp,
}

impl Operation for Release {
    type Output = ();
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        for Lease { delivery, attempt } in &self.leases {
            unit.execute(RELEASE, (delivery.0, unit.owner, attempt, self.due.as_millis()))?;
        }
        Ok(())
    }
}

const RELEASE: &str = "
    UPDATE delivery SET owner = NULL, due_at = ?4 WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
