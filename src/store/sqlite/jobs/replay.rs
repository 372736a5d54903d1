//! Delivering a recorded event again.

use rusqlite::{Connection, OptionalExtension as _};

use super::super::fault::Fault;
use super::super::new_delivery::NewDelivery;
use super::super::unit::{Operation, Unit};
use super::super::{deliveries, keyed, names, stored};
use crate::domain::{DeliveryId, Due, StoredEvent, Timestamp};
use crate::store::{DeliveryRow, KeyClaim};

/// An event as a destination gets it; `None` when it is not there whole, or cannot be read. What cannot be read is this event's
/// trouble alone: whoever goes through many goes on with the next.
pub(in super::super) fn recorded(conn: &Connection, event: i64) -> rusqlite::Result<Option<StoredEvent>> {
    match stored::event(conn, event, |id| names::of(conn, id)) {
        Ok(found) => Ok(found.and_then(Result::ok)),
        Err(error) if Fault::of(&error).may_be_one() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes new deliveries for a recorded event.
pub(in super::super) struct Replay {
    /// The event's number.
    pub(in super::super) event: i64,
    /// Where to.
    pub(in super::super) deliveries: Vec<Due>,
    /// When.
    pub(in super::super) now: Timestamp,
    /// Asked for under this.
    pub(in super::super) claim: Option<KeyClaim>,
}

impl Operation for Replay {
    /// These; nothing when the payload is not stored.
    type Output = Option<Vec<DeliveryRow>>;
    /// What nobody waits for any more may be asked for again.
    const ONLY_IF_AWAITED: bool = true;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault> {
        let Some(made) = replay(unit, self.event, &self.deliveries, self.now)? else { return Ok(None) };
        keyed::mark(unit, self.claim)?;
        let rows = made.into_iter().filter_map(|id| deliveries::one(unit.conn, id).transpose());
        Ok(Some(rows.collect::<rusqlite::Result<_>>()?))
    }
}

/// As [`Replay`], inside another operation.
pub(super) fn replay(unit: &mut Unit<'_>, event: i64, deliveries: &[Due], now: Timestamp) -> Result<Option<Vec<DeliveryId>>, Fault> {
    let source = unit.conn.prepare_cached(SOURCE)?.query_row([event], |row| row.get(0)).optional()?;
    let Some(source) = source else { return Ok(None) };
    let new = NewDelivery { event, source, created_at: now, replay: true };
    deliveries.iter().map(|due| Ok(new.insert(unit, due)?.0)).collect::<Result<_, _>>().map(Some)
}

/// Only with its payload; what is pruned meanwhile cannot be delivered.
pub(in super::super) const SOURCE: &str = "
    SELECT source FROM event WHERE seq = ?1 AND EXISTS (SELECT 1 FROM payload WHERE seq = ?1)";
