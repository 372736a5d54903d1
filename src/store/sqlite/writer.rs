//! The one thread that writes. It takes whatever is queued, runs it in one transaction, and answers after the commit: the
//! sync is shared by all who wait for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::checkpoint::Log;
use super::fault::Fault;
use super::identity::Identity;
use super::keys::{self, Merge};
use super::names::Names;
use super::neighbours::Neighbours;
use super::open::{self, OpenError};
use super::owner::Owner;
use super::queue::{Bounds, Queue, closed};
use super::unit::{Kept, Operation, RejectionBounds, Unit};
use crate::domain::{Happening, Observer};
use crate::failpoint;
use crate::store::StoreError;

/// The most that goes into one transaction.
const BATCH: Bounds = Bounds { requests: 1_000, bytes: 8 << 20 };
/// How many more operations on work that is already stored may wait beyond the queue's bound.
const ONWARD_RESERVE: usize = 4_096;
/// How often a batch is split in search of damage. All may be damaged: then nobody should wait for thousands of tries.
const SPLITS: usize = 64;

/// How long the tidying up at the end waits for another process's transaction, each of its two steps: the program has been
/// told to stop, and has little time left.
const LAST_WAIT: Duration = Duration::from_millis(200);

/// An operation with whoever waits for it.
trait Job: Send {
    /// Whether it should be done at all.
    fn wanted(&self) -> bool;
    /// Does it and keeps the result until the commit.
    fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault>;
    /// Answers: with the result, or with the reason why there is none.
    fn settle(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Call<O: Operation> {
    operation: O,
    output: Option<O::Output>,
    answer: oneshot::Sender<Result<O::Output, StoreError>>,
}

impl<O: Operation> Job for Call<O> {
    fn wanted(&self) -> bool {
        !(O::ONLY_IF_AWAITED && self.answer.is_closed())
    }

    fn run(&mut self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        self.output = Some(self.operation.run(unit)?);
        Ok(())
    }

    fn settle(self: Box<Self>, committed: Result<(), StoreError>) {
        let Self { output, answer, .. } = *self;
        // Whoever asked may have gone: the commit stands.
        let _ = answer.send(committed.and_then(|()| output.ok_or_else(closed)));
    }
}

/// What the writer is made with.
pub(super) struct Settings {
    /// The database file.
    pub(super) path: PathBuf,
    /// How long to wait for another process's transaction.
    pub(super) busy_timeout: Duration,
    /// How much may wait.
    pub(super) queue: Bounds,
    /// How many rejections are kept.
    pub(super) rejections: RejectionBounds,
    /// When keys go down a level.
    pub(super) keys: keys::Bounds,
    /// Is told of commits and failures.
    pub(super) observer: Arc<dyn Observer>,
}

/// The way to the writer's thread.
pub(super) struct Writer {
    queue: Arc<Queue<Box<dyn Job>>>,
}

impl Writer {
    /// Opens the database for writing and starts the thread. Once joined, its state has to be [ended](State::end).
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn start(mut settings: Settings) -> Result<(Self, JoinHandle<State>), OpenError> {
        let mut conn = open::writable(&settings.path, settings.busy_timeout)?;
        let path = settings.path.clone();
        let cannot_open = |error: std::io::Error| OpenError::CannotOpen { path: path.clone(), reason: error.to_string() };
        // Its one true name: whoever comes by another one looks for the same log and the same locks.
        settings.path = path.canonicalize().map_err(cannot_open)?;
        let owner = Owner::register(&conn, &settings.path)?;
        let log = Log::default();
        log.watch(&mut conn).map_err(|error| OpenError::explain(&path, &error))?;
        let identity = Identity::of(&settings.path).map_err(cannot_open)?;
        let queue = Arc::new(Queue::new(settings.queue, ONWARD_RESERVE));
        let state = State {
            conn,
            log,
            identity,
            owner,
            names: Names::default(),
            merge: Merge::new(settings.keys),
            neighbours: Neighbours::default(),
            held: Duration::ZERO,
            queue: Arc::clone(&queue),
            settings,
        };
        let builder = std::thread::Builder::new().name("store-writer".to_owned());
        let thread = builder.spawn(move || state.serve()).map_err(cannot_open)?;
        Ok((Self { queue }, thread))
    }

    /// Has an operation done; what it returns is ready once the transaction is synced, and holds nothing of the operation.
    pub(super) fn call<O: Operation>(&self, operation: O) -> impl Future<Output = Result<O::Output, StoreError>> + use<O> {
        let (answer, outcome) = oneshot::channel();
        let bytes = operation.bytes();
        let queued = self.queue.push(Box::new(Call { operation, output: None, answer }), bytes, O::PRIORITY);
        failpoint::reach("store.queued");
        async move {
            queued?;
            outcome.await.unwrap_or_else(|_| Err(closed()))
        }
    }

    /// How many operations wait to be committed.
    pub(super) fn queued(&self) -> usize {
        self.queue.depth()
    }

    /// Lets nothing more in; the thread ends once it has done what is queued.
    pub(super) fn close(&self) {
        self.queue.close();
    }

    /// Ends the thread as a killed process would: nothing more is done, answered or tidied up.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.queue.abandon();
    }
}

/// What the thread owns, and leaves to whoever joins it.
pub(super) struct State {
    conn: Connection,
    log: Log,
    identity: Identity,
    owner: Owner,
    names: Names,
    merge: Merge,
    neighbours: Neighbours,
    /// How long the last transaction held the lock.
    held: Duration,
    queue: Arc<Queue<Box<dyn Job>>>,
    settings: Settings,
}

impl State {
    fn serve(mut self) -> Self {
        while let Some(mut jobs) = self.queue.take(BATCH) {
            jobs.retain(|job| job.wanted());
            if !jobs.is_empty() {
                let mut splits = SPLITS;
                self.serve_batch(jobs, &mut splits);
                failpoint::reach("store.answered");
                self.between_batches();
            }
        }
        self
    }

