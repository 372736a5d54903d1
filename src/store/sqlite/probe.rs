//! Whether the database can be written and has room to grow: tried, not guessed.

use super::fault::Fault;
use super::unit::{Operation, Unit};

/// Writes a few pages and takes them back, in one transaction.
pub(super) struct Probe;

impl Operation for Probe {
    type Output = ();

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        unit.execute("UPDATE counter SET probe = probe + 1 WHERE id = 1", ())?;
        // Several probes may share a transaction.
        unit.execute("INSERT OR REPLACE INTO probe (id, padding) VALUES (1, zeroblob(32768))", ())?;
        unit.execute("DELETE FROM probe", ())?;
        Ok(())
    }
}
