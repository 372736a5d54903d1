//! Handing out deliveries: claims and hand-backs. A claim moves the due time to the lease's end, so that one index tells
//! what is due, whether it was never begun, waits for a retry, or was lost.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row};

use super::fault::Fault;
use super::names::Role;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use super::{control, lines, stored};
use crate::domain::{Buried, ClaimedDelivery, DeliveryId, EventKey, Lease, StoredEvent, Timestamp};
use crate::failpoint;
use crate::store::{Claim, ClaimRequest};

/// A claim hands out no more once it holds this many bytes of bodies.
const CLAIM_BYTES: usize = 16 << 20;

/// How long a delivery waits whose event cannot be read: the damage may be mended.
const DAMAGED: Duration = Duration::from_secs(600);

/// Claims what is due.
pub(super) struct ClaimDue {
    request: ClaimRequest,
    /// Deliveries whose events turned out to be damaged, with the cause.
    damaged: RefCell<HashMap<i64, String>>,
}

/// An event that is to be delivered, or why it is not.
type Loaded = Result<StoredEvent, Undeliverable>;

enum Undeliverable {
    /// For good.
    Ever(&'static str),
    /// As long as the database is damaged.
    Now(String),
}

/// A delivery that is due.
struct Due {
    id: i64,
    attempts: u32,
    failures: u32,
    replay: bool,
    event_seq: i64,
    ordered: bool,
}

impl Operation for ClaimDue {
    type Output = Claim;
    const PRIORITY: Priority = Priority::Onward;
    const ONLY_IF_AWAITED: bool = true;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Claim, Fault> {
        let Some(destination) = unit.find(Role::Destination, &self.request.destination)? else { return Ok(Claim::default()) };
        if control::is_paused(unit, destination)? {
            return Ok(Claim { paused: true, ..Claim::default() });
        }
        let sources = sources(unit, destination)?;
        let (mut deliveries, mut buried) = (Vec::new(), Vec::new());
        for (due, loaded) in self.load(unit, destination, &sources)? {
            match loaded {
                Ok(event) => deliveries.push(self.take(unit, &due, event)?),
                Err(Undeliverable::Ever(reason)) => buried.push(self.bury(unit, &due, reason)?),
                Err(Undeliverable::Now(reason)) => {
                    unit.execute(PUT_OFF, (due.id, self.request.now.plus(DAMAGED).as_millis(), reason))?;
                }
            }
        }
        Ok(Claim { deliveries, next_due: self.next_due(unit, destination, &sources)?, paused: false, buried })
    }
}

/// The sources with anything unfinished for a destination, ascending: found by jumping from one to the next.
fn sources(unit: &Unit<'_>, destination: i64) -> Result<Vec<i64>, Fault> {
    let mut statement = unit.conn.prepare_cached(NEXT_SOURCE)?;
    let (mut sources, mut after) = (Vec::new(), i64::MIN);
    while let Some(source) = statement.query_row((destination, after), |row| row.get(0)).optional()? {
        sources.push(source);
        after = source;
    }
    Ok(sources)
}

impl ClaimDue {
    /// What is due of this destination.
    pub(super) fn new(request: ClaimRequest) -> Self {
        Self { request, damaged: RefCell::default() }
    }

    /// What is due with its events. All is read before anything is written, so that one run learns of all damage.
    fn load(&self, unit: &mut Unit<'_>, destination: i64, sources: &[i64]) -> Result<Vec<(Due, Loaded)>, Fault> {
        let (mut found, mut bytes, mut learned) = (Vec::new(), 0, None);
        for due in self.due(unit, destination, sources)? {
            let known = self.damaged.borrow().get(&due.id).cloned();
            let loaded = match known {
                Some(cause) => Err(Undeliverable::Now(format!("the stored event cannot be read: {cause}"))),
                None => match load(unit, due.event_seq) {
                    Err(Fault::Damage(cause)) => {
                        self.damaged.borrow_mut().insert(due.id, cause.clone());
                        learned = Some(cause);
                        continue;
                    }
                    loaded => loaded?,
                },
            };
            bytes += loaded.as_ref().map_or(0, |event| event.body.len());
            found.push((due, loaded));
            if bytes >= CLAIM_BYTES {
                break;
            }
        }
        learned.map_or(Ok(found), |cause| Err(Fault::Learned(cause)))
    }

    /// What is due: the oldest of each source in turn, beginning behind the source that had its turn last.
    fn due(&self, unit: &mut Unit<'_>, destination: i64, sources: &[i64]) -> Result<Vec<Due>, Fault> {
        let after = match &self.request.after {
            Some(source) => unit.find(Role::Source, source)?.unwrap_or(i64::MIN),
            None => i64::MIN,
        };
        let first = sources.partition_point(|source| *source <= after);
        let in_turn = sources[first..].iter().chain(&sources[..first]);
        let of_each = in_turn.map(|source| self.due_of(unit, destination, *source)).collect::<Result<Vec<_>, _>>()?;
        Ok(by_turns(of_each, self.request.limit))
    }

