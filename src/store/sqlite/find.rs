//! Events by what few have: a status that is rare, or words. Those that have it come from an index in the order of their
//! numbers, and are then held against what else is asked; what has no words yet is looked through. Each question does a limited
//! amount of work and says how far it has come.

use std::fmt::Write as _;

use rusqlite::{Connection, OptionalExtension as _};

use super::conditions::Conditions;
use super::events;
use super::names::{self, Role};
use super::search::{self, Part, source_word, type_word};
use crate::domain::EventStatus;
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
pub(super) fn find(conn: &Connection, filter: &EventFilter, unsearched: &[String], page: Page) -> rusqlite::Result<Found> {
    let index = filter.status.and_then(by_status);
    if filter.q.is_none() && (index.is_none() || filter.event_id.is_some()) {
        return Ok(Found { rows: events::list(conn, filter, page)?, reached: None });
    }
    if filter.q.as_ref().is_some_and(|sought| sought.words().is_empty()) {
        return Ok(Found::default());
    }
    // One state of the words and one of the database: no part goes away in between.
    let snapshot = conn.unchecked_transaction()?;
    let Some(conditions) = events::fixed_conditions(&snapshot, filter)? else { return Ok(Found::default()) };
    let Some(asked) = asked(&snapshot, filter)? else { return Ok(Found::default()) };
    let mut walk = Walk {
        conn: &snapshot,
        filter,
        unsearched,
        conditions,
        asked,
        page,
        rows: Vec::new(),
        position: page.after,
        left: Budget { parts: MOST_PARTS, candidates: MOST_CANDIDATES, scanned: MOST_SCANNED, bytes: MOST_BYTES },
    };
    if filter.event_id.is_some() {
        // Found by its key, and few.
        for row in events::list(&snapshot, filter, page)? {
            walk.look_at(row)?;
        }
        return Ok(Found { rows: walk.rows, reached: None });
    }
    walk.run(index)
}

/// Where events of a status come from that few have: those with a delivery that may make it so.
fn by_status(status: EventStatus) -> Option<&'static str> {
    match status {
        EventStatus::Dead => Some("state >= 2 AND state = 2"),
        EventStatus::Cancelled => Some("state >= 2 AND state = 3"),
        EventStatus::Failing => Some("state = 0 AND failures > 0"),
        EventStatus::Pending => Some("state = 0"),
        EventStatus::Delivered | EventStatus::Unrouted => None,
    }
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

