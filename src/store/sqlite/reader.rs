//! Threads that read, each with a connection of its own: questions never wait for the writer, nor it for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::describe;
use super::open::{self, OpenError};
use super::queue::{Bounds, Priority, Queue, closed};
use super::search;
use crate::domain::{Happening, Observer};
use crate::store::StoreError;

/// How many threads read.
const READERS: usize = 2;
/// How many questions may wait.
const WAITING: Bounds = Bounds { requests: 256, bytes: usize::MAX };
const ONE: Bounds = Bounds { requests: 1, bytes: usize::MAX };

/// After so many steps of SQLite's machine, about a millisecond, it is looked whether a question should go on.
const LOOK_EVERY: i32 = 10_000;

/// A question, and until when it may take.
struct Question {
    answer: Box<dyn FnOnce(&Connection) + Send>,
    limit: Limit,
}

/// What ends a question before its answer.
#[derive(Clone)]
struct Limit {
    time: Duration,
    gone: Arc<AtomicBool>,
}

/// Whoever asked; dropped when the answer is there, or not wanted any more.
struct Asker(Arc<AtomicBool>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The limit of the question that a connection works on, and since when it does.
type Current = Arc<Mutex<Option<(Instant, Limit)>>>;

fn is_over(current: &Current) -> bool {
    let current = current.lock().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().is_some_and(|(begun, limit)| limit.gone.load(Ordering::Relaxed) || begun.elapsed() > limit.time)
}

fn open_one(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let conn = open::read_only(path, busy_timeout)?;
    search::attach(&conn, path).map_err(|error| OpenError::explain(path, &error))?;
    Ok(conn)
}

/// The way to the reading threads.
pub(super) struct Readers {
    queue: Arc<Queue<Question>>,
    time: Duration,
    observer: Arc<dyn Observer>,
}

impl Readers {
    /// Opens the connections and starts the threads. No question may take longer than `time`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn start(
        path: &Path,
        busy_timeout: Duration,
        time: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Vec<JoinHandle<()>>), OpenError> {
        let readers = Self { queue: Arc::new(Queue::new(WAITING, 0)), time, observer };
        let mut threads = Vec::new();
        for number in 0..READERS {
            let started = open_one(path, busy_timeout).and_then(|conn| readers.spawn(path, number, conn));
            // Those that have started must not wait for ever.
            threads.push(started.inspect_err(|_| readers.close())?);
        }
        Ok((readers, threads))
    }

    fn spawn(&self, path: &Path, number: usize, mut conn: Connection) -> Result<JoinHandle<()>, OpenError> {
        let (queue, current) = (Arc::clone(&self.queue), Current::default());
        let watched = Arc::clone(&current);
        conn.progress_handler(LOOK_EVERY, Some(move || is_over(&watched))).map_err(|error| OpenError::explain(path, &error))?;
        let serve = move || {
            while let Some(questions) = queue.take(ONE) {
                for Question { answer, limit } in questions {
                    *current.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), limit));
                    // A panic drops the question's answer, which its caller notices; the thread goes on.
                    let _ = catch_unwind(AssertUnwindSafe(|| answer(&conn)));
                }
            }
        };
        std::thread::Builder::new()
            .name(format!("store-reader-{number}"))
            .spawn(serve)
            .map_err(|error| OpenError::CannotOpen { path: path.to_owned(), reason: error.to_string() })
    }

    /// Has a question answered.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask_within(self.time, question).await
    }

    /// Has a question answered, however long it takes, as long as somebody waits for it.
    pub(super) async fn walk<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.ask_within(Duration::MAX, question).await
    }

    async fn ask_within<T: Send + 'static>(
        &self,
        time: Duration,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, outcome) = oneshot::channel();
        let job = move |conn: &Connection| {
            if !answer.is_closed() {
                let _ = answer.send(question(conn));
            }
        };
        let asker = Asker(Arc::default());
        let limit = Limit { time, gone: Arc::clone(&asker.0) };
        self.queue.push(Question { answer: Box::new(job), limit }, 0, Priority::New)?;
        match outcome.await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                let cause = describe(&error);
                self.observer.happened(&Happening::StoreFailed { cause: &cause });
                Err(StoreError::Unavailable(cause))
            }
            Err(_) => Err(closed()),
        }
    }

    /// Lets no more questions in; the threads end once they have answered what is queued.
    pub(super) fn close(&self) {
        self.queue.close();
    }
}
