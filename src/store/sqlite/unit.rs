//! A unit of work: one write transaction with what its operations share, and what is written once for all of them just
//! before the commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use rusqlite::{CachedStatement, Connection, Params, Row};

use super::checkpoint::Log;
use super::fault::Fault;
use super::keys::{Counts, Merge};
use super::names::{Names, Role};
use super::owner::Owner;
use super::queue::Priority;
use super::rejections;
use super::span::{Kind, Spans, minute};
use super::tally::{Brought, Tallies};
use crate::domain::Timestamp;
use crate::failpoint;

/// Something to do in a write transaction. May run more than once, when a batch is rolled back and its halves are
/// tried apart: it must not use itself up.
pub(super) trait Operation: Send + 'static {
    /// What the caller gets.
    type Output: Send + 'static;

    /// How far it may go to be let in. What begins, continues or ends work that is already in the store is
    /// [`Priority::Onward`], or a flood of new events would keep the old ones from being finished.
    const PRIORITY: Priority = Priority::New;

    /// Whether it is better left undone when nobody waits for its answer any more.
    const ONLY_IF_AWAITED: bool = false;

    /// The bytes that it holds while it waits.
    fn bytes(&self) -> usize {
        0
    }

    /// Does it. After an error the whole transaction is rolled back.
    fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault>;
}

/// How many rejections are kept for each source.
#[derive(Debug, Clone, Copy)]
pub(super) struct RejectionBounds {
    /// Rows.
    pub(super) count: usize,
    /// Bytes of them all.
    pub(super) bytes: usize,
}

/// A write transaction in the making.
pub(super) struct Unit<'w> {
    /// The connection, inside the transaction.
    pub(super) conn: &'w Connection,
    /// The database file.
    pub(super) path: &'w Path,
    /// This process, as it holds leases.
    pub(super) owner: &'w Owner,
    names: &'w mut Names,
    merge: &'w mut Merge,
    log: &'w mut Log,
    bounds: RejectionBounds,
    /// As they were, and as they are.
    numbers: Option<(Numbers, Numbers)>,
    duplicates: HashMap<i64, Duplicates>,
    spans: Spans,
    tallies: Tallies,
    refused: BTreeSet<i64>,
    /// Kept at hand for the length of the transaction: looking for a statement costs as much as a small one itself.
    statements: Vec<(&'static str, CachedStatement<'w>)>,
}

/// What outlives a transaction.
pub(super) struct Kept<'w> {
    /// The names met so far.
    pub(super) names: &'w mut Names,
    /// Where merging goes on.
    pub(super) merge: &'w mut Merge,
    /// Where the transaction goes first.
    pub(super) log: &'w mut Log,
}

/// The last numbers given out, and how many keys there are.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Numbers {
    event: i64,
    delivery: i64,
    keys: Counts,
}

#[derive(Default)]
struct Duplicates {
    count: i64,
    last_at: i64,
    differs: bool,
}

impl<'w> Unit<'w> {
    /// Work on a transaction that has just begun.
    pub(super) fn new(conn: &'w Connection, path: &'w Path, owner: &'w Owner, kept: Kept<'w>, bounds: RejectionBounds) -> Self {
        let (numbers, duplicates, spans, tallies, refused) = (None, HashMap::new(), Spans::default(), Tallies::default(), BTreeSet::new());
        let (Kept { names, merge, log }, statements) = (kept, Vec::new());
        Self { conn, path, owner, names, merge, log, bounds, numbers, duplicates, spans, tallies, refused, statements }
    }

    /// Runs a statement; returns how many rows it changed.
    pub(super) fn execute(&mut self, sql: &'static str, params: impl Params) -> Result<usize, Fault> {
        let place = match self.statements.iter().position(|(known, _)| *known == sql) {
            Some(place) => place,
            None => {
                self.statements.push((sql, self.conn.prepare_cached(sql)?));
                self.statements.len() - 1
            }
        };
        Ok(self.statements[place].1.execute(params)?)
    }

    /// The number of a name; a new one if it has none.
    pub(super) fn intern(&mut self, role: Role, name: &str) -> Result<i64, Fault> {
        Ok(self.names.intern(self.conn, role, name)?)
    }

    /// The number of a name, if it has one.
    pub(super) fn find(&mut self, role: Role, name: &str) -> Result<Option<i64>, Fault> {
        Ok(self.names.find(self.conn, role, name)?)
    }

    /// The name behind a number.
    pub(super) fn name(&mut self, id: i64) -> Result<std::sync::Arc<str>, Fault> {
        Ok(self.names.name(self.conn, id)?)
    }

