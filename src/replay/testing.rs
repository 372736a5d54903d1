//! What replays need, in memory: a store of jobs whose calls can fail, and a clock that follows tokio's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Parts, Replays};
use crate::domain::{Body, Clock, DeliveryStatus, Due, EventKey, Happening, Headers, JobStatus, Observer, StoredEvent, Timestamp, Wake};
use crate::route::{Filter, OnFilterError, Route, Routes};
use crate::store::{Chunk, DeliveryRow, JobRow, Jobs, KeyClaim, Matching, NewJob, Order, Page, Step, StoreError, Work};

/// Shows the time of tokio's clock, which tests pause.
struct TokioClock(Instant);

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_000_000).plus(self.0.elapsed())
    }
}

/// What the store holds, how many of the next calls fail, and what was done when.
#[derive(Default)]
pub(super) struct State {
    /// Events and dead deliveries by their numbers; those without a body have lost it.
    pub(super) rows: BTreeMap<i64, Option<&'static str>>,
    pub(super) jobs: Vec<JobRow>,
    pub(super) failing_steps: usize,
    pub(super) failing_questions: usize,
    /// What was done, in milliseconds since the test began, with the job.
    pub(super) done: Vec<(u64, i64, i64)>,
    pub(super) steps: usize,
    pub(super) woken: Vec<Arc<str>>,
    pub(super) told: Vec<String>,
    /// How long it takes to read an event.
    pub(super) reading: Duration,
    /// A question looks at so many rows; 0 for all.
    pub(super) window: i64,
}

/// The store, the observer and whoever is woken.
#[derive(Clone)]
pub(super) struct Fake(Arc<Mutex<State>>, Instant);

impl Fake {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn fails(&self, left: fn(&mut State) -> &mut usize) -> Result<MutexGuard<'_, State>, StoreError> {
        let mut state = self.state();
        match left(&mut state) {
            0 => Ok(state),
            left => {
                *left -= 1;
                Err(StoreError::Unavailable("a test's trouble".to_owned()))
            }
        }
    }

    fn question(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        self.fails(|state| &mut state.failing_questions)
    }
}

impl Wake for Fake {
    fn wake(&self, destination: &Arc<str>) {
        self.state().woken.push(Arc::clone(destination));
    }
}

impl Observer for Fake {
    fn happened(&self, happening: &Happening<'_>) {
        let told = match happening {
            Happening::Job { id, status, done, failed, .. } => format!("job {id} {}: {done} {failed}", status.as_str()),
            Happening::FilterFailed { quiet, .. } => format!("filter failed, quiet: {quiet}"),
            Happening::Replayed { deliveries, .. } => format!("replayed {deliveries}"),
            other => format!("{other:?}"),
        };
        self.state().told.push(told);
    }
}

#[async_trait]
impl Jobs for Fake {
    async fn find(&self, key: EventKey) -> Result<Option<i64>, StoreError> {
        Ok(key.event_id.parse().ok().filter(|number| self.state().rows.contains_key(number)))
    }

    async fn recorded(&self, event: i64) -> Result<Option<StoredEvent>, StoreError> {
        let reading = self.state().reading;
        tokio::time::sleep(reading).await;
        let body = self.question()?.rows.get(&event).copied().flatten();
        Ok(body.map(|body| StoredEvent {
            key: EventKey { source: "hub".into(), event_id: event.to_string().into() },
            provider: "p".into(),
            event_type: String::new(),
            method: "POST".into(),
            subpath: String::new(),
            query: String::new(),
            headers: Headers::default(),
            body: Body::from_static(body.as_bytes()),
            received_at: Timestamp::from_secs(0),
        }))
    }

    async fn replay_claimed(
        &self,
        event: i64,
        deliveries: Vec<Due>,
        now: Timestamp,
        _: Option<KeyClaim>,
    ) -> Result<Option<Vec<DeliveryRow>>, StoreError> {
        let row = |due: Due| DeliveryRow {
            id: crate::domain::DeliveryId(1),
            event_seq: event,
            event: EventKey { source: "hub".into(), event_id: event.to_string().into() },
            destination: due.destination.to_string(),
            status: DeliveryStatus::Pending,
            attempts: 0,
            next_attempt_at: Some(now),
            created_at: now,
            finished_at: None,
            replay: true,
            last_error: None,
            waits_in_line: false,
            holds_line: false,
            history: Vec::new(),
        };
        Ok(Some(deliveries.into_iter().map(row).collect()))
    }

    async fn newest(&self, _: Work) -> Result<i64, StoreError> {
        Ok(self.question()?.rows.last_key_value().map_or(0, |(number, _)| *number))
    }

    async fn matching(&self, _: Work, after: i64, last: i64, limit: usize) -> Result<Matching, StoreError> {
        let state = self.question()?;
        let end = if state.window > 0 { last.min(after + state.window) } else { last };
        let numbers: Vec<i64> = state.rows.range(after + 1..=end).map(|(number, _)| *number).take(limit).collect();
        let reached = numbers.last().copied().filter(|_| numbers.len() >= limit).unwrap_or(end);
        Ok(Matching { numbers, reached })
    }

