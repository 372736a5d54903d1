//! Taking the words of one event out, so that nothing of them is left in the file or in its log.

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::{fill, parts};
use crate::failpoint;

/// How often emptying the log is tried, each time for as long as the connection waits for a lock.
const CLEANINGS: usize = 3;

/// Erases the words of an event, before its body goes. Returns whether the log holds nothing of them any more.
pub(super) fn erase(index: &mut Connection, main: &Connection, seq: i64) -> rusqlite::Result<bool> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Kept: what has no words yet gets none, until its body is gone.
    transaction.execute("INSERT INTO erased (seq) VALUES (?1) ON CONFLICT DO NOTHING", [seq])?;
    let source = main.query_row("SELECT source FROM event WHERE seq = ?1", [seq], |row| row.get(0)).optional()?;
    if let Some(source) = source {
        take_out(&transaction, seq, &fill::source_word(source), fill::kept(main, seq)?.as_deref())?;
    }
    transaction.commit()?;
    failpoint::reach("search.erased");
    for _ in 0..CLEANINGS {
        let busy: i64 = index.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| row.get(0))?;
        if busy == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Also out of a part that is on its way out: the rest of that goes now.
fn take_out(transaction: &Transaction<'_>, seq: i64, source: &str, words: Option<&str>) -> rusqlite::Result<()> {
    let holds = |part: &parts::Part| part.low <= seq && seq <= part.high;
    for part in parts::all(transaction, "main")?.into_iter().filter(holds) {
        let table = format!("words_{}", part.id);
        // Only what is there can be taken out.
        let there = format!("SELECT 1 FROM {table} WHERE {table} MATCH ?1 AND rowid = ?2");
        if !transaction.prepare(&there)?.exists((format!("\"{source}\""), seq))? {
            continue;
        }
        let words = words.map_or_else(|| gathered(transaction, &table, seq), |words| Ok(words.to_owned()))?;
        let delete = format!("INSERT INTO {table} ({table}, rowid, words) VALUES ('delete', ?1, ?2)");
        transaction.execute(&delete, (seq, words))?;
    }
    parts::drop_with(transaction, seq)
}

/// The words of an event whose body has been pruned: what the whole part says of it. That takes long, and is seldom.
fn gathered(transaction: &Transaction<'_>, table: &str, seq: i64) -> rusqlite::Result<String> {
    transaction.execute_batch(&format!("CREATE VIRTUAL TABLE temp.instance USING fts5vocab('main', '{table}', 'instance')"))?;
    let words = {
        let mut statement = transaction.prepare("SELECT term FROM temp.instance WHERE doc = ?1")?;
        statement.query_map([seq], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?
    };
    transaction.execute_batch("DROP TABLE temp.instance")?;
    Ok(words.join(" "))
}
