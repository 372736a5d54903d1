//! Whether the database can be written: a commit of its own that changes a number.

use super::fault::Fault;
use super::unit::{Operation, Unit};

/// Commits something, however little.
pub(super) struct Probe;

impl Operation for Probe {
    type Output = ();

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        unit.execute("UPDATE counter SET probe = probe + 1 WHERE id = 1", ())?;
        Ok(())
    }
}
