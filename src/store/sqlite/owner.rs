//! Who holds leases. Every process that writes is an owner: a row in the database and a lock on a file beside it. The
//! operating system frees the lock when the process ends, however it ends, so leases of the dead are known at once.

use std::cell::RefCell;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::fault::Fault;
use super::open::OpenError;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::Timestamp;
use crate::failpoint;

/// This process as an owner, for as long as the value lives.
pub(super) struct Owner {
    id: i64,
    file: PathBuf,
    lock: RefCell<File>,
}

impl Owner {
    /// Registers a new owner.
    ///
    /// # Errors
    /// [`OpenError`] when the database or the lock file cannot be written.
    pub(super) fn register(conn: &Connection, database: &Path) -> Result<Self, OpenError> {
        let registered = Self::begin(conn, database);
        if registered.is_err() && !conn.is_autocommit() {
            let _ = conn.execute_batch("ROLLBACK");
        }
        registered
    }

    /// The lock is taken within the transaction: whoever sees the row later finds the lock held.
    fn begin(conn: &Connection, database: &Path) -> Result<Self, OpenError> {
        let explain = |error| OpenError::explain(database, &error);
        conn.execute_batch("BEGIN IMMEDIATE; UPDATE counter SET owner = owner + 1 WHERE id = 1").map_err(explain)?;
        let id = conn.query_row("SELECT owner FROM counter WHERE id = 1", (), |row| row.get(0)).map_err(explain)?;
        conn.execute("INSERT INTO owner (id) VALUES (?1)", [id]).map_err(explain)?;
        failpoint::reach("owner.inserted");
        let file = lock_file(database, id);
        let lock = lock(&file).map_err(|reason| OpenError::NotWritable { path: file.clone(), reason })?;
        failpoint::reach("owner.locked");
        conn.execute_batch("COMMIT").map_err(explain)?;
        failpoint::reach("owner.registered");
        Ok(Self { id, file, lock: RefCell::new(lock) })
    }

    /// Takes its place again, should another process have taken it for dead. To be called in a transaction.
    fn renew(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        unit.execute("INSERT INTO owner (id) VALUES (?1) ON CONFLICT DO NOTHING", [self.id])?;
        let inode = |found: std::io::Result<Metadata>| found.map(|file| (file.dev(), file.ino())).ok();
        let held = inode(self.lock.borrow().metadata());
        if held.is_none() || held != inode(self.file.metadata()) {
            let lock = lock(&self.file).map_err(|reason| Fault::Own(format!("the lock file cannot be written: {reason}")))?;
            self.lock.replace(lock);
        }
        Ok(())
    }

    /// Its number in the database.
    pub(super) fn id(&self) -> i64 {
        self.id
    }

    /// Goes without a trace, unless it still holds leases: then the next recovery finds it dead.
    pub(super) fn resign(&self, conn: &Connection) {
        failpoint::reach("owner.before-resign");
        let sql = "DELETE FROM owner WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE owner = ?1)";
        if conn.execute(sql, [self.id]).is_ok_and(|gone| gone > 0) {
            failpoint::reach("owner.resigned");
            let _ = std::fs::remove_file(&self.file);
        }
    }
}

/// Voids the leases of owners that are dead.
pub(super) struct Recover {
    /// When their deliveries fall due.
    pub(super) now: Timestamp,
}

impl Operation for Recover {
    type Output = u64;
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<u64, Fault> {
        unit.owner.renew(unit)?;
        let mut others = unit.conn.prepare_cached("SELECT id FROM owner WHERE id <> ?1")?;
        let others: Vec<i64> = others.query_map([unit.owner.id()], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        let mut voided = 0;
        for owner in others {
            let file = lock_file(unit.path, owner);
            let Some(_lock) = lock_of_the_dead(&file) else { continue };
            voided += unit.execute(VOID, (owner, self.now.as_millis()))?;
            failpoint::reach("recover.owner-voided");
            unit.execute("DELETE FROM owner WHERE id = ?1", [owner])?;
            // Should the transaction fail after this: an owner without a file is dead, too.
            let _ = std::fs::remove_file(&file);
            failpoint::reach("recover.owner-removed");
        }
        Ok(voided as u64)
    }
}

const VOID: &str = "UPDATE delivery SET owner = NULL, due_at = ?2 WHERE owner = ?1 AND state = 0";

/// Whether an owner that is not this process has died.
pub(super) fn is_dead(database: &Path, owner: i64) -> bool {
    lock_of_the_dead(&lock_file(database, owner)).is_some()
}

/// `Some` when the owner behind this file is dead, with the lock that proves it if there still is a file.
fn lock_of_the_dead(file: &Path) -> Option<Option<File>> {
    match OpenOptions::new().write(true).open(file) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => Some(Some(lock)),
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => None,
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(None),
        Err(_) => None,
    }
}

/// The locked file, made if need be; else why not.
fn lock(file: &Path) -> Result<File, String> {
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(file).map_err(|error| error.to_string())?;
    lock.try_lock().map_err(|error| error.to_string())?;
    Ok(lock)
}

fn lock_file(database: &Path, owner: i64) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(format!("-owner-{owner}"));
    name.into()
}