    fn due_of(&self, unit: &Unit<'_>, destination: i64, source: i64) -> Result<Vec<Due>, Fault> {
        let mut statement = unit.conn.prepare_cached(DUE)?;
        let limit = i64::try_from(self.request.limit).unwrap_or(i64::MAX);
        let rows = statement.query_map((destination, source, self.request.now.as_millis(), limit), |row| {
            Ok(Due {
                id: row.get(0)?,
                attempts: row.get(1)?,
                failures: row.get(2)?,
                replay: row.get(3)?,
                event_seq: row.get(4)?,
                ordered: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    fn take(&self, unit: &mut Unit<'_>, due: &Due, event: StoredEvent) -> Result<ClaimedDelivery, Fault> {
        let attempt = due.attempts.saturating_add(1);
        unit.execute(TAKE, (due.id, attempt, unit.owner.id(), self.request.now.plus(self.request.lease).as_millis()))?;
        failpoint::reach("claim.taken");
        Ok(ClaimedDelivery {
            lease: Lease { delivery: DeliveryId(due.id), attempt, ordered: due.ordered },
            destination: Arc::clone(&self.request.destination),
            failures: due.failures,
            replay: due.replay,
            event: Arc::new(event),
        })
    }

    /// Ends what can never be delivered: claimed again and again, it would hold up the rest.
    fn bury(&self, unit: &mut Unit<'_>, due: &Due, reason: &'static str) -> Result<Buried, Fault> {
        unit.execute(BURY, (due.id, self.request.now.as_millis(), reason))?;
        if due.ordered {
            lines::step_forward(unit, due.id, self.request.now)?;
        }
        let read = |row: &Row<'_>| Ok(EventKey { source: row.get(0)?, event_id: row.get(1)? });
        let event = unit.conn.prepare_cached(KEY)?.query_row([due.event_seq], read)?;
        Ok(Buried { delivery: DeliveryId(due.id), event, reason })
    }

    fn next_due(&self, unit: &Unit<'_>, destination: i64, sources: &[i64]) -> Result<Option<Timestamp>, Fault> {
        let mut statement = unit.conn.prepare_cached(NEXT_DUE)?;
        let mut next = None;
        for source in sources {
            let due: Option<i64> = statement.query_row((destination, source, self.request.now.as_millis()), |row| row.get(0)).optional()?;
            next = [next, due.filter(|due| *due < lines::NEVER)].into_iter().flatten().min();
        }
        Ok(next.map(Timestamp::from_millis))
    }
}

/// One of each in turn, until there are so many.
fn by_turns(of_each: Vec<Vec<Due>>, limit: usize) -> Vec<Due> {
    let mut waiting: Vec<_> = of_each.into_iter().map(Vec::into_iter).collect();
    let mut taken = Vec::new();
    while taken.len() < limit {
        let before = taken.len();
        let room = limit - before;
        taken.extend(waiting.iter_mut().filter_map(Iterator::next).take(room));
        if taken.len() == before {
            break;
        }
    }
    taken
}

pub(super) const NEXT_SOURCE: &str = "
    SELECT source FROM delivery WHERE state = 0 AND destination = ?1 AND source > ?2 ORDER BY source LIMIT 1";
pub(super) const DUE: &str = "
    SELECT id, attempts, failures, replay, event_seq, standing FROM delivery
    WHERE state = 0 AND destination = ?1 AND source = ?2 AND due_at <= ?3 ORDER BY due_at, id LIMIT ?4";
const TAKE: &str = "UPDATE delivery SET attempts = ?2, owner = ?3, due_at = ?4 WHERE id = ?1";
/// A live lease does not wait: its due time is its end.
pub(super) const NEXT_DUE: &str = "
    SELECT due_at FROM delivery
    WHERE state = 0 AND destination = ?1 AND source = ?2 AND (owner IS NULL OR due_at <= ?3) ORDER BY due_at LIMIT 1";
const KEY: &str = "SELECT (SELECT name FROM name WHERE id = event.source), event_id FROM event WHERE seq = ?1";
const BURY: &str = "UPDATE delivery SET state = 2, owner = NULL, standing = 0, finished_at = ?2, last_error = ?3 WHERE id = ?1";

const PUT_OFF: &str = "UPDATE delivery SET owner = NULL, due_at = ?2, last_error = ?3 WHERE id = ?1";

/// The event with its payload, or the reason why it cannot be delivered.
fn load(unit: &mut Unit<'_>, seq: i64) -> Result<Loaded, Fault> {
    Ok(match stored::event(unit.conn, seq, |name| unit.name(name))? {
        Some(Ok(event)) => Ok(event),
        Some(Err(stored::UnreadableHeaders)) => Err(Undeliverable::Ever("the event's stored headers cannot be read")),
        None => Err(Undeliverable::Ever("the event's payload is no longer stored")),
    })
}
