//! Answering: events in the order of their numbers, part by part; what has no words yet is looked through. Each question does
//! a limited amount of work and says how far it has come.

use std::fmt::Write as _;

use rusqlite::{Connection, OptionalExtension as _};

use super::super::conditions::Conditions;
use super::super::events;
use super::super::names::{self, Role};
use super::fill::{source_word, type_word};
use super::parts::Part;
use super::{index, parts};
use crate::store::words::{Sought, Texts};
use crate::store::{EventFilter, EventRow, Found, Order, Page};

/// The most parts that a question goes through.
const MOST_PARTS: usize = 64;
/// As how many a part counts where it has to be asked for all words that begin so.
const PREFIX_COSTS: usize = 8;
/// The most events with these words that are looked at for what else must hold.
const MOST_CANDIDATES: usize = 5_000;
/// The most events that are looked through.
const MOST_SCANNED: usize = 300;
/// The most bytes of bodies that are looked through, the last one beside.
const MOST_BYTES: usize = 1 << 20;
/// How many events are taken from a part at once.
const BATCH: usize = 256;

/// Events by filter. `unsearched` are the sources whose events have no words.
pub(in super::super) fn find(conn: &Connection, filter: &EventFilter, unsearched: &[String], page: Page) -> rusqlite::Result<Found> {
    let Some(sought) = &filter.q else { return Ok(Found { rows: events::list(conn, filter, page)?, reached: None }) };
    if sought.words().is_empty() {
        return Ok(Found::default());
    }
    // One state of the words and one of the database: no part goes away in between.
    let snapshot = conn.unchecked_transaction()?;
    if filter.event_id.is_some() {
        let mut found = Found { rows: events::list(&snapshot, filter, page)?, reached: None };
        let mut wanted = Vec::new();
        for row in found.rows.drain(..) {
            if has_words(unsearched, &row) && holds(&snapshot, &row, sought)?.0 {
                wanted.push(row);
            }
        }
        return Ok(Found { rows: wanted, reached: None });
    }
    let Some(conditions) = events::fixed_conditions(&snapshot, filter)? else { return Ok(Found::default()) };
    let Some(asked) = asked(&snapshot, filter, sought)? else { return Ok(Found::default()) };
    let walk = Walk {
        conn: &snapshot,
        filter,
        sought,
        unsearched,
        conditions,
        asked,
        page,
        rows: Vec::new(),
        position: page.after,
        left: Budget { parts: MOST_PARTS, candidates: MOST_CANDIDATES, scanned: MOST_SCANNED, bytes: MOST_BYTES },
    };
    walk.run()
}

/// Whether its source is one of those that are searched.
fn has_words(unsearched: &[String], row: &EventRow) -> bool {
    !unsearched.iter().any(|name| **name == *row.key.source)
}

/// Whether these words are in an event, and how large its body is.
fn holds(conn: &Connection, row: &EventRow, sought: &Sought) -> rusqlite::Result<(bool, usize)> {
    let mut statement = conn.prepare_cached("SELECT body FROM payload WHERE seq = ?1")?;
    let body = statement.query_row([row.seq], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    let Some(body) = body else { return Ok((false, 0)) };
    let (content_type, event_type) = (row.content_type.as_deref(), &*row.event_type);
    let texts = Texts { event_id: &row.key.event_id, event_type, content_type, body: &body };
    Ok((sought.is_in(&texts.words()), body.len()))
}

/// The question in the index's own language; `None` when nothing can match.
fn asked(conn: &Connection, filter: &EventFilter, sought: &Sought) -> rusqlite::Result<Option<String>> {
    let mut asked = String::new();
    for word in sought.words() {
        // Letters and digits alone: nothing in it has a meaning of its own.
        let _ = write!(asked, "\"{}\"{} ", word.word, if word.is_prefix { "*" } else { "" });
    }
    let names = [(Role::Source, &filter.source, source_word as fn(i64) -> String), (Role::Type, &filter.event_type, type_word)];
    for (role, name, word) in names {
        let Some(name) = name else { continue };
        let Some(id) = names::find(conn, role, name)? else { return Ok(None) };
        let _ = write!(asked, "\"{}\" ", word(id));
    }
    Ok(Some(asked))
}

/// How much work may still be done.
struct Budget {
    parts: usize,
    candidates: usize,
    scanned: usize,
    bytes: usize,
}

/// Neighbouring events.
#[derive(Clone, Copy)]
enum Stretch {
    /// In the index.
    Part(Part),
    /// From there on, not in the index yet.
    Tail(i64),
}

/// How a stretch ended.
enum Went {
    /// There is no more in it.
    Through,
    /// The page is full.
    Full,
    /// The budget is used up.
    OutOfBudget,
}

struct Walk<'a> {
    conn: &'a Connection,
    filter: &'a EventFilter,
    sought: &'a Sought,
    unsearched: &'a [String],
    conditions: Conditions,
    asked: String,
    page: Page,
    rows: Vec<EventRow>,
    /// The last event that was looked at.
    position: Option<i64>,
    left: Budget,
}

