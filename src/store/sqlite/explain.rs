//! Explanations of refusals, which come after the refusals themselves.

use rusqlite::OptionalExtension as _;

use super::fault::Fault;
use super::queue::Priority;
use super::unit::{Operation, Unit};

/// Puts an explanation in the place of a rejection's diagnosis.
pub(super) struct Explain {
    /// The rejection.
    pub(super) id: i64,
    /// What is to be said of it.
    pub(super) diagnosis: String,
}

impl Operation for Explain {
    type Output = ();
    const PRIORITY: Priority = Priority::Spare;

    fn bytes(&self) -> usize {
        self.diagnosis.len()
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let source = unit.conn.prepare_cached(EXPLAIN)?.query_row((self.id, &self.diagnosis), |row| row.get(0)).optional()?;
        if let Some(source) = source {
            // It has grown, and counts as what it is now.
            unit.cut_rejections(source);
        }
        Ok(())
    }
}

const EXPLAIN: &str = "
    UPDATE rejection SET diagnosis = ?2, size = size + octet_length(?2) - octet_length(diagnosis)
    WHERE id = ?1 RETURNING source";
