//! Parts of the index: each holds the words of neighbouring events, received within a limited time. What has been pruned is
//! not taken out of them; a part goes as a whole once nothing of its events is stored.

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior};

/// The most events of a part. A question goes through a part at a time, and that must not take long.
pub(super) const MOST: i64 = 1 << 17;

/// How many rows of a part that goes are dropped in one step.
const CHUNK: usize = 200;

/// The words of events.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Part {
    pub(in super::super) id: i64,
    /// The first event.
    pub(in super::super) low: i64,
    /// The last one.
    pub(in super::super) high: i64,
    pub(super) begun_at: i64,
}

/// Those that can be asked, oldest first. The schema is that of the index as the connection knows it.
pub(super) fn all(conn: &Connection, schema: &str) -> rusqlite::Result<Vec<Part>> {
    let sql = format!("SELECT id, low, high, begun_at FROM {schema}.part WHERE is_going = 0 ORDER BY low");
    conn.prepare_cached(&sql)?.query_map((), read)?.collect()
}

/// The one that is being filled, if any.
pub(super) fn last(conn: &Connection) -> rusqlite::Result<Option<Part>> {
    conn.query_row("SELECT id, low, high, begun_at FROM part WHERE is_going = 0 ORDER BY low DESC LIMIT 1", (), read).optional()
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Part> {
    Ok(Part { id: row.get(0)?, low: row.get(1)?, high: row.get(2)?, begun_at: row.get(3)? })
}

/// Begins a part with an event. No copies of the texts, no positions, no sizes: only which words are in which event. Deleting
/// leaves nothing behind.
pub(super) fn begin(conn: &Connection, seq: i64, received_at: i64) -> rusqlite::Result<Part> {
    conn.execute("INSERT INTO part (low, high, begun_at) VALUES (?1, ?1, ?2)", (seq, received_at))?;
    let id = conn.last_insert_rowid();
    conn.execute_batch(&format!(
        "CREATE VIRTUAL TABLE words_{id} USING fts5(words, content='', detail=none, columnsize=0, tokenize=\"ascii tokenchars '_'\");
         INSERT INTO words_{id} (words_{id}, rank) VALUES ('secure-delete', 1);"
    ))?;
    Ok(Part { id, low: seq, high: seq, begun_at: received_at })
}

/// Drops some of what nobody can find any more. Returns whether there may be more.
pub(super) fn sweep(index: &mut Connection, main: &Connection) -> rusqlite::Result<bool> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let going = transaction.query_row("SELECT id FROM part WHERE is_going = 1 LIMIT 1", (), |row| row.get(0)).optional()?;
    forget_erased(&transaction, main)?;
    let has_more = match going {
        Some(id) => {
            drop_some(&transaction, id)?;
            true
        }
        None => match all(&transaction, "main")?.into_iter().find_map(|part| is_empty(main, part).transpose()) {
            Some(empty) => transaction.execute("UPDATE part SET is_going = 1 WHERE id = ?1", [empty?])? > 0,
            None => false,
        },
    };
    transaction.commit()?;
    Ok(has_more)
}

/// What is older than any body cannot come again.
fn forget_erased(index: &Connection, main: &Connection) -> rusqlite::Result<()> {
    let oldest: Option<i64> = main.query_row("SELECT min(seq) FROM payload", (), |row| row.get(0))?;
    index.execute("DELETE FROM erased WHERE seq < ?1", [oldest.unwrap_or(0)])?;
    Ok(())
}

/// The part's ID if nothing of its events is stored.
fn is_empty(main: &Connection, part: Part) -> rusqlite::Result<Option<i64>> {
    let mut any = main.prepare_cached("SELECT 1 FROM payload WHERE seq BETWEEN ?1 AND ?2 LIMIT 1")?;
    Ok((!any.exists((part.low, part.high))?).then_some(part.id))
}

/// Drops all of what is on its way out and may hold the words of an event.
pub(super) fn drop_with(conn: &Connection, seq: i64) -> rusqlite::Result<()> {
    let sql = "SELECT id FROM part WHERE is_going = 1 AND ?1 BETWEEN low AND high";
    let going = conn.prepare(sql)?.query_map([seq], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    for id in going {
        while !drop_some(conn, id)? {}
    }
    Ok(())
}

/// Returns whether the part is gone. The rows first, a few at a time: dropping a table writes all of it at once.
fn drop_some(conn: &Connection, id: i64) -> rusqlite::Result<bool> {
    let rows = format!("DELETE FROM words_{id}_data WHERE id IN (SELECT id FROM words_{id}_data LIMIT {CHUNK})");
    if conn.execute(&rows, ())? == CHUNK {
        return Ok(false);
    }
    conn.execute_batch(&format!("DROP TABLE words_{id}"))?;
    conn.execute("DELETE FROM part WHERE id = ?1", [id])?;
    Ok(true)
}
