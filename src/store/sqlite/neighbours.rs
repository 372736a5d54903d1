//! Other processes with the same file open: what they have changed, and how to leave them room. SQLite hands its lock to
//! whoever asks first, and waits ever longer between asking: a busy process would shut the others out.

use std::time::Duration;

use rusqlite::Connection;

/// What the writer knows of others.
#[derive(Default)]
pub(super) struct Neighbours {
    /// Changes whenever another connection has committed.
    version: Option<i64>,
    present: bool,
}

impl Neighbours {
    /// Looks, at the beginning of a transaction; returns whether others may have written since the last one.
    pub(super) fn look(&mut self, conn: &Connection, owner: i64) -> rusqlite::Result<bool> {
        let version = conn.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?;
        self.present = conn.prepare_cached("SELECT 1 FROM owner WHERE id <> ?1")?.exists([owner])?;
        Ok(self.version.replace(version) != Some(version))
    }

    /// The connection is another one: what it says cannot be compared.
    pub(super) fn forget(&mut self) {
        self.version = None;
    }

    /// How long to leave the lock alone after it was held for so long, in the interest of others. A third of the time is
    /// enough for whoever asks every 100 ms to get in within the busy timeout.
    pub(super) fn pause(&self, held: Duration) -> Option<Duration> {
        self.present.then(|| (held / 2).clamp(SHORTEST, LONGEST))
    }
}

const SHORTEST: Duration = Duration::from_micros(200);
const LONGEST: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_is_left_to_others_only_where_there_are_any() {
        let folder = tempfile::tempdir().unwrap();
        let connect = || Connection::open(folder.path().join("store.db")).unwrap();
        let (conn, other) = (connect(), connect());
        conn.execute_batch("CREATE TABLE owner (id INTEGER PRIMARY KEY); INSERT INTO owner VALUES (1)").unwrap();
        let mut neighbours = Neighbours::default();
        assert!(neighbours.look(&conn, 1).unwrap(), "nothing is known yet");
        assert!(!neighbours.look(&conn, 1).unwrap());
        assert_eq!(neighbours.pause(Duration::from_millis(8)), None);
        other.execute_batch("INSERT INTO owner VALUES (2)").unwrap();
        assert!(neighbours.look(&conn, 1).unwrap());
        assert_eq!(neighbours.pause(Duration::from_millis(8)), Some(Duration::from_millis(4)));
        assert_eq!(neighbours.pause(Duration::from_secs(9)), Some(LONGEST));
        neighbours.forget();
        assert!(neighbours.look(&conn, 1).unwrap());
    }
}
