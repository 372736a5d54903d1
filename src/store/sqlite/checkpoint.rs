//! Keeping the log short. SQLite would do it within a commit, while everybody in it waits for the answer; here the writer
//! does it between batches, after the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::hooks::Wal;

use super::fault::Fault;
use crate::failpoint;

/// A checkpoint is due when the log holds so many pages: few enough to stay in the page cache, and quickly written back.
const PAGES: i64 = 1_500;
/// From so many pages on (64 MiB) readers that keep the log from being used anew are waited for.
const TOO_MANY: i64 = 16_384;
/// But only for so long at a time: nobody is answered meanwhile.
const PATIENCE: Duration = Duration::from_millis(250);

/// The log as the writer's commits see it.
#[derive(Default)]
pub(super) struct Log {
    pages: Arc<AtomicI64>,
    /// How many they were at the last checkpoint. The next commit begins anew from the start, unless a reader still uses the
    /// log: then it is looked at again when it has grown as much again.
    seen: i64,
    /// Whether it is to be emptied, because it holds what has been erased.
    unclean: bool,
}

impl Log {
    /// Has a connection report its commits here, and no more keep the log short by itself.
    pub(super) fn watch(&self, conn: &mut Connection) -> rusqlite::Result<()> {
        let pages = Arc::clone(&self.pages);
        conn.wal_hook(Some(move |_: &mut Wal, count: i32| {
            pages.store(count.into(), Ordering::Relaxed);
            Ok(())
        }))
    }

    /// What is being committed erases something: nothing of it may stay in the log.
    pub(super) fn empty_soon(&mut self) {
        self.unclean = true;
    }

    /// Whether all that has been erased is gone from the log.
    pub(super) fn is_clean(&self) -> bool {
        !self.unclean
    }

    /// Empties the log, if no reader keeps it from being used anew; else the next time.
    fn empty(&mut self, conn: &Connection, busy_timeout: Duration) -> Result<(), Fault> {
        conn.busy_timeout(PATIENCE.min(busy_timeout))?;
        let busy = conn.prepare_cached("PRAGMA wal_checkpoint(TRUNCATE)")?.query_row((), |row| row.get::<_, i64>(0));
        conn.busy_timeout(busy_timeout)?;
        self.unclean = busy? != 0;
        Ok(())
    }

    /// Writes the log back if it has grown enough. `busy_timeout` is the connection's own.
    pub(super) fn shorten(&mut self, conn: &Connection, busy_timeout: Duration) -> Result<(), Fault> {
        if self.unclean {
            self.empty(conn, busy_timeout)?;
        }
        let pages = self.pages.load(Ordering::Relaxed);
        if pages < self.seen {
            self.seen = 0;
        }
        if pages < self.seen + PAGES {
            return Ok(());
        }
        self.seen = pages;
        failpoint::reach("store.before-checkpoint");
        checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)")?;
        failpoint::reach("store.after-checkpoint");
        if pages >= TOO_MANY {
            conn.busy_timeout(PATIENCE.min(busy_timeout))?;
            let restarted = checkpoint(conn, "PRAGMA wal_checkpoint(RESTART)");
            conn.busy_timeout(busy_timeout)?;
            restarted?;
        }
        Ok(())
    }
}

/// A reader in the way is no error: the result's row tells of it.
fn checkpoint(conn: &Connection, sql: &str) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.query_row((), |_| Ok(()))
}
