//! New deliveries for events that are already recorded: for one at once, for many as a job. A job is kept by the store, goes on
//! after a restart where it stopped, and spreads what it makes evenly over time. It also makes dead deliveries due again, which
//! are no new ones. It says what is due; that it is delivered is the matter of `dispatch`.

mod pace;
mod runner;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use tokio::sync::Notify;

pub use crate::store::{StoreError, Work};
pub use view::{FilterView, JobView};

use crate::domain::{Clock, Due, EventKey, Happening, Observer, StoredEvent, Wake};
use crate::history::{DeliveryView, PageView, Paging};
use crate::route::Routes;
use crate::store::{JobRow, Jobs, KeyClaim, MOST_RUNNING, NewJob};

/// How many events a second a job makes due where it is not said.
pub const DEFAULT_RATE: u32 = 100;
/// The most events a second.
pub const MOST_RATE: u32 = 10_000;

/// The parts that replays work with, put together by `app`.
pub struct Parts {
    /// Knows the events, keeps the jobs, and makes the deliveries.
    pub jobs: Arc<dyn Jobs>,
    /// Which destinations take an event today.
    pub routes: Routes,
    /// Wakes dispatch.
    pub wake: Arc<dyn Wake>,
    /// Is told what happens.
    pub observer: Arc<dyn Observer>,
    /// Decides what is due.
    pub clock: Arc<dyn Clock>,
}

/// Why something is not delivered again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such event.
    #[error("there is no such event")]
    UnknownEvent,
    /// The event's headers and body are not stored any more.
    #[error("what the event held is no longer stored")]
    Gone,
    /// No destination takes such an event.
    #[error("no destination takes this event today: name some in `destinations`")]
    Unrouted,
    /// A destination was named that is not configured.
    #[error("there is no destination {name:?}")]
    UnknownDestination {
        /// What was asked for.
        name: String,
        /// Those that there are.
        known: Vec<Arc<str>>,
    },
    /// Destinations were to be named, and none was.
    #[error("no destination is named")]
    NoDestinations,
    /// Too many jobs run.
    #[error("{MOST_RUNNING} jobs run already")]
    TooMany,
    /// The store has trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is told of filters that fail.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Each.
    Each,
    /// Among many events: how many.
    Counted,
}

/// Has events delivered again.
pub struct Replays {
    parts: Parts,
    /// A job has begun or was called off.
    changed: Notify,
}

impl Replays {
    /// With these parts. Jobs stand still until [`Replays::run`].
    pub fn new(parts: Parts) -> Self {
        Self { parts, changed: Notify::new() }
    }

    /// Makes new deliveries for an event: to the named destinations, or to those that today's routes choose. That it is done
    /// is noted under the claim.
    ///
    /// # Errors
    /// [`ReplayError`]. Each call that succeeds makes deliveries of its own.
    pub async fn one(
        &self,
        key: &EventKey,
        destinations: Option<&[Arc<str>]>,
        claim: Option<KeyClaim>,
    ) -> Result<Vec<DeliveryView>, ReplayError> {
        self.check(destinations)?;
        let number = self.parts.jobs.find(key.clone()).await?.ok_or(ReplayError::UnknownEvent)?;
        let event = self.parts.jobs.recorded(number).await?.ok_or(ReplayError::Gone)?;
        let deliveries = self.due(&event, destinations, Told::Each).await;
        if deliveries.is_empty() {
            return Err(ReplayError::Unrouted);
        }
        let made = self.parts.jobs.replay_claimed(number, deliveries, self.parts.clock.now(), claim).await?.ok_or(ReplayError::Gone)?;
        self.tell(&Happening::Replayed { event: key, deliveries: made.len() });
        made.iter().for_each(|delivery| self.parts.wake.wake(&delivery.destination.as_str().into()));
        Ok(made.into_iter().map(DeliveryView::listed).collect())
    }

    /// Begins a job over what matches at this moment. That it has begun is noted under the claim.
    ///
    /// # Errors
    /// [`ReplayError`].
    pub async fn begin(&self, work: Work, rate: u32, claim: Option<KeyClaim>) -> Result<JobView, ReplayError> {
        if let Work::Replay { destinations: Some(named), .. } = &work {
            self.check(Some(named))?;
        }
        // Asked before anything is counted, and again when it begins.
        if self.parts.jobs.running().await?.len() >= MOST_RUNNING {
            return Err(ReplayError::TooMany);
        }
        let last = self.parts.jobs.newest(work.clone()).await?;
        let total = self.count(&work, last).await?;
        let job = NewJob { work, rate: rate.clamp(1, MOST_RATE), last, total, created_at: self.parts.clock.now(), claim };
        let job = self.parts.jobs.begin(job).await?.ok_or(ReplayError::TooMany)?;
        self.changed.notify_one();
        self.tell_of_job(&job);
        Ok(JobView::from(job))
    }

    /// Part by part, so that other questions come between.
    async fn count(&self, work: &Work, last: i64) -> Result<u64, StoreError> {
        let (mut total, mut after) = (0, 0);
        while after < last {
            let found = self.parts.jobs.matching(work.clone(), after, last, usize::MAX).await?;
            total += found.numbers.len() as u64;
            after = found.reached;
        }
        Ok(total)
    }

    /// Calls a job off, if it runs. `None` when there is no such job.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    pub async fn call_off(&self, id: i64) -> Result<Option<JobView>, StoreError> {
        let now = self.parts.clock.now();
        let Some(job) = self.parts.jobs.call_off(id, now).await? else { return Ok(None) };
        self.changed.notify_one();
        if job.finished_at == Some(now) {
            self.tell_of_job(&job);
        }
        Ok(Some(job.into()))
    }

    /// One job.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn job(&self, id: i64) -> Result<Option<JobView>, StoreError> {
        Ok(self.parts.jobs.job(id).await?.map(JobView::from))
    }

    /// Jobs, those that have ended among them, with a cursor to the next page.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn jobs(&self, paging: Paging) -> Result<PageView<JobView>, StoreError> {
        let rows = self.parts.jobs.jobs(paging.page()).await?;
        Ok(PageView::cut(rows.into_iter().map(|row| (row.id, JobView::from(row))).collect(), paging.limit))
    }

    fn check(&self, destinations: Option<&[Arc<str>]>) -> Result<(), ReplayError> {
        let Some(named) = destinations else { return Ok(()) };
        if named.is_empty() {
            return Err(ReplayError::NoDestinations);
        }
        let known: Vec<Arc<str>> = self.parts.routes.destinations().cloned().collect();
        match named.iter().find(|name| !known.contains(name)) {
            Some(name) => Err(ReplayError::UnknownDestination { name: name.to_string(), known }),
            None => Ok(()),
        }
    }

    /// Where an event is due.
    async fn due(&self, event: &StoredEvent, destinations: Option<&[Arc<str>]>, told: Told) -> Vec<Due> {
        if let Some(named) = destinations {
            return self.parts.routes.at(named, event);
        }
        let routed = self.parts.routes.choose(event).await;
        for failure in &routed.failures {
            let (destination, quiet) = (&failure.destination, told == Told::Counted);
            self.tell(&Happening::FilterFailed { destination, event: &event.key, cause: &failure.cause, quiet });
        }
        routed.deliveries
    }

    fn tell_of_job(&self, job: &JobRow) {
        let JobRow { id, status, total, done, failed, .. } = *job;
        self.tell(&Happening::Job { id, kind: job.work.kind(), status, total, done, failed });
    }

    fn tell(&self, happening: &Happening<'_>) {
        self.parts.observer.happened(happening);
    }
}
