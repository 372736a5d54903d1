//! Events by the words in them. The words are kept in a file of their own beside the database, by a thread of its own that
//! follows the database: recording an event neither waits for it nor writes more. What it has not come to yet is looked
//! through, so that answers are whole; without the file they are, too, and it can be made anew from the database at any time.

mod erase;
mod fill;
mod index;
mod parts;
#[cfg(test)]
pub(super) mod testing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::oneshot;

pub(super) use fill::{source_word, type_word};
pub(super) use index::{attach, bytes};
pub(super) use parts::Part;

use self::fill::Filler;
use super::fault::describe;
use super::open::{self, OpenError};
use super::queue::closed;
use crate::domain::{Happening, Observer};
use crate::store::StoreError;

/// How long there is nothing to do once the thread has caught up.
const IDLE: Duration = Duration::from_secs(1);
/// How long it leaves alone what has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(10);
/// How many times as long as a step the pause after it is: a quarter of a processor at most.
const PAUSE: u32 = 3;
/// The same while much comes in, which is more urgent.
const LONG_PAUSE: u32 = 19;
/// So many events a second are much.
const MUCH: f64 = 2_000.0;
/// How often it is looked whether old parts can go.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How many orders may wait.
const WAITING: usize = 64;

/// What the thread is made with.
pub(super) struct Settings {
    /// The database.
    pub(super) path: PathBuf,
    /// How long to wait for another process's transaction.
    pub(super) busy_timeout: Duration,
    /// Sources whose events are left out.
    pub(super) unsearched: Arc<[String]>,
    /// How long bodies are kept: parts that go as a whole must not outlive them by much.
    pub(super) bodies: Duration,
    /// Is told of failures.
    pub(super) observer: Arc<dyn Observer>,
}

/// What the thread is told.
enum Order {
    /// The words of this event are to go, and none of them is to come again.
    Erase { seq: i64, answer: oneshot::Sender<rusqlite::Result<bool>> },
    /// That was all.
    Close,
}

/// The way to the thread.
pub(super) struct Search {
    orders: SyncSender<Order>,
}

impl Search {
    /// Opens the file, makes it anew if it does not belong to the database, and starts the thread.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(super) fn start(settings: Settings) -> Result<(Self, Searching), OpenError> {
        let main = open::read_only(&settings.path, settings.busy_timeout)?;
        let mut index = index::open(&settings.path, settings.busy_timeout)?;
        index::check(&mut index, &main).map_err(|error| OpenError::explain(&settings.path, &error))?;
        let (orders, received) = sync_channel(WAITING);
        let filler = Filler::new(Arc::clone(&settings.unsearched), settings.bodies);
        let keeper = Keeper { main, index, filler, swept: None, looked: None, observer: settings.observer };
        let builder = std::thread::Builder::new().name("store-search".to_owned());
        let thread = builder.spawn(move || keeper.serve(&received)).map_err(|error| cannot_open(&settings.path, &error))?;
        Ok((Self { orders: orders.clone() }, Searching { orders, thread }))
    }

    /// Erases the words of an event, from the file and from its log. Afterwards none of them comes again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; safe to repeat.
    pub(super) async fn erase(&self, seq: i64) -> Result<(), StoreError> {
        let (answer, outcome) = oneshot::channel();
        self.orders.try_send(Order::Erase { seq, answer }).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::QueueFull,
            TrySendError::Disconnected(_) => closed(),
        })?;
        match outcome.await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(StoreError::Unavailable("words of what was erased are still in a log, because somebody reads".to_owned())),
            Ok(Err(error)) => Err(StoreError::Unavailable(describe(&error))),
            Err(_) => Err(closed()),
        }
    }
}

/// The thread while it runs.
pub(super) struct Searching {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

impl Searching {
    /// Waits until it has done what it was told. Its connection should be the last one to the file that is closed: only one that
    /// can write takes the log with it.
    pub(super) fn end(self) {
        // Where there is no thread any more, none has to end.
        let _ = self.orders.send(Order::Close);
        let _ = self.thread.join();
    }
}

fn cannot_open(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::CannotOpen { path: path.to_owned(), reason: error.to_string() }
}

/// What the thread owns.
struct Keeper {
    main: Connection,
    index: Connection,
    filler: Filler,
    /// When it was looked for old parts.
    swept: Option<Instant>,
    /// When it was looked how far the database is, and how far it was.
    looked: Option<(Instant, i64)>,
    observer: Arc<dyn Observer>,
}

impl Keeper {
    fn serve(mut self, orders: &Receiver<Order>) {
        loop {
            let pause = self.step().unwrap_or_else(|error| {
                self.observer.happened(&Happening::StoreFailed { cause: &format!("the words to search by: {}", describe(&error)) });
                AFTER_FAILURE
            });
            match orders.recv_timeout(pause) {
                Ok(Order::Erase { seq, answer }) => {
                    // Whoever asked may have gone.
                    let _ = answer.send(erase::erase(&mut self.index, &self.main, seq));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Order::Close) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// A little work, and how long to rest after it.
    fn step(&mut self) -> rusqlite::Result<Duration> {
        let begun = Instant::now();
        let factor = if self.is_busy(begun)? { LONG_PAUSE } else { PAUSE };
        // Both, or what is old would stay for as long as new events come.
        let (filled, swept) = (self.filler.fill(&mut self.index, &self.main)?, self.sweep(begun)?);
        Ok(if filled || swept { begun.elapsed() * factor } else { IDLE })
    }

    /// Whether much is coming in.
    fn is_busy(&mut self, now: Instant) -> rusqlite::Result<bool> {
        let newest = index::newest(&self.main)?;
        let before = self.looked.replace((now, newest));
        let rate = |(then, seq): (Instant, i64)| (newest - seq) as f64 / now.duration_since(then).as_secs_f64().max(0.001);
        Ok(before.is_some_and(|before| rate(before) > MUCH))
    }

    /// Drops a bit of what nobody can find any more. Returns whether there may be more.
    fn sweep(&mut self, now: Instant) -> rusqlite::Result<bool> {
        if self.swept.is_some_and(|swept| now.duration_since(swept) < SWEEP_EVERY) {
            return Ok(false);
        }
        let has_more = parts::sweep(&mut self.index, &self.main)?;
        if !has_more {
            self.swept = Some(now);
        }
        Ok(has_more)
    }
}

/// The parts that a connection can ask, oldest first, and the first event that is in none yet. Without words, that is the first
/// of all.
pub(super) fn parts(conn: &Connection) -> rusqlite::Result<(Vec<Part>, i64)> {
    if !index::is_attached(conn)? {
        return Ok((Vec::new(), 0));
    }
    let next = conn.prepare_cached("SELECT seq + 1 FROM search.reached")?.query_row((), |row| row.get(0))?;
    Ok((parts::all(conn, "search")?, next))
}

/// Asks a part for the events from one to another that have all of these words, in the direction.
pub(super) fn ask_part(id: i64, direction: &str) -> String {
    let table = format!("words_{id}");
    format!("SELECT rowid FROM search.{table} WHERE {table} MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid {direction} LIMIT ?4")
}
