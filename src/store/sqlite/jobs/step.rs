//! A step of a job: what it does and how far the job has come commit together, so that a row is dealt with once whatever
//! comes between, and however many processes work at the job.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::control;
use super::super::fault::Fault;
use super::super::queue::Priority;
use super::super::unit::{Operation, Unit};
use super::replay::replay;
use crate::domain::DeliveryId;
use crate::store::{Change, Chunk, Step};

/// What a delivery to be made costs while it waits, in bytes, about.
const WEIGHT: usize = 256;

/// Does a step.
pub(in super::super) struct TakeStep(pub(in super::super) Step);

/// What a step came to.
#[derive(Default)]
struct Outcome {
    done: u64,
    failed: u64,
    woken: BTreeSet<Arc<str>>,
}

impl Operation for TakeStep {
    /// The destinations with something due by it; nothing when it was not done.
    type Output = Option<Vec<Arc<str>>>;
    /// What comes in goes first.
    const PRIORITY: Priority = Priority::Spare;

    fn bytes(&self) -> usize {
        let deliveries = match &self.0.chunk {
            Chunk::Replay(events) => events.iter().map(|(_, deliveries)| deliveries.len()).sum(),
            Chunk::Retry(deliveries) => deliveries.len(),
        };
        deliveries * WEIGHT
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault> {
        let step = &self.0;
        if unit.execute(GO_ON, (step.job, step.from, step.reached, step.due_at.as_millis(), step.now.as_millis()))? == 0 {
            return Ok(None);
        }
        let mut outcome = Outcome { failed: step.failed, ..Outcome::default() };
        match &step.chunk {
            Chunk::Replay(events) => {
                for (event, deliveries) in events {
                    let made = replay(unit, *event, deliveries, step.now)?;
                    outcome.count(made.is_some());
                    outcome.woken.extend(deliveries.iter().filter(|_| made.is_some()).map(|due| Arc::clone(&due.destination)));
                }
            }
            Chunk::Retry(deliveries) => {
                for id in deliveries {
                    self.retry(unit, *id, &mut outcome)?;
                }
            }
        }
        unit.execute(COUNT, (step.job, outcome.done as i64, outcome.failed as i64))?;
        Ok(Some(outcome.woken.into_iter().collect()))
    }
}

impl TakeStep {
    /// One that has come to life, or is gone, since it was looked for is left alone, and counts as neither done nor failed.
    fn retry(&self, unit: &mut Unit<'_>, id: DeliveryId, outcome: &mut Outcome) -> Result<(), Fault> {
        if !unit.conn.prepare_cached(IS_DEAD)?.exists([id.0])? {
            return Ok(());
        }
        let change = control::retry(unit, id, self.0.now)?;
        outcome.count(matches!(change, Change::Done { .. }));
        if let Change::Done { destination } = change {
            outcome.woken.insert(destination);
        }
        Ok(())
    }
}

impl Outcome {
    fn count(&mut self, done: bool) {
        self.done += u64::from(done);
        self.failed += u64::from(!done);
    }
}

/// Only while it runs and nobody else has gone on with it.
pub(in super::super) const GO_ON: &str = "
    UPDATE job SET reached = ?3, due_at = ?4, state = iif(?3 >= last, 1, 0), finished_at = iif(?3 >= last, ?5, NULL)
    WHERE id = ?1 AND state = 0 AND reached = ?2";
const COUNT: &str = "UPDATE job SET done = done + ?2, failed = failed + ?3 WHERE id = ?1";
const IS_DEAD: &str = "SELECT 1 FROM delivery WHERE id = ?1 AND state = 2";
