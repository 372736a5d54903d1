//! Has jobs go on, one chunk of one job after the other. All that must last is in the store: each turn begins with what it
//! says, so that a crash, a restart or another process that works at the same jobs makes no difference.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{Replays, Told, pace};
use crate::domain::DeliveryId;
use crate::store::{Chunk, JobRow, Matching, Step, StoreError, Work};

/// How often jobs are looked for that another process has begun.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a job waits after the store has failed.
const TROUBLE: Duration = Duration::from_secs(1);
/// A turn ends after this time, whatever is left of its chunk: filters can be slow, and other jobs wait.
const TURN: Duration = Duration::from_millis(100);

/// What is known of jobs between their turns. None of it has to last.
#[derive(Default)]
struct Turns {
    /// The job that had its turn last.
    last: i64,
    jobs: HashMap<i64, Waiting>,
}

#[derive(Default, Clone, Copy)]
struct Waiting {
    /// Nothing up to here matches, from where the job stands.
    seen: i64,
    /// Not before then, because the store has failed.
    until: Option<Instant>,
}

impl Turns {
    /// The job whose turn it is, or how long until there is one.
    fn next<'j>(&mut self, running: &'j [JobRow], wait: impl Fn(&JobRow) -> Duration) -> Result<&'j JobRow, Duration> {
        self.jobs.retain(|id, _| running.iter().any(|job| job.id == *id));
        let now = Instant::now();
        let waits = |job: &JobRow| {
            let until = self.jobs.get(&job.id).and_then(|waiting| waiting.until);
            wait(job).max(until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)))
        };
        let first = running.partition_point(|job| job.id <= self.last);
        let in_turn = running[first..].iter().chain(&running[..first]);
        match in_turn.clone().find(|job| waits(job).is_zero()) {
            Some(job) => {
                self.last = job.id;
                Ok(job)
            }
            None => Err(in_turn.map(waits).min().unwrap_or(LOOK_EVERY)),
        }
    }
}

/// What is to be done of what was found.
struct Made {
    chunk: Chunk,
    failed: u64,
    /// How many of what was found it is.
    count: usize,
}

impl Replays {
    /// Has jobs go on until `shutdown`. What is being done then is done whole or not at all.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.go_on() => {}
        }
    }

    async fn go_on(&self) {
        let mut turns = Turns::default();
        loop {
            // What the store has to say of its trouble, it has said.
            let pause = self.turn(&mut turns).await.unwrap_or(TROUBLE);
            if !pause.is_zero() {
                tokio::select! {
                    () = self.changed.notified() => {}
                    () = sleep(pause.min(LOOK_EVERY)) => {}
                }
            }
        }
    }

    /// Gives a job its turn; returns how long to wait for the next one.
    async fn turn(&self, turns: &mut Turns) -> Result<Duration, StoreError> {
        let (running, now) = (self.parts.jobs.running().await?, self.parts.clock.now());
        let job = match turns.next(&running, |job| pace::wait(job.due_at, now)) {
            Ok(job) => job,
            Err(wait) => return Ok(wait),
        };
        let seen = turns.jobs.get(&job.id).map_or(0, |waiting| waiting.seen).max(job.reached);
        let waiting = match self.advance(job, seen).await {
            Ok(seen) => Waiting { seen, until: None },
            Err(_) => Waiting { seen, until: Some(Instant::now() + TROUBLE) },
        };
        turns.jobs.insert(job.id, waiting);
        Ok(Duration::ZERO)
    }

    /// Looks through a part of the rows behind `seen`, and does what is to be done there. Returns how far it has seen.
    async fn advance(&self, job: &JobRow, seen: i64) -> Result<i64, StoreError> {
        let found = self.parts.jobs.matching(job.work.clone(), seen, job.last, pace::chunk(job.rate)).await?;
        if found.numbers.is_empty() && found.reached < job.last {
            return Ok(found.reached);
        }
        let Made { chunk, failed, count } = self.make(&job.work, &found).await?;
        // What there was no time for is found again.
        let reached = if count < found.numbers.len() { found.numbers[count - 1] } else { found.reached };
        let now = self.parts.clock.now();
        let due_at = pace::next(job.due_at, now, count, job.rate);
        let step = Step { job: job.id, from: job.reached, reached, chunk, failed, now, due_at };
        // Without an outcome it was called off, or another process is further: the next turn knows.
        if let Some(destinations) = self.parts.jobs.step(step).await? {
            destinations.iter().for_each(|destination| self.parts.wake.wake(destination));
            if reached >= job.last
                && let Some(ended) = self.parts.jobs.job(job.id).await?
            {
                self.tell_of_job(&ended);
            }
        }
        Ok(0)
    }

    async fn make(&self, work: &Work, found: &Matching) -> Result<Made, StoreError> {
        let Work::Replay { destinations, .. } = work else {
            let chunk = Chunk::Retry(found.numbers.iter().copied().map(DeliveryId).collect());
            return Ok(Made { chunk, failed: 0, count: found.numbers.len() });
        };
        let (begun, mut events, mut failed, mut count) = (Instant::now(), Vec::new(), 0, 0);
        for seq in &found.numbers {
            if count > 0 && begun.elapsed() > TURN {
                break;
            }
            count += 1;
            let deliveries = match self.parts.jobs.recorded(*seq).await? {
                Some(event) => self.due(&event, destinations.as_deref(), Told::Counted).await,
                None => Vec::new(),
            };
            match deliveries.is_empty() {
                true => failed += 1,
                false => events.push((*seq, deliveries)),
            }
        }
        Ok(Made { chunk: Chunk::Replay(events), failed, count })
    }
}
