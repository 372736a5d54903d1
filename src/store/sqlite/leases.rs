//! Leases: prolonged while an attempt runs, and handed back when it is broken off.

use super::fault::Fault;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{Lease, Timestamp};
use crate::failpoint;

/// Prolongs leases. One that has run out is prolonged, too, unless somebody else has claimed the delivery since.
pub(super) struct Renew {
    /// Which.
    pub(super) leases: Vec<Lease>,
    /// Their new end.
    pub(super) until: Timestamp,
}

impl Operation for Renew {
    /// Those that are lost.
    type Output = Vec<Lease>;
    const PRIORITY: Priority = Priority::Onward;
    const ONLY_IF_AWAITED: bool = true;

    fn run(&self, unit: &mut Unit<'_>) -> Result<Vec<Lease>, Fault> {
        let mut lost = Vec::new();
        for lease in &self.leases {
            if !set_due(unit, RENEW, lease, self.until)? {
                lost.push(*lease);
            }
            failpoint::reach("renew.renewed");
        }
        Ok(lost)
    }
}

/// Hands deliveries back.
pub(super) struct Release {
    /// Under these leases.
    pub(super) leases: Vec<Lease>,
    /// Due again at this time.
    pub(super) due: Timestamp,
    /// Whether their attempts had begun.
    pub(super) begun: bool,
}

impl Operation for Release {
    type Output = ();
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        for lease in &self.leases {
            set_due(unit, if self.begun { RELEASE } else { TAKE_BACK }, lease, self.due)?;
            failpoint::reach("release.released");
        }
        Ok(())
    }
}

/// Whether the lease was the current one.
fn set_due(unit: &mut Unit<'_>, sql: &'static str, lease: &Lease, due: Timestamp) -> Result<bool, Fault> {
    Ok(unit.execute(sql, (lease.delivery.0, unit.owner.id(), lease.attempt, due.as_millis()))? == 1)
}

const RENEW: &str = "UPDATE delivery SET due_at = ?4 WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
const TAKE_BACK: &str = "
    UPDATE delivery SET owner = NULL, due_at = ?4, attempts = attempts - 1
    WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
const RELEASE: &str = "
    UPDATE delivery SET owner = NULL, due_at = ?4 WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
