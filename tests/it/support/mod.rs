//! What the tests stand on: the program in this process or as a process of its own, a destination that records, requests
//! signed as their senders sign them, and waiting for a condition.

pub(crate) mod app;
pub(crate) mod command;
pub(crate) mod process;
pub(crate) mod raw;
pub(crate) mod receiver;
pub(crate) mod remote;
pub(crate) mod signed;
pub(crate) mod tls;

pub(crate) use app::{Answer, TestApp};
pub(crate) use process::Process;
pub(crate) use raw::Raw;
pub(crate) use receiver::{Behaviour, Receiver};
pub(crate) use signed::{Request, github, stripe, stripe_body};

use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the condition holds; fails the test when it does not within [`PATIENCE`].
pub(crate) async fn until<F: Future<Output = bool>>(what: impl std::fmt::Display, mut condition: impl FnMut() -> F) {
    let waiting = async {
        let mut poll = tokio::time::interval(Duration::from_millis(5));
        while !condition().await {
            poll.tick().await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain until {what}");
}

/// The database, locked by somebody else until this transaction ends.
pub(crate) fn locked(database: &Path) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(database).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    other
}

/// No sender's host can be reached.
pub(crate) struct Unreachable;

#[async_trait::async_trait]
impl onceward::ingest::Fetch for Unreachable {
    async fn fetch(&self, _: &str, _: &[String]) -> Result<bytes::Bytes, String> {
        Err("no route".to_owned())
    }
}
