//! The contract on SQLite, and what only this engine can do wrong.

mod asking;
mod damage;
mod faults;
mod keys;
mod log;
mod migrating;
mod naming;
mod opening;
mod plans;
mod searching;

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};
use std::time::Duration;

use rusqlite::Connection;

use super::fault::Fault;
use super::keys::Bounds;
use super::unit::{Operation, Unit};

use super::{Options, SqliteStore};
use crate::domain::{Happening, Observer, Silent};
use crate::store::StoreError;
use crate::store::contract::{self, Harness};

/// A store in a folder of its own.
struct InAFolder(tempfile::TempDir);

impl InAFolder {
    fn path(&self) -> PathBuf {
        self.0.path().join("store.db")
    }

    fn open_with(&self, options: &Options) -> (SqliteStore, Arc<Seen>) {
        let seen = Arc::new(Seen::default());
        (SqliteStore::open(&self.path(), options, Arc::clone(&seen) as Arc<dyn Observer>).unwrap(), seen)
    }

    /// A connection beside the store's own.
    fn connect(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn options() -> Options {
    Options {
        rejections_per_source: contract::REJECTIONS,
        rejection_bytes_per_source: contract::REJECTION_BYTES,
        // Machines that run tests can be slow.
        busy_timeout: Duration::from_secs(30),
        // Keys change their level all the time.
        keys: Bounds { keys: [2, 4], step: 2 },
        ..Options::default()
    }
}

/// Remembers the sizes of commits, and why others failed.
#[derive(Default)]
struct Seen {
    commits: Mutex<Vec<usize>>,
    failures: Mutex<Vec<String>>,
}

impl Observer for Seen {
    fn happened(&self, happening: &Happening<'_>) {
        match happening {
            Happening::Committed { operations, .. } => self.commits.lock().unwrap().push(*operations),
            Happening::StoreFailed { cause } => self.failures.lock().unwrap().push((*cause).to_owned()),
            _ => {}
        }
    }
}

/// Runs SQL on the writer's connection.
struct Run(&'static str);

impl Operation for Run {
    type Output = ();

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        Ok(unit.conn.execute_batch(self.0)?)
    }
}

/// Panics in the writer.
struct Panics;

impl Operation for Panics {
    type Output = ();

    fn run(&self, _: &mut Unit<'_>) -> Result<(), Fault> {
        panic!("a test's panic")
    }
}

/// Holds the writer up, so that a test decides what lies in the next batch.
struct Hold(Sender<()>, Mutex<Receiver<()>>);

impl Operation for Hold {
    type Output = ();

    fn run(&self, _: &mut Unit<'_>) -> Result<(), Fault> {
        self.0.send(()).unwrap();
        let _ = self.1.lock().unwrap().recv();
        Ok(())
    }
}

type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Begins a call: puts it into the queue.
fn begin<'a, T>(call: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> Pending<'a, T> {
    let mut call: Pending<'a, T> = Box::pin(call);
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    call
}

/// Holds the writer up until the sender is dropped.
fn hold(store: &SqliteStore) -> (Sender<()>, Pending<'_, ()>) {
    let (entered, entering) = channel();
    let (release, released) = channel();
    let held = begin(store.write(Hold(entered, Mutex::new(released))));
    entering.recv().unwrap();
    (release, held)
}

impl Harness for InAFolder {
    type Store = SqliteStore;

    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> SqliteStore {
        SqliteStore::open(&self.path(), &options(), Arc::new(Silent)).unwrap()
    }

    async fn close(&self, store: SqliteStore) {
        store.close().await;
    }

    async fn crash(&self, store: SqliteStore) {
        store.kill();
    }
}

contract::contract!(InAFolder);
