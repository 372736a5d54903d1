//! The end of an attempt: into the history, and into the delivery if the lease still holds.

use super::fault::Fault;
use super::lines;
use super::queue::Priority;
use super::record::Record;
use super::unit::{Operation, Unit};
use crate::domain::{Attempt, FinishedAttempt, Lease, OnDead, Verdict};
use crate::failpoint;

/// Ends an attempt. The output tells whether its lease was the current one.
pub(super) struct Finish {
    /// The end.
    pub(super) attempt: FinishedAttempt,
    /// What is recorded with it, if it counts.
    pub(super) told: Option<Record>,
}

impl Operation for Finish {
    type Output = bool;
    const PRIORITY: Priority = Priority::Onward;

    fn bytes(&self) -> usize {
        self.attempt.attempt.response.as_ref().map_or(0, Vec::len)
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<bool, Fault> {
        let FinishedAttempt { lease, attempt, verdict, on_dead, now } = &self.attempt;
        if !judge(unit, lease, attempt, *verdict, *on_dead)? {
            return Ok(false);
        }
        failpoint::reach("finish.judged");
        if lease.ordered && leaves(*verdict, *on_dead) {
            lines::step_forward(unit, lease.delivery.0, *now)?;
        }
        let duration = i64::try_from(attempt.duration.as_millis()).unwrap_or(i64::MAX);
        let row =
            (lease.delivery.0, lease.attempt, attempt.at.as_millis(), duration, attempt.status_code, &attempt.error, &attempt.response);
        unit.execute(INSERT_ATTEMPT, row)?;
        failpoint::reach("finish.inserted");
        if let Some(told) = &self.told {
            // Said before, if this very end was committed before and nobody heard of it.
            let _ = told.run(unit)?;
        }
        Ok(true)
    }
}

/// Whether the delivery leaves its line, so that the next one steps forward.
fn leaves(verdict: Verdict, on_dead: OnDead) -> bool {
    match verdict {
        Verdict::Delivered => true,
        Verdict::RetryAt(_) => false,
        Verdict::Dead => on_dead == OnDead::Skip,
    }
}

/// Puts the verdict into the delivery; `false` if the lease is not the current one.
fn judge(unit: &mut Unit<'_>, lease: &Lease, attempt: &Attempt, verdict: Verdict, on_dead: OnDead) -> Result<bool, Fault> {
    let (id, owner, number) = (lease.delivery.0, unit.owner.id(), lease.attempt);
    let ended = attempt.at.plus(attempt.duration).as_millis();
    let changed = match verdict {
        Verdict::Delivered => unit.execute(DELIVERED, (id, owner, number, ended))?,
        Verdict::RetryAt(due) => unit.execute(RETRY, (id, owner, number, due.as_millis(), &attempt.error))?,
        Verdict::Dead => unit.execute(DEAD, (id, owner, number, ended, &attempt.error, on_dead == OnDead::Hold))?,
    };
    Ok(changed == 1)
}

const DELIVERED: &str = "
    UPDATE delivery SET state = 1, owner = NULL, standing = 0, finished_at = ?4
    WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
const RETRY: &str = "
    UPDATE delivery SET owner = NULL, due_at = ?4, failures = failures + 1, last_error = ?5
    WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
const DEAD: &str = "
    UPDATE delivery SET state = 2, owner = NULL, standing = iif(?6, standing, 0), finished_at = ?4, failures = failures + 1,
                        last_error = ?5
    WHERE id = ?1 AND state = 0 AND owner = ?2 AND attempts = ?3";
const INSERT_ATTEMPT: &str = "
    INSERT INTO attempt (delivery, number, at, duration_ms, status_code, error, response)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
