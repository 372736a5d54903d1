//! The store in one SQLite file: no server, no set-up, and every answer after a sync to disk.
//!
//! One thread writes and shares each commit among all who wait; two threads read. Several processes may have the file
//! open at once: the unique key dedupes among them, and leases keep them off each other's deliveries.

mod audit;
mod backup;
mod checkpoint;
mod claim;
mod conditions;
mod control;
mod deliveries;
mod erase;
mod events;
mod explain;
mod fault;
mod find;
mod finish;
mod identity;
mod jobs;
mod keyed;
mod keys;
mod learned;
mod leases;
mod lines;
mod names;
mod neighbours;
mod new_delivery;
mod open;
mod owner;
mod probe;
mod prunable;
mod prune;
mod queue;
mod reader;
mod record;
mod rejections;
mod reverify;
mod roles;
mod search;
mod span;
mod stored;
mod tally;
mod unit;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use backup::{BackupError, backup};
pub use open::OpenError;

use self::prune::Marks;
use self::queue::Bounds;
use self::reader::Readers;
use self::search::{Search, Searching};
use self::unit::{Operation, RejectionBounds};
use self::writer::{Settings, Writer};
use super::StoreError;
use crate::domain::{Observer, Silent};

/// The bounds of the store.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many requests may wait to be committed.
    pub queue_requests: usize,
    /// How many bytes of headers and bodies may wait to be committed.
    pub queue_bytes: usize,
    /// How many rejections are kept for each source.
    pub rejections_per_source: usize,
    /// How many bytes of rejections are kept for each source.
    pub rejection_bytes_per_source: usize,
    /// How long a transaction waits for one of another process. Callers wait for two of them at most: one
    /// for the batch before theirs, one for their own.
    pub busy_timeout: Duration,
    /// How long a question may take.
    pub question_timeout: Duration,
    /// Sources whose events cannot be found by words.
    pub unsearched: Vec<String>,
    /// How long bodies are kept, by which what is found by words is divided.
    pub bodies: Duration,
    /// Tests make them small, so that keys are merged all the time.
    pub(crate) keys: keys::Bounds,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            queue_requests: 10_000,
            queue_bytes: 64 << 20,
            rejections_per_source: 1_000,
            rejection_bytes_per_source: 64 << 20,
            busy_timeout: Duration::from_secs(2),
            question_timeout: Duration::from_secs(2),
            unsearched: Vec::new(),
            bodies: Duration::from_secs(30 * 24 * 3_600),
            keys: keys::Bounds::default(),
        }
    }
}

/// How long a question may take where no server answers others meanwhile.
const ALONE: Duration = Duration::from_secs(60);

/// A store in a SQLite file. Clones share it; the last one to go closes it.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    path: PathBuf,
    /// `None` when opened for reading only.
    writer: Option<Writer>,
    readers: Readers,
    /// `None` when opened for reading only.
    search: Option<Search>,
    unsearched: Arc<[String]>,
    marks: Marks,
    threads: Mutex<Threads>,
}

#[derive(Default)]
struct Threads {
    reading: Vec<JoinHandle<()>>,
    searching: Option<Searching>,
    writing: Option<JoinHandle<writer::State>>,
}

impl SqliteStore {
    /// Opens the database, creates it if need be, and brings its schema up to date. Leases of dead processes stay until
    /// [`Outbox::recover`](super::Outbox::recover) is called.
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator.
    pub fn open(path: &Path, options: &Options, observer: Arc<dyn Observer>) -> Result<Self, OpenError> {
        let settings = Settings {
            path: path.to_owned(),
            busy_timeout: options.busy_timeout,
            queue: Bounds { requests: options.queue_requests, bytes: options.queue_bytes },
            rejections: RejectionBounds { count: options.rejections_per_source, bytes: options.rejection_bytes_per_source },
            keys: options.keys,
            observer: Arc::clone(&observer),
        };
        let (writer, writing) = Writer::start(settings)?;
        let mut threads = Threads { writing: Some(writing), ..Threads::default() };
        match Self::read(path, options, observer, &mut threads) {
            Ok((search, readers)) => Ok(Self::new(path, Some(writer), Some(search), readers, threads, options)),
            Err(error) => {
                writer.close();
                threads.end();
                Err(error)
            }
        }
    }

    /// Starts all that does not write: what is started is among the threads also when the next fails.
    fn read(path: &Path, options: &Options, observer: Arc<dyn Observer>, threads: &mut Threads) -> Result<(Search, Readers), OpenError> {
        let settings = search::Settings {
            path: path.to_owned(),
            busy_timeout: options.busy_timeout,
            unsearched: options.unsearched.clone().into(),
            bodies: options.bodies,
            observer: Arc::clone(&observer),
        };
        let (search, searching) = Search::start(settings)?;
        threads.searching = Some(searching);
        let (readers, reading) = Readers::start(path, options.busy_timeout, options.question_timeout, observer)?;
        threads.reading = reading;
        Ok((search, readers))
    }

    /// Opens an existing database for questions alone: all that writes is [`StoreError::Unavailable`].
    ///
    /// # Errors
    /// [`OpenError`], in words for the operator.
    pub fn open_read_only(path: &Path) -> Result<Self, OpenError> {
        let (readers, reading) = Readers::start(path, Options::default().busy_timeout, ALONE, Arc::new(Silent))?;
        let threads = Threads { reading, ..Threads::default() };
        Ok(Self::new(path, None, None, readers, threads, &Options::default()))
    }

    fn new(path: &Path, writer: Option<Writer>, search: Option<Search>, readers: Readers, threads: Threads, options: &Options) -> Self {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let (marks, threads) = (Marks::default(), Mutex::new(threads));
        let unsearched = options.unsearched.clone().into();
        Self(Arc::new(Inner { path, writer, readers, search, unsearched, marks, threads }))
    }

    /// Closes the store: what is queued is still committed and answered, then the threads end and this process's lock
    /// is released. Later calls are [`StoreError::Unavailable`].
    pub async fn close(&self) {
        self.0.close();
        let threads = self.0.take_threads();
        let ended = tokio::task::spawn_blocking(move || threads.end()).await;
        debug_assert!(ended.is_ok(), "joining does not panic");
    }

    /// Ends the store as a killed process would.
    #[cfg(test)]
    fn kill(self) {
        if let Some(writer) = &self.0.writer {
            writer.kill();
        }
        self.0.readers.close();
        self.0.take_threads().end();
    }

    fn write<O: Operation>(&self, operation: O) -> impl Future<Output = Result<O::Output, StoreError>> + use<O> {
        let called = self.0.writer.as_ref().map(|writer| writer.call(operation));
        async move {
            match called {
                Some(outcome) => outcome.await,
                None => Err(StoreError::Unavailable("the database was opened for reading only".to_owned())),
            }
        }
    }
}

impl Inner {
    fn close(&self) {
        self.readers.close();
        if let Some(writer) = &self.writer {
            writer.close();
        }
    }

    fn take_threads(&self) -> Threads {
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Waits until what is queued is committed, as [`SqliteStore::close`] does.
impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
        self.take_threads().end();
    }
}

impl Threads {
    /// Waits until they have ended, and closes the writer's connection last: only the last one to go takes the log with
    /// it, and only if it can write.
    fn end(self) {
        for thread in self.reading {
            // A thread that panicked has already left its callers an answer; so has the writer.
            let _ = thread.join();
        }
        if let Some(searching) = self.searching {
            searching.end();
        }
        if let Some(Ok(writer)) = self.writing.map(JoinHandle::join) {
            writer.end();
        }
    }
}