    async fn begin(&self, job: NewJob) -> Result<Option<JobRow>, StoreError> {
        let mut state = self.state();
        let row = JobRow {
            id: state.jobs.len() as i64 + 1,
            work: job.work,
            status: JobStatus::Running,
            rate: job.rate,
            last: job.last,
            reached: 0,
            due_at: job.created_at,
            total: job.total,
            done: 0,
            failed: 0,
            created_at: job.created_at,
            finished_at: None,
        };
        state.jobs.push(row.clone());
        Ok(Some(row))
    }

    async fn step(&self, step: Step) -> Result<Option<Vec<Arc<str>>>, StoreError> {
        let mut state = self.fails(|state| &mut state.failing_steps)?;
        let at = self.1.elapsed().as_millis() as u64;
        state.steps += 1;
        let numbers: Vec<i64> = match &step.chunk {
            Chunk::Replay(events) => events.iter().map(|(number, _)| *number).collect(),
            Chunk::Retry(deliveries) => deliveries.iter().map(|id| id.0).collect(),
        };
        let Some(job) = state.jobs.iter_mut().find(|job| job.id == step.job) else { return Ok(None) };
        if job.status != JobStatus::Running || job.reached != step.from {
            return Ok(None);
        }
        (job.reached, job.due_at) = (step.reached, step.due_at);
        (job.done, job.failed) = (job.done + numbers.len() as u64, job.failed + step.failed);
        if job.reached >= job.last {
            (job.status, job.finished_at) = (JobStatus::Done, Some(step.now));
        }
        state.done.extend(numbers.into_iter().map(|number| (at, step.job, number)));
        let woken = match step.chunk {
            Chunk::Replay(events) => events.into_iter().flat_map(|(_, due)| due).map(|due| due.destination).collect(),
            Chunk::Retry(_) => vec!["retried".into()],
        };
        Ok(Some(woken))
    }

    async fn call_off(&self, id: i64, now: Timestamp) -> Result<Option<JobRow>, StoreError> {
        let mut state = self.state();
        let Some(job) = state.jobs.iter_mut().find(|job| job.id == id) else { return Ok(None) };
        if job.status == JobStatus::Running {
            (job.status, job.finished_at) = (JobStatus::Cancelled, Some(now));
        }
        Ok(Some(job.clone()))
    }

    async fn job(&self, id: i64) -> Result<Option<JobRow>, StoreError> {
        Ok(self.question()?.jobs.iter().find(|job| job.id == id).cloned())
    }

    async fn jobs(&self, page: Page) -> Result<Vec<JobRow>, StoreError> {
        assert_eq!((page.order, page.after), (Order::Newest, None));
        Ok(self.state().jobs.iter().rev().take(page.limit).cloned().collect())
    }

    async fn running(&self) -> Result<Vec<JobRow>, StoreError> {
        Ok(self.question()?.jobs.iter().filter(|job| job.status == JobStatus::Running).cloned().collect())
    }
}

/// Replays over a fake store of so many events, to the destinations `app`, which takes everything, and `some`, whose filter
/// asks for `body.some` and fails on what is no number.
pub(super) struct Bench {
    pub(super) fake: Fake,
    pub(super) replays: Arc<Replays>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Bench {
    pub(super) fn new(events: i64) -> Self {
        let begun = Instant::now();
        let rows = (1..=events).map(|number| (number, Some("{}"))).collect();
        let fake = Fake(Arc::new(Mutex::new(State { rows, ..State::default() })), begun);
        let clock: Arc<dyn Clock> = Arc::new(TokioClock(begun));
        Self { replays: Self::beside(&fake, &clock), fake, clock }
    }

    /// As another process with the same store.
    pub(super) fn another(&self) -> Arc<Replays> {
        Self::beside(&self.fake, &self.clock)
    }

    fn beside(fake: &Fake, clock: &Arc<dyn Clock>) -> Arc<Replays> {
        let route = |destination: &str, filter: Option<&str>| Route {
            destination: destination.into(),
            sources: vec!["hub".into()],
            types: Vec::new(),
            filter: filter.map(|text| Filter::parse(text).unwrap()),
            on_filter_error: OnFilterError::Skip,
            order_by: None,
        };
        Arc::new(Replays::new(Parts {
            jobs: Arc::new(fake.clone()),
            routes: Routes::new(vec![route("app", Some("!has(body.nobody)")), route("some", Some("body.some > 1"))]),
            wake: Arc::new(fake.clone()),
            observer: Arc::new(fake.clone()),
            clock: Arc::clone(clock),
        }))
    }

    /// Runs it until the token is dropped.
    pub(super) fn run(&self) -> tokio_util::sync::DropGuard {
        Self::started(&self.replays)
    }

    pub(super) fn started(replays: &Arc<Replays>) -> tokio_util::sync::DropGuard {
        let (stop, replays) = (CancellationToken::new(), Arc::clone(replays));
        let stopped = stop.clone();
        tokio::spawn(async move { replays.run(stopped).await });
        stop.drop_guard()
    }

    /// Waits until a job has ended.
    pub(super) async fn ended(&self, id: i64) -> JobRow {
        loop {
            let job = self.fake.state().jobs[id as usize - 1].clone();
            if job.status != JobStatus::Running {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
