//! Following the database: the words of the next events.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, TransactionBehavior};

use super::parts::{self, Part};
use crate::failpoint;
use crate::store::words::Texts;

/// The most events of a step.
const CHUNK: i64 = 256;
/// The most bytes of bodies that a step reads, the last one beside.
const BYTES: usize = 8 << 20;
/// A part spans this share of the time for which bodies are kept: their words are kept so much longer.
const SHARE: u32 = 30;
/// A part spans no less time, or there would be too many.
const SHORTEST: Duration = Duration::from_secs(600);
/// A part spans no more.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Takes the words of events.
pub(super) struct Filler {
    unsearched: Arc<[String]>,
    /// How much time a part spans, in milliseconds.
    span: i64,
}

/// An event as it is looked at.
struct Next {
    seq: i64,
    source: i64,
    source_name: String,
    event_type: i64,
    type_name: String,
    received_at: i64,
    event_id: String,
    content_type: Option<String>,
    body: Vec<u8>,
}

const NEXT: &str = "
    SELECT e.seq, e.source, (SELECT name FROM name WHERE id = e.source), e.type, (SELECT name FROM name WHERE id = e.type),
           e.received_at, e.event_id, e.content_type, p.body
    FROM payload p CROSS JOIN event e ON e.seq = p.seq";

impl Next {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            seq: row.get(0)?,
            source: row.get(1)?,
            source_name: row.get(2)?,
            event_type: row.get(3)?,
            type_name: row.get(4)?,
            received_at: row.get(5)?,
            event_id: row.get(6)?,
            content_type: row.get(7)?,
            body: row.get(8)?,
        })
    }

    /// What is kept: its words, and its source and type as words that no text has.
    fn words(&self) -> String {
        let texts =
            Texts { event_id: &self.event_id, event_type: &self.type_name, content_type: self.content_type.as_deref(), body: &self.body };
        let mut words = texts.words();
        words.push_str(&source_word(self.source));
        words.push(' ');
        words.push_str(&type_word(self.event_type));
        words
    }
}

/// What stands for a source.
pub(in super::super) fn source_word(source: i64) -> String {
    format!("s_{source}")
}

/// What stands for a type.
pub(in super::super) fn type_word(event_type: i64) -> String {
    format!("t_{event_type}")
}

/// What was kept of an event, if its body is stored.
pub(super) fn kept(main: &Connection, seq: i64) -> rusqlite::Result<Option<String>> {
    let mut statement = main.prepare_cached(&format!("{NEXT} WHERE p.seq = ?1"))?;
    statement.query_row([seq], |row| Next::read(row).map(|next| next.words())).optional()
}

impl Filler {
    pub(super) fn new(unsearched: Arc<[String]>, bodies: Duration) -> Self {
        let span = (bodies / SHARE).clamp(SHORTEST, LONGEST);
        Self { unsearched, span: i64::try_from(span.as_millis()).unwrap_or(i64::MAX) }
    }

    /// Takes the words of the next few events. Returns whether there may be more.
    pub(super) fn fill(&self, index: &mut Connection, main: &Connection) -> rusqlite::Result<bool> {
        let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let reached: i64 = transaction.query_row("SELECT seq FROM reached", (), |row| row.get(0))?;
        let mut statement = main.prepare_cached(&format!("{NEXT} WHERE p.seq > ?1 ORDER BY p.seq LIMIT ?2"))?;
        let mut rows = statement.query((reached, CHUNK))?;
        let mut part = parts::last(&transaction)?;
        let (mut last, mut bytes) = (None, 0);
        while let Some(row) = rows.next()? {
            let next = Next::read(row)?;
            last = Some((next.seq, next.received_at));
            bytes += next.body.len();
            self.take(&transaction, &mut part, &next)?;
            if bytes > BYTES {
                break;
            }
        }
        if let Some(part) = part {
            transaction.execute("UPDATE part SET high = ?2 WHERE id = ?1", (part.id, part.high))?;
        }
        if let Some(last) = last {
            failpoint::reach("search.filled");
            transaction.execute("UPDATE reached SET seq = ?1, received_at = ?2", last)?;
        }
        transaction.commit()?;
        Ok(last.is_some())
    }

    fn take(&self, transaction: &Transaction<'_>, part: &mut Option<Part>, next: &Next) -> rusqlite::Result<()> {
        let mut erased = transaction.prepare_cached("SELECT 1 FROM erased WHERE seq = ?1")?;
        if self.unsearched.contains(&next.source_name) || erased.exists([next.seq])? {
            return Ok(());
        }
        let has_room = |part: &Part| next.seq < part.low + parts::MOST && next.received_at < part.begun_at.saturating_add(self.span);
        let mut into = match (*part).filter(has_room) {
            Some(part) => part,
            None => self.next_part(transaction, part.as_ref(), next)?,
        };
        let sql = format!("INSERT INTO words_{} (rowid, words) VALUES (?1, ?2)", into.id);
        transaction.prepare_cached(&sql)?.execute((next.seq, next.words()))?;
        into.high = next.seq;
        *part = Some(into);
        Ok(())
    }

    /// Ends the part that is full, and begins another one.
    fn next_part(&self, transaction: &Transaction<'_>, full: Option<&Part>, next: &Next) -> rusqlite::Result<Part> {
        if let Some(full) = full {
            transaction.execute("UPDATE part SET high = ?2 WHERE id = ?1", (full.id, full.high))?;
        }
        parts::begin(transaction, next.seq, next.received_at)
    }
}
