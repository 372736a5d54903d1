//! Threads that read, each with a connection of its own: questions never wait for the writer, nor it for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::fault::describe;
use super::open::{self, OpenError};
use super::queue::{Bounds, Priority, Queue, closed};
use crate::domain::{Happening, Observer};
use crate::store::StoreError;

/// How many threads read.
const READERS: usize = 2;
/// How many questions may wait.
const WAITING: Bounds = Bounds { requests: 256, bytes: usize::MAX };
const ONE: Bounds = Bounds { requests: 1, bytes: usize::MAX };

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The way to the reading threads.
pub(super) struct Readers {
    queue: Arc<Queue<Question>>,
    observer: Arc<dyn Observer>,
}

impl Readers {
    /// Opens the connections and starts the threads.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn start(
        path: &Path,
        busy_timeout: Duration,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Vec<JoinHandle<()>>), OpenError> {
        let readers = Self { queue: Arc::new(Queue::new(WAITING, 0)), observer };
        let mut threads = Vec::new();
        for number in 0..READERS {
            let started = open::read_only(path, busy_timeout).and_then(|conn| readers.spawn(path, number, conn));
            // Those that have started must not wait for ever.
            threads.push(started.inspect_err(|_| readers.close())?);
        }
        Ok((readers, threads))
    }

    fn spawn(&self, path: &Path, number: usize, conn: Connection) -> Result<JoinHandle<()>, OpenError> {
        let queue = Arc::clone(&self.queue);
        let serve = move || {
            while let Some(questions) = queue.take(ONE) {
                for question in questions {
                    // A panic drops the question's answer, which its caller notices; the thread goes on.
                    let _ = catch_unwind(AssertUnwindSafe(|| question(&conn)));
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
        let (answer, outcome) = oneshot::channel();
        let job = move |conn: &Connection| {
            if !answer.is_closed() {
                let _ = answer.send(question(conn));
            }
        };
        self.queue.push(Box::new(job), 0, Priority::New)?;
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
