//! Making deliveries: for an event that is being recorded, or again for one that has been.

use super::fault::Fault;
use super::names::Role;
use super::unit::Unit;
use super::{control, lines};
use crate::domain::{DeliveryId, Due, Lease, Timestamp};
use crate::failpoint;

/// What the new deliveries of an event have in common.
pub(super) struct NewDelivery {
    /// The event's number.
    pub(super) event: i64,
    /// Its source's number.
    pub(super) source: i64,
    /// When they are made, and due.
    pub(super) created_at: Timestamp,
    /// Whether an operator asks for them.
    pub(super) replay: bool,
}

impl NewDelivery {
    /// Makes one. Returns its ID, and its lease if it is leased at once.
    pub(super) fn insert(&self, unit: &mut Unit<'_>, due: &Due) -> Result<(DeliveryId, Option<Lease>), Fault> {
        let Self { event, source, replay, .. } = *self;
        let created_at = self.created_at.as_millis();
        let id = unit.take_delivery(created_at)?;
        let destination = unit.intern(Role::Destination, &due.destination)?;
        let due_at = due.line.map_or(Ok(created_at), |line| lines::join(unit, destination, line, created_at))?;
        let line = due.line.map(|line| line.0);
        if let Some(length) = due.lease
            && due_at == created_at
            && !control::is_paused(unit, destination)?
        {
            let (owner, until) = (unit.owner.id(), self.created_at.plus(length).as_millis());
            unit.execute(INSERT_LEASED, (id, event, source, destination, until, created_at, line, line.is_some(), owner, replay))?;
            failpoint::reach("record.delivery-leased");
            let lease = Lease { delivery: DeliveryId(id), attempt: 1, ordered: line.is_some() };
            return Ok((DeliveryId(id), Some(lease)));
        }
        unit.execute(INSERT, (id, event, source, destination, due_at, created_at, line, line.is_some(), replay))?;
        failpoint::reach("record.delivery-inserted");
        Ok((DeliveryId(id), None))
    }
}

const INSERT: &str = "
    INSERT INTO delivery (id, event_seq, source, destination, state, attempts, failures, due_at, created_at, line, standing, replay)
    VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5, ?6, ?7, ?8, ?9)";
const INSERT_LEASED: &str = "
    INSERT INTO delivery (id, event_seq, source, destination, state, attempts, failures, due_at, created_at, line, standing,
                          owner, replay)
    VALUES (?1, ?2, ?3, ?4, 0, 1, 0, ?5, ?6, ?7, ?8, ?9, ?10)";
