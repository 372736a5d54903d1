//! What the database says in the end, read after the process has been killed: the account that a measurement is held against.

use std::path::Path;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

/// The program leases for so long. A delivery that was handed over while its event was recorded has a lease that begins when
/// the event came; one that was claimed later has a later one.
const LEASE_MILLIS: i64 = 30_000;

/// Events, and the deliveries of one destination.
#[derive(Debug, PartialEq)]
pub(crate) struct Account {
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) delivered: u64,
    /// Of those delivered at the first attempt.
    pub(crate) handed_over: u64,
}

impl Account {
    /// Counts; where nothing was ever to go to the destination, it has no deliveries.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(crate) fn of(database: &Path, destination: &str) -> anyhow::Result<Self> {
        let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).context("open the database again")?;
        Ok(Self::read(&connection, destination)?)
    }

    fn read(connection: &Connection, destination: &str) -> rusqlite::Result<Self> {
        let events: i64 = connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
        let (deliveries, delivered, handed_over) =
            connection.query_row(COUNT, (destination, LEASE_MILLIS), |row| Ok((count(row, 0)?, count(row, 1)?, count(row, 2)?)))?;
        Ok(Self { events: events.cast_unsigned(), deliveries, delivered, handed_over })
    }

    /// The share of deliveries that never had to be claimed.
    pub(crate) fn handed_over_share(&self) -> f64 {
        self.handed_over as f64 / self.deliveries.max(1) as f64
    }

    /// Every event that was acknowledged is there, once, and is delivered if it was to be.
    pub(crate) fn wrong(&self, sent: u64, acknowledged: u64, delivers: bool) -> Option<String> {
        let Self { events, deliveries, delivered, .. } = self;
        let due = if delivers { *events } else { 0 };
        let right = (acknowledged..=sent).contains(events) && *deliveries == due && *delivered == due;
        (!right).then(|| {
            format!("{events} events stored, {delivered} of {deliveries} delivered, but {acknowledged} acknowledged of {sent} sent")
        })
    }
}

fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::cast_unsigned)
}

const COUNT: &str = "
    SELECT count(*), count(*) FILTER (WHERE state = 1),
           count(*) FILTER (WHERE state = 1 AND attempts = 1 AND due_at - created_at = ?2)
    FROM delivery WHERE destination = (SELECT id FROM name WHERE role = 1 AND name = ?1)";

/// Checks the account of a small database.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let connection = Connection::open_in_memory().expect("memory is always there");
    let schema = "
        CREATE TABLE event (seq);
        CREATE TABLE name (id, role, name);
        CREATE TABLE delivery (destination, state, attempts, due_at, created_at);
        INSERT INTO event VALUES (1), (2), (3);
        INSERT INTO name VALUES (7, 1, 'stripe'), (8, 0, 'stripe');
        INSERT INTO delivery VALUES (7, 1, 1, 30005, 5), (7, 1, 1, 30009, 5), (7, 1, 2, 30005, 5), (8, 0, 0, 5, 5);";
    connection.execute_batch(schema).expect("the schema is SQL");
    let account = Account::read(&connection, "stripe").expect("the columns are there");
    assert_eq!(account, Account { events: 3, deliveries: 3, delivered: 3, handed_over: 1 });
    assert_eq!(account.wrong(4, 3, true), None);
    assert!(account.wrong(4, 4, true).is_some() && account.wrong(2, 2, true).is_some(), "a loss and a duplicate");
    assert!(Account { delivered: 2, ..account }.wrong(3, 3, true).is_some(), "an event that is not delivered");
    let nowhere = Account::read(&connection, "nowhere").expect("the columns are there");
    assert!(nowhere.wrong(3, 3, false).is_none() && nowhere.wrong(3, 3, true).is_some());
}