/// The question in the language of the words' index; `None` when nothing can match.
fn asked(conn: &Connection, filter: &EventFilter) -> rusqlite::Result<Option<String>> {
    let mut asked = String::new();
    for word in filter.q.iter().flat_map(Sought::words) {
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

impl Budget {
    fn is_used_up(&self) -> bool {
        self.candidates == 0 || self.scanned == 0 || self.bytes == 0
    }
}

/// Neighbouring events.
#[derive(Clone, Copy)]
enum Stretch {
    /// Those with a delivery of this kind, all of them.
    Status(&'static str),
    /// In the index of words.
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
    fn run(mut self, index: Option<&'static str>) -> rusqlite::Result<Found> {
        let stretches = match index {
            Some(kind) => vec![Stretch::Status(kind)],
            None => self.stretches()?,
        };
        for stretch in stretches {
            let went = match stretch {
                Stretch::Status(_) | Stretch::Part(_) => self.ask(stretch)?,
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
        let (parts, tail) = search::parts(self.conn)?;
        let overlaps = |part: &Part| part.low <= high && part.high >= low;
        let mut stretches: Vec<_> = parts.into_iter().filter(overlaps).map(Stretch::Part).collect();
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

    fn ask(&mut self, stretch: Stretch) -> rusqlite::Result<Went> {
        let costs = if self.filter.q.as_ref().is_some_and(Sought::has_prefix) { PREFIX_COSTS } else { 1 };
        let Some(left) = self.left.parts.checked_sub(costs) else { return Ok(Went::OutOfBudget) };
        self.left.parts = left;
        loop {
            if self.is_full() {
                return Ok(Went::Full);
            }
            if self.left.is_used_up() {
                return Ok(Went::OutOfBudget);
            }
            let most = BATCH.min(self.left.candidates);
            let candidates = self.candidates(stretch, most)?;
            self.left.candidates -= candidates.len();
            if !self.go_through(stretch, &candidates)? {
                continue;
            }
            self.position = candidates.last().copied().or(self.position);
            if candidates.len() < most {
                self.pass(stretch);
                return Ok(Went::Through);
            }
        }
    }

    /// Returns whether it came to the last of them.
    fn go_through(&mut self, stretch: Stretch, candidates: &[i64]) -> rusqlite::Result<bool> {
        for row in self.by_number(candidates)? {
            if self.is_full() || self.left.scanned == 0 || self.left.bytes == 0 {
                return Ok(false);
            }
            self.position = Some(row.seq);
            match stretch {
                // These have the words.
                Stretch::Part(_) => self.take(row),
                _ => self.look_at(row)?,
            }
        }
        Ok(true)
    }

    /// Goes behind a part, so that it is not asked again.
    fn pass(&mut self, stretch: Stretch) {
        if let Stretch::Part(part) = stretch {
            self.position = Some(if self.page.order == Order::Newest { part.low } else { part.high });
        }
    }

    /// The next events that have what few have.
    fn candidates(&self, stretch: Stretch, most: usize) -> rusqlite::Result<Vec<i64>> {
        let page = Page { after: self.position, ..self.page };
        let (low, high) = self.conditions.bounds(page);
        let direction = if self.page.order == Order::Newest { "DESC" } else { "ASC" };
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        match stretch {
            Stretch::Status(kind) => {
                let mut statement = self.conn.prepare_cached(&ask_status(kind, direction))?;
                statement.query_map((low, high, most), |row| row.get(0))?.collect()
            }
            Stretch::Part(part) => {
                let mut statement = self.conn.prepare_cached(&search::ask_part(part.id, direction))?;
                statement.query_map((&self.asked, low, high, most), |row| row.get(0))?.collect()
            }
            Stretch::Tail(_) => Ok(Vec::new()),
        }
    }

    /// Those of these events of which all holds that conditions can say, in the page's order.
    fn by_number(&self, candidates: &[i64]) -> rusqlite::Result<Vec<EventRow>> {
        let (select, mut conditions) = by_number(self.conditions.clone(), candidates);
        if self.filter.q.is_some() {
            // Words of what has been pruned may still be there.
            conditions.also("EXISTS (SELECT 1 FROM payload p WHERE p.seq = e.seq)");
        }
        let page = Page { limit: candidates.len(), after: None, order: self.page.order };
        conditions.list(self.conn, &select, "e.seq", page, events::row)
    }

    /// Takes an event that has the words, if it has the status.
    fn take(&mut self, row: EventRow) {
        if self.is_wanted(&row) {
            self.rows.push(row);
        }
    }

    /// Takes an event if it has status and words.
    fn look_at(&mut self, row: EventRow) -> rusqlite::Result<()> {
        if let Some(sought) = &self.filter.q
            && self.is_wanted(&row)
        {
            let (holds, bytes) = holds(self.conn, &row, sought)?;
            self.left.scanned = self.left.scanned.saturating_sub(1);
            self.left.bytes = self.left.bytes.saturating_sub(bytes);
            self.rows.extend(holds.then_some(row));
        } else {
            self.take(row);
        }
        Ok(())
    }

    /// What no condition says.
    fn is_wanted(&self, row: &EventRow) -> bool {
        let is_searched = self.filter.q.is_none() || has_words(self.unsearched, row);
        is_searched && self.filter.status.is_none_or(|status| row.status == status)
    }

    /// Events that have no words yet, one by one.
    fn look_through(&mut self, from: i64) -> rusqlite::Result<Went> {
        loop {
            if self.is_full() {
                return Ok(Went::Full);
            }
            if self.left.is_used_up() {
                return Ok(Went::OutOfBudget);
            }
            let mut conditions = self.conditions.clone();
            conditions.from(from);
            let most = BATCH.min(self.left.candidates);
            let page = Page { limit: most, after: self.position, order: self.page.order };
            let rows = conditions.list(self.conn, events::SELECT, "e.seq", page, events::row)?;
            let is_last = rows.len() < most;
            self.left.candidates -= rows.len();
            for row in rows {
                if self.is_full() || self.left.is_used_up() {
                    break;
                }
                self.position = Some(row.seq);
                self.look_at(row)?;
            }
            if is_last && !self.is_full() && !self.left.is_used_up() {
                return Ok(Went::Through);
            }
        }
    }
}

/// Events from one to another with a delivery of a kind, in the direction.
fn ask_status(kind: &str, direction: &str) -> String {
    format!("SELECT DISTINCT event_seq FROM delivery WHERE {kind} AND event_seq BETWEEN ?1 AND ?2 ORDER BY event_seq {direction} LIMIT ?3")
}

/// These events, under the conditions.
fn by_number(mut conditions: Conditions, candidates: &[i64]) -> (String, Conditions) {
    conditions.and("e.seq IN (SELECT value FROM json_each(?))", serde_json::Value::from(candidates).to_string());
    // They are looked up, whatever else is asked.
    (format!("{} NOT INDEXED", events::SELECT), conditions)
}

/// What a question asks of the indexes, for its plan to be looked at.
#[cfg(test)]
pub(super) fn queries(conn: &Connection, filter: &EventFilter) -> Vec<String> {
    let page = Page { limit: 50, after: Some(9), order: Order::Newest };
    let (select, conditions) = by_number(events::fixed_conditions(conn, filter).unwrap().unwrap(), &[1, 2]);
    let part = search::parts(conn).unwrap().0[0].id;
    let mut queries = vec![conditions.query(&select, "e.seq", page).0, search::ask_part(part, "DESC"), search::ask_part(part, "ASC")];
    for kind in EventStatus::ALL.into_iter().filter_map(by_status) {
        queries.extend(["ASC", "DESC"].map(|direction| ask_status(kind, direction)));
    }
    queries
}