    /// Has these done in one transaction, or, if one of them is to blame for a failure, in several: each half for itself, and
    /// again, so that the one is found in few commits. `splits` bounds how often that is tried for damage.
    fn serve_batch(&mut self, mut jobs: Vec<Box<dyn Job>>, splits: &mut usize) {
        match self.transact(&mut jobs) {
            Ok(()) => jobs.into_iter().for_each(|job| job.settle(Ok(()))),
            Err(fault @ Fault::Learned(_)) if *splits > 0 => {
                *splits -= 1;
                self.settings.observer.happened(&Happening::StoreFailed { cause: fault.cause() });
                self.serve_batch(jobs, splits);
            }
            Err(fault) if fault.may_be_one() && jobs.len() > 1 && *splits > 0 => {
                *splits -= usize::from(fault.breaks_connection());
                // In order: what was queued first is done first.
                let second = jobs.split_off(jobs.len() / 2);
                self.serve_batch(jobs, splits);
                self.serve_batch(second, splits);
            }
            Err(fault) => {
                self.settings.observer.happened(&Happening::StoreFailed { cause: fault.cause() });
                jobs.into_iter().for_each(|job| job.settle(Err(fault.to_error())));
                if self.queue.is_closed() && !fault.may_be_one() {
                    // Nobody will wait through a failure of each batch that is left.
                    self.queue.abandon();
                }
            }
        }
    }

    /// What can wait until everybody has been answered.
    #[expect(clippy::disallowed_methods, reason = "nothing tells whether another process waits for the lock")]
    fn between_batches(&mut self) {
        if self.identity.held().is_err() {
            return;
        }
        if let Err(fault) = self.log.shorten(&self.conn, self.settings.busy_timeout) {
            self.settings.observer.happened(&Happening::StoreFailed { cause: fault.cause() });
        }
        if let Some(pause) = self.neighbours.pause(self.held) {
            std::thread::sleep(pause);
        }
    }

    /// One transaction with all of these, committed and synced, or none of them.
    fn transact(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.run(jobs)));
        let outcome = outcome.unwrap_or_else(|_| Err(Fault::Own("internal error in the store".to_owned())));
        match &outcome {
            Ok(()) => {
                let happening = Happening::Committed { operations: jobs.len(), took: begun.elapsed() };
                self.settings.observer.happened(&happening);
            }
            Err(fault) => self.roll_back(fault),
        }
        outcome
    }

    fn run(&mut self, jobs: &mut [Box<dyn Job>]) -> Result<(), Fault> {
        self.identity.held()?;
        failpoint::reach("store.before-begin");
        self.execute("BEGIN IMMEDIATE")?;
        failpoint::reach("store.begun");
        let locked = Instant::now();
        if self.neighbours.look(&self.conn, self.owner.id())? {
            // With the last event of a type its name goes, and its number may be given to another.
            self.names.forget();
        }
        let kept = Kept { names: &mut self.names, merge: &mut self.merge, log: &mut self.log };
        let mut unit = Unit::new(&self.conn, &self.settings.path, &self.owner, kept, self.settings.rejections);
        for job in jobs {
            job.run(&mut unit)?;
        }
        unit.flush()?;
        failpoint::reach("store.before-commit");
        self.execute("COMMIT")?;
        failpoint::reach("store.after-commit");
        self.held = locked.elapsed();
        self.identity.check()
    }

    fn execute(&self, sql: &str) -> Result<(), Fault> {
        self.conn.prepare_cached(sql).and_then(|mut statement| statement.execute(())).map_err(Fault::of_all)?;
        Ok(())
    }

    /// Back to before the transaction, with a fresh connection if this one may be broken.
    fn roll_back(&mut self, fault: &Fault) {
        self.names.forget();
        // SQLite has rolled back by itself after some errors.
        let usable = self.conn.is_autocommit() || self.conn.execute_batch("ROLLBACK").is_ok();
        if usable && !fault.breaks_connection() || self.identity.check().is_err() {
            return;
        }
        if let Ok(mut conn) = open::again(&self.settings.path, self.settings.busy_timeout)
            && self.log.watch(&mut conn).is_ok()
        {
            self.conn = conn;
            self.neighbours.forget();
        }
    }

    /// Leaves the database as small and tidy as it can be; what fails here is made up for at the next start.
    pub(super) fn end(mut self) {
        if self.queue.is_abandoned() || self.identity.check().is_err() {
            return;
        }
        let _ = self.conn.busy_timeout(LAST_WAIT);
        self.owner.resign(&self.conn);
        let _ = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}

/// A thread that died some other way than by its end leaves nobody waiting.
impl Drop for State {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
