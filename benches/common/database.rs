//! What a database holds beside the rows that are multiplied: the keys of identities, and which numbers a minute has.

use rusqlite::{Connection, params};
use sha2::{Digest as _, Sha256};

/// The key of an event's identity.
pub(crate) fn key(source: &str, id: &str) -> [u8; 16] {
    let digest = Sha256::new().chain_update(source).chain_update([0]).chain_update(id).finalize();
    std::array::from_fn(|at| digest[at])
}

/// Inserts keys into the level where old ones lie. In their own order, or each would touch a page of its own.
///
/// # Errors
/// When the database has no such level.
pub(crate) fn insert_keys(connection: &Connection, mut keys: Vec<([u8; 16], i64)>) -> rusqlite::Result<()> {
    keys.sort_unstable();
    let mut insert = connection.prepare("INSERT INTO key_2 (key, seq) VALUES (?1, ?2)")?;
    keys.iter().try_for_each(|(key, seq)| insert.execute(params![key, seq]).map(drop))
}

/// Counts so many events, each with a delivery, and notes the range of each minute: numbers ascend with time here.
///
/// # Errors
/// When the database has no such tables.
pub(crate) fn count(connection: &Connection, events: i64) -> rusqlite::Result<()> {
    connection.execute("UPDATE counter SET event = ?1, delivery = ?1", [events])?;
    connection.execute_batch(SPANS)
}

const SPANS: &str = "
    DELETE FROM span;
    INSERT INTO span (kind, minute, low, high) SELECT 0, received_at / 60000, min(seq), max(seq) FROM event GROUP BY 2;
    INSERT INTO span (kind, minute, low, high) SELECT 1, created_at / 60000, min(id), max(id) FROM delivery GROUP BY 2;";