impl Walk<'_> {
    fn run(mut self) -> rusqlite::Result<Found> {
        for stretch in self.stretches()? {
            let went = match stretch {
                Stretch::Part(part) => self.ask(part)?,
                Stretch::Tail(from) => self.look_through(from)?,
            };
            match went {
                Went::Through => {}
                Went::Full => break,
                Went::OutOfBudget => return Ok(Found { rows: self.rows, reached: self.position }),
            }
        }
        Ok(Found { rows: self.rows, reached: None })
    }

    /// What may hold any of them, in the page's order.
    fn stretches(&self) -> rusqlite::Result<Vec<Stretch>> {
        let (low, high) = self.conditions.bounds(self.page);
        let (mut stretches, mut tail) = (Vec::new(), 0);
        if index::is_attached(self.conn)? {
            let overlaps = |part: &Part| part.low <= high && part.high >= low;
            stretches.extend(parts::all(self.conn, "search")?.into_iter().filter(overlaps).map(Stretch::Part));
            let sql = "SELECT seq + 1 FROM search.reached";
            tail = self.conn.prepare_cached(sql)?.query_row((), |row| row.get(0))?;
        }
        if high >= tail {
            stretches.push(Stretch::Tail(tail));
        }
        if self.page.order == Order::Newest {
            stretches.reverse();
        }
        Ok(stretches)
    }

    fn is_full(&self) -> bool {
        self.rows.len() >= self.page.limit
    }

    fn ask(&mut self, part: Part) -> rusqlite::Result<Went> {
        let costs = if self.sought.has_prefix() { PREFIX_COSTS } else { 1 };
        let Some(left) = self.left.parts.checked_sub(costs) else { return Ok(Went::OutOfBudget) };
        self.left.parts = left;
        loop {
            if self.is_full() {
                return Ok(Went::Full);
            }
            if self.left.candidates == 0 {
                return Ok(Went::OutOfBudget);
            }
            let most = BATCH.min(self.left.candidates);
            let candidates = self.candidates(part, most)?;
            self.left.candidates -= candidates.len();
            let room = self.page.limit - self.rows.len();
            let found = self.those_that_match(&candidates)?;
            self.rows.extend(found.into_iter().take(room));
            if candidates.len() < most {
                // Behind the part, so that it is not asked again.
                self.position = Some(if self.page.order == Order::Newest { part.low } else { part.high });
                return Ok(if self.is_full() { Went::Full } else { Went::Through });
            }
            self.position = candidates.last().copied();
        }
    }

    /// The next events in a part that have the words.
    fn candidates(&self, part: Part, most: usize) -> rusqlite::Result<Vec<i64>> {
        let page = Page { after: self.position, ..self.page };
        let (low, high) = self.conditions.bounds(page);
        let direction = if self.page.order == Order::Newest { "DESC" } else { "ASC" };
        let sql = ask_part(part.id, direction);
        self.conn
            .prepare_cached(&sql)?
            .query_map((&self.asked, low, high, i64::try_from(most).unwrap_or(i64::MAX)), |row| row.get(0))?
            .collect()
    }

    /// Those of these events that are all that is asked for, in the page's order.
    fn those_that_match(&self, candidates: &[i64]) -> rusqlite::Result<Vec<EventRow>> {
        let (select, conditions) = by_number(self.conditions.clone(), candidates);
        let page = Page { limit: candidates.len(), after: None, order: self.page.order };
        let mut rows = conditions.list(self.conn, &select, "e.seq", page, events::row)?;
        rows.retain(|row| self.is_wanted(row));
        Ok(rows)
    }

    /// What no condition says.
    fn is_wanted(&self, row: &EventRow) -> bool {
        self.filter.status.is_none_or(|status| row.status == status) && has_words(self.unsearched, row)
    }

    fn look_through(&mut self, from: i64) -> rusqlite::Result<Went> {
        loop {
            if self.is_full() {
                return Ok(Went::Full);
            }
            if self.left.scanned == 0 || self.left.bytes == 0 {
                return Ok(Went::OutOfBudget);
            }
            let mut conditions = self.conditions.clone();
            conditions.from(from);
            let most = BATCH.min(self.left.scanned);
            let page = Page { limit: most, after: self.position, order: self.page.order };
            let rows = conditions.list(self.conn, events::SELECT, "e.seq", page, events::row)?;
            let is_last = rows.len() < most;
            for row in rows {
                if self.is_full() || self.left.bytes == 0 {
                    break;
                }
                let seq = row.seq;
                let (holds, bytes) = if self.is_wanted(&row) { holds(self.conn, &row, self.sought)? } else { (false, 0) };
                self.rows.extend(holds.then_some(row));
                self.left.scanned -= 1;
                self.left.bytes = self.left.bytes.saturating_sub(bytes);
                self.position = Some(seq);
            }
            if is_last && self.left.bytes > 0 {
                return Ok(if self.is_full() { Went::Full } else { Went::Through });
            }
        }
    }
}

fn ask_part(id: i64, direction: &str) -> String {
    let table = format!("words_{id}");
    format!("SELECT rowid FROM search.{table} WHERE {table} MATCH ?1 AND rowid BETWEEN ?2 AND ?3 ORDER BY rowid {direction} LIMIT ?4")
}

/// Those of these events that are stored whole, under the conditions.
fn by_number(mut conditions: Conditions, candidates: &[i64]) -> (String, Conditions) {
    conditions.and("e.seq IN (SELECT value FROM json_each(?))", serde_json::Value::from(candidates).to_string());
    conditions.also("EXISTS (SELECT 1 FROM payload p WHERE p.seq = e.seq)");
    // These are looked up, whatever else is asked.
    (format!("{} NOT INDEXED", events::SELECT), conditions)
}

/// What a question asks of a part, for its plan to be looked at.
#[cfg(test)]
pub(super) fn queries(conn: &Connection, filter: &EventFilter) -> Vec<String> {
    let page = Page { limit: 50, after: Some(9), order: Order::Newest };
    let (select, conditions) = by_number(events::fixed_conditions(conn, filter).unwrap().unwrap(), &[1, 2]);
    let part = parts::all(conn, "search").unwrap()[0].id;
    vec![conditions.query(&select, "e.seq", page).0, ask_part(part, "DESC"), ask_part(part, "ASC")]
}
