//! What is done with a database file without a server, or beside one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::keep;
use crate::domain::{Clock as _, Silent, SystemClock};
use crate::history::History;
use crate::store::sqlite::{self, BackupError, OpenError, Options, SqliteStore};
use crate::store::{Inbox as _, Prunable, Pruned};

/// How old what is kept may become.
#[derive(Debug, Clone, Copy)]
pub struct Ages {
    /// Headers, bodies and attempts.
    pub bodies: Duration,
    /// Events, wholly: at least as old as bodies.
    pub ids: Duration,
}

/// Opens a database file to read its history.
///
/// # Errors
/// [`OpenError`] when there is none, or none that can be read.
pub fn open_history_at(path: &Path) -> Result<History, OpenError> {
    Ok(History::new(Arc::new(SqliteStore::open_read_only(path)?)))
}

/// The secret that a source has been told in a handshake, from a database file.
///
/// # Errors
/// [`OpenError`] when there is no such database, [`StoreError`](crate::store::StoreError) when it cannot be read.
pub async fn learned_secret(database: &Path, source: &str) -> anyhow::Result<Option<SecretString>> {
    Ok(SqliteStore::open_read_only(database)?.learned(source.into()).await?)
}

/// Forgets the secret that a source has been told. Returns whether there was one.
///
/// # Errors
/// [`OpenError`] when there is no such database, [`StoreError`](crate::store::StoreError) when it cannot be written.
pub async fn forget_secret(database: &Path, source: &str) -> anyhow::Result<bool> {
    let store = open_existing(database)?;
    let forgotten = store.forget(source.into()).await;
    store.close().await;
    Ok(forgotten?)
}

/// Forgets what is older, in small transactions, as a running server does. Told to stop, it returns what
/// is gone so far.
///
/// # Errors
/// [`OpenError`] when there is no such database, [`StoreError`](crate::store::StoreError) when it cannot be written.
pub async fn prune(database: &Path, ages: Ages, stop: &CancellationToken) -> anyhow::Result<Pruned> {
    let store = open_existing(database)?;
    let (history, mut total) = (History::new(Arc::new(store.clone())), Pruned::default());
    let outcome = tokio::select! {
        outcome = keep::forget(&history, keep::due(ages.bodies, ages.ids, SystemClock.now()), &mut total) => outcome,
        () = stop.cancelled() => Ok(()),
    };
    store.close().await;
    outcome?;
    Ok(total)
}

/// What [`prune`] would forget. Changes nothing.
///
/// # Errors
/// [`OpenError`] when there is no such database, [`StoreError`](crate::store::StoreError) when it cannot be read.
pub async fn prunable(database: &Path, ages: Ages) -> anyhow::Result<Prunable> {
    Ok(open_history_at(database)?.prunable(keep::due(ages.bodies, ages.ids, SystemClock.now())).await?)
}

/// Copies a database to a file, while a server uses it or not, and returns the copy's size. It takes its time: not for threads that
/// others wait for.
///
/// # Errors
/// [`BackupError`]; then there is no such file, or it is as it was.
pub fn backup(database: &Path, to: &Path, replace: bool, stop: &dyn Fn() -> bool) -> Result<u64, BackupError> {
    sqlite::backup(database, to, replace, stop)
}

/// Opens a database to write to it, which is there.
fn open_existing(database: &Path) -> Result<SqliteStore, OpenError> {
    // Opening to read first: a database that is not there is not made here.
    drop(SqliteStore::open_read_only(database)?);
    SqliteStore::open(database, &Options::default(), Arc::new(Silent))
}
