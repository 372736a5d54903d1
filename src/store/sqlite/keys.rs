//! The unique keys, in levels: of identities, and of contents where the signature does not cover the identity. A key is a
//! hash and lies anywhere: in one large table each event would cost a page of its own. New keys go to a small table whose
//! few pages are written with every commit anyway, and from there, a range of neighbours at a time, to larger ones, where a
//! page takes up several of them.
//!
//! A key is in one level only, and only the database is asked: what is kept in memory here is where to go on.

use rusqlite::{Connection, OptionalExtension as _};
use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::unit::Unit;

/// The unique key of an event's identity, or of its content.
pub(super) type Key = [u8; 16];

/// The key of an event's identity.
pub(super) fn key(source: &str, event_id: &str) -> Key {
    let digest = Sha256::new().chain_update(source).chain_update([0]).chain_update(event_id).finalize();
    std::array::from_fn(|at| digest[at])
}

/// The key of an event's content. What is hashed begins with a NUL, as no source's name does: whatever ID somebody thinks up,
/// its key is not that of a content.
pub(super) fn content_key(source: &str, digest: &[u8; 32]) -> Key {
    let digest = Sha256::new().chain_update([0]).chain_update(source).chain_update([0]).chain_update(digest).finalize();
    std::array::from_fn(|at| digest[at])
}

/// How many keys there are in each level but the last, which has no bound.
pub(super) type Counts = [i64; 2];

/// When keys go down a level.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Beyond so many keys of a level.
    pub(crate) keys: Counts,
    /// So many at a time: what a commit may take longer for it.
    pub(crate) step: i64,
}

impl Default for Bounds {
    /// Measured: smaller levels cost pages of the next one, larger ones pages of their own.
    fn default() -> Self {
        Self { keys: [1_024, 32_768], step: 256 }
    }
}

/// Inserts the key unless some level has it; returns whether it was new. The levels below are only read.
pub(super) fn insert(unit: &mut Unit<'_>, key: Key, seq: i64) -> Result<bool, Fault> {
    let inserted = unit.execute(INSERT, (key, seq))? == 1;
    unit.key_counts()?[0] += i64::from(inserted);
    Ok(inserted)
}

pub(super) const INSERT: &str = "
    INSERT INTO key_0 (key, seq) SELECT ?1, ?2
    WHERE NOT EXISTS (SELECT 1 FROM key_1 WHERE key = ?1) AND NOT EXISTS (SELECT 1 FROM key_2 WHERE key = ?1)
    ON CONFLICT DO NOTHING";

/// Deletes a key of an event from the level that has it; returns how many rows that were.
pub(super) fn erase(unit: &mut Unit<'_>, key: Key, seq: i64) -> Result<usize, Fault> {
    // What is deleted is old: it is most often at the bottom.
    for (level, sql) in DELETE.iter().enumerate().rev() {
        if unit.execute(sql, (key, seq))? == 1 {
            if let Some(count) = unit.key_counts()?.get_mut(level) {
                *count -= 1;
            }
            return Ok(1);
        }
    }
    Ok(0)
}

const DELETE: [&str; 3] = [
    "DELETE FROM key_0 WHERE key = ?1 AND seq = ?2",
    "DELETE FROM key_1 WHERE key = ?1 AND seq = ?2",
    "DELETE FROM key_2 WHERE key = ?1 AND seq = ?2",
];

/// The number of the event with this key, of whatever level.
pub(super) fn find(conn: &Connection, key: Key) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(FIND)?.query_row([key], |row| row.get(0)).optional()
}

/// Goes through the view over all levels.
pub(super) const FIND: &str = "SELECT seq FROM event_key WHERE key = ?1";

/// No more steps of a level at one commit: enough for a full batch with two keys an event, and no backlog is made up for all
/// at once.
const STEPS: usize = 8;
/// For so many commits keys stay where they are after they could not be merged.
const REST: u32 = 1_000;

/// Takes keys down, as the last thing before a commit.
#[derive(Default)]
pub(super) struct Merge {
    bounds: Bounds,
    /// The key after which each level goes on, so that a range has had the longest time to fill. Any would do.
    after: [Vec<u8>; 2],
    rest: u32,
}

impl Merge {
    /// With these bounds.
    pub(super) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Brings the levels back to their bounds.
    ///
    /// # Errors
    /// [`Fault::Learned`] when something is wrong with the keys that were to go down: the next call lets them be.
    pub(super) fn run(&mut self, conn: &Connection, counts: &mut Counts) -> Result<(), Fault> {
        if self.rest > 0 {
            self.rest -= 1;
            return Ok(());
        }
        self.run_all(conn, counts).map_err(|error| match error.into() {
            fault @ (Fault::Own(_) | Fault::Damage(_)) => {
                self.rest = REST;
                Fault::Learned(format!("keys cannot be merged: {}", fault.cause()))
            }
            fault => fault,
        })
    }

    fn run_all(&mut self, conn: &Connection, counts: &mut Counts) -> rusqlite::Result<()> {
        for level in 0..counts.len() {
            for _ in 0..STEPS {
                if counts[level] > self.bounds.keys[level] {
                    self.step(conn, level, counts)?;
                }
            }
        }
        Ok(())
    }

    fn step(&mut self, conn: &Connection, level: usize, counts: &mut Counts) -> rusqlite::Result<()> {
        let Statements { last, copy, delete } = STATEMENTS[level];
        let after = std::mem::take(&mut self.after[level]);
        let last: Option<Vec<u8>> = conn.prepare_cached(last)?.query_row((&after, self.bounds.step - 1), |row| row.get(0)).optional()?;
        // Noted before it is done: should it fail, another range is next.
        let upto = last.as_deref().unwrap_or(&END);
        self.after[level] = last.clone().unwrap_or_default();
        conn.prepare_cached(copy)?.execute((&after, upto))?;
        let moved = conn.prepare_cached(delete)?.execute((&after, upto))? as i64;
        // Through all of it in one step: nothing is left, whatever was counted.
        counts[level] = if after.is_empty() && last.is_none() { 0 } else { counts[level] - moved };
        if let Some(below) = counts.get_mut(level + 1) {
            *below += moved;
        }
        Ok(())
    }
}

/// Beyond every key.
const END: [u8; 17] = [0xff; 17];

/// What takes keys from one level to the next.
pub(super) struct Statements {
    /// The last key of a step.
    pub(super) last: &'static str,
    /// In the order of keys, page by page.
    pub(super) copy: &'static str,
    /// After that.
    pub(super) delete: &'static str,
}

pub(super) const STATEMENTS: [Statements; 2] = [
    Statements {
        last: "SELECT key FROM key_0 WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2",
        copy: "INSERT INTO key_1 SELECT key, seq FROM key_0 WHERE key > ?1 AND key <= ?2 ORDER BY key",
        delete: "DELETE FROM key_0 WHERE key > ?1 AND key <= ?2",
    },
    Statements {
        last: "SELECT key FROM key_1 WHERE key > ?1 ORDER BY key LIMIT 1 OFFSET ?2",
        copy: "INSERT INTO key_2 SELECT key, seq FROM key_1 WHERE key > ?1 AND key <= ?2 ORDER BY key",
        delete: "DELETE FROM key_1 WHERE key > ?1 AND key <= ?2",
    },
];