    /// Forgets an event type whose name has been deleted.
    pub(super) fn forget_type(&mut self, id: i64) {
        self.names.forget_type(id);
    }

    /// The number that the next event would get.
    pub(super) fn next_event(&mut self) -> Result<i64, Fault> {
        Ok(self.numbers()?.event + 1)
    }

    /// Uses up [`Unit::next_event`].
    pub(super) fn take_event(&mut self, received_at: i64, recorded_at: i64) -> Result<i64, Fault> {
        let numbers = self.numbers()?;
        numbers.event += 1;
        let seq = numbers.event;
        self.spans.add(Kind::Event, recorded_at, seq);
        if minute(received_at) != minute(recorded_at) {
            self.spans.add(Kind::Late, received_at, seq);
        }
        Ok(seq)
    }

    /// A number for a new delivery.
    pub(super) fn take_delivery(&mut self, created_at: i64) -> Result<i64, Fault> {
        let numbers = self.numbers()?;
        numbers.delivery += 1;
        let id = numbers.delivery;
        self.spans.add(Kind::Delivery, created_at, id);
        Ok(id)
    }

    /// How many keys there are in each level. Whoever adds or deletes keys keeps them right.
    pub(super) fn key_counts(&mut self) -> Result<&mut Counts, Fault> {
        Ok(&mut self.numbers()?.keys)
    }

    /// Counts a duplicate of a stored event, which may differ in its content; written once, however many come in this
    /// transaction.
    pub(super) fn count_duplicate(&mut self, seq: i64, at: i64, differs: bool) {
        let duplicates = self.duplicates.entry(seq).or_insert(Duplicates { count: 0, last_at: at, differs });
        duplicates.count += 1;
        duplicates.differs |= differs;
        duplicates.last_at = duplicates.last_at.max(at);
    }

    /// Counts what has come to a source.
    pub(super) fn tally(&mut self, source: i64, at: Timestamp, brought: Brought) {
        self.tallies.add(source, at, brought);
    }

    /// Has the rejections of this source cut to their bounds before the commit.
    pub(super) fn cut_rejections(&mut self, source: i64) {
        self.refused.insert(source);
    }

    /// Has the log emptied after the commit.
    pub(super) fn empty_log(&mut self) {
        self.log.empty_soon();
    }

    /// Whether the log holds nothing that has been erased.
    pub(super) fn is_log_clean(&self) -> bool {
        self.log.is_clean()
    }

    /// Writes what was put off. The last step before the commit.
    pub(super) fn flush(mut self) -> Result<(), Fault> {
        if let Some((before, mut now)) = self.numbers
            && before != now
        {
            self.merge.run(self.conn, &mut now.keys)?;
            failpoint::reach("store.keys-merged");
            self.execute(SET_NUMBERS, (now.event, now.delivery, now.keys[0], now.keys[1]))?;
        }
        // In key order, so that neighbours on a page are written together.
        let duplicates: BTreeMap<_, _> = std::mem::take(&mut self.duplicates).into_iter().collect();
        for (seq, Duplicates { count, last_at, differs }) in duplicates {
            self.execute(COUNT_DUPLICATES, (seq, count, last_at, differs))?;
            failpoint::reach("record.duplicate-counted");
        }
        std::mem::take(&mut self.spans).write(self.conn)?;
        std::mem::take(&mut self.tallies).write(self.conn)?;
        failpoint::reach("store.tallied");
        for source in std::mem::take(&mut self.refused) {
            rejections::cut(self.conn, source, self.bounds)?;
        }
        Ok(())
    }

    fn numbers(&mut self) -> Result<&mut Numbers, Fault> {
        if self.numbers.is_none() {
            let mut statement = self.conn.prepare_cached(NUMBERS)?;
            let read = |row: &Row<'_>| Ok(Numbers { event: row.get(0)?, delivery: row.get(1)?, keys: [row.get(2)?, row.get(3)?] });
            let numbers = statement.query_row((), read)?;
            self.numbers = Some((numbers, numbers));
        }
        self.numbers.as_mut().map(|(_, numbers)| numbers).ok_or_else(|| Fault::Own("the counters are missing".to_owned()))
    }
}

const NUMBERS: &str = "SELECT event, delivery, key_0, key_1 FROM counter WHERE id = 1";
const SET_NUMBERS: &str = "UPDATE counter SET event = ?1, delivery = ?2, key_0 = ?3, key_1 = ?4 WHERE id = 1";
const COUNT_DUPLICATES: &str = "
    UPDATE event SET duplicates = duplicates + ?2, last_duplicate_at = max(coalesce(last_duplicate_at, ?3), ?3),
                     body_differs = body_differs OR ?4
    WHERE seq = ?1";
