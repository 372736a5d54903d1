//! A database with a backlog. The program records and delivers one event; that event's rows are then multiplied by SQL, with
//! IDs, bodies, digests, keys, times and numbers of their own, because recording a million events takes minutes.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rusqlite::{Connection, Statement, params};
use sha2::{Digest as _, Sha256};

use crate::common::database::{count, insert_keys, key};
use crate::common::load;
use crate::common::request::{ID_LEN, event_id};
use crate::server::{FORWARD, Server, Setup, database};
use crate::sink::{Manner, Sink};

const LOOK: Duration = Duration::from_millis(5);
/// The source of all events.
const SOURCE: &str = "stripe";

/// What of a row is its own; the rest is the template's.
type Replaced = &'static [(&'static str, &'static str)];

const EVENT: Replaced = &[("seq", "?1"), ("event_id", "?2"), ("received_at", "?3"), ("content_digest", "?4")];
const PAYLOAD: Replaced = &[("seq", "?1"), ("body", "?2")];
/// As if nothing had been attempted.
const DELIVERY: Replaced = &[
    ("id", "?1"),
    ("event_seq", "?2"),
    ("created_at", "?3"),
    ("due_at", "?3"),
    ("state", "0"),
    ("attempts", "0"),
    ("failures", "0"),
    ("owner", "NULL"),
    ("finished_at", "NULL"),
    ("last_error", "NULL"),
];

/// Fills a new database in the folder with so many pending deliveries, one an event; returns the ID of one of the events.
///
/// # Errors
/// When the program does not deliver its one event, or keeps it in another way than this knows.
pub(crate) async fn seed(folder: &Path, events: u64) -> anyhow::Result<[u8; ID_LEN]> {
    let run = rand::random();
    record_one(folder, &event_id(run, 0)).await?;
    let path = database(folder);
    let mut connection = Connection::open(&path)?;
    // Nobody else uses it, and it is of no use unless it gets done.
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536")?;
    multiply(&mut connection, run, events.cast_signed())?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    // Or writing it back would go on during the measurement.
    std::fs::File::open(&path)?.sync_all()?;
    Ok(event_id(run, events))
}

/// Has the program make a database that holds one delivered event.
async fn record_one(folder: &Path, id: &[u8; ID_LEN]) -> anyhow::Result<()> {
    let sink = Sink::start(Manner::Well)?;
    let server = Server::start(folder, &Setup::Forward(&sink.url())).await?;
    let status = load::send(server.address, id).await?;
    ensure!(status == 200, "the first event was answered with {status}");
    server.until_delivered(FORWARD, 1, LOOK).await?;
    Ok(())
}

fn multiply(connection: &mut Connection, run: u64, events: i64) -> anyhow::Result<()> {
    let transaction = connection.transaction()?;
    let template = Template::read(&transaction)?;
    template.age(&transaction, events)?;
    let mut keys = Vec::new();
    {
        let mut event = copy(&transaction, "event", EVENT)?;
        let mut payload = copy(&transaction, "payload", PAYLOAD)?;
        let mut delivery = copy(&transaction, "delivery", DELIVERY)?;
        let mut body = template.body.clone();
        for number in 1..=events {
            let id = event_id(run, number.cast_unsigned());
            body[template.id_at..template.id_at + ID_LEN].copy_from_slice(&id);
            // One a millisecond, the last one when the template came.
            let (row, at) = (1 + number, template.received_at - events + number);
            let id = std::str::from_utf8(&id)?;
            event.execute(params![row, id, at, &Sha256::digest(&body)[..]])?;
            payload.execute(params![row, body])?;
            delivery.execute(params![row, row, at])?;
            keys.push((key(SOURCE, id), row));
        }
    }
    insert_keys(&transaction, keys)?;
    // The template is one of them.
    count(&transaction, 1 + events)?;
    Ok(transaction.commit()?)
}

/// Copies row 1 of a table, but for what is replaced.
fn copy<'c>(connection: &'c Connection, table: &str, replaced: Replaced) -> rusqlite::Result<Statement<'c>> {
    let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let columns: Vec<String> = columns.query_map([table], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    let value = |column: &String| replaced.iter().find(|(name, _)| name == column).map_or(column.as_str(), |(_, value)| *value).to_owned();
    let values: Vec<String> = columns.iter().map(value).collect();
    connection.prepare(&format!("INSERT INTO {table} ({}) SELECT {} FROM {table} WHERE rowid = 1", columns.join(", "), values.join(", ")))
}

/// The event that the program has recorded itself.
struct Template {
    received_at: i64,
    body: Vec<u8>,
    /// Where its ID stands in its body.
    id_at: usize,
}

impl Template {
    /// Reads it, and sees to it that key and digest are made as this file makes them.
    fn read(connection: &Connection) -> anyhow::Result<Self> {
        let row = connection.query_row(TEMPLATE, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let (received_at, id, digest, body): (i64, String, Vec<u8>, Vec<u8>) = row.context("read the first event")?;
        let found: i64 = connection
            .query_row("SELECT seq FROM event_key WHERE key = ?1", [key(SOURCE, &id)], |row| row.get(0))
            .context("find its key")?;
        let counts: (i64, i64) =
            connection.query_row("SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM delivery)", [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        ensure!((found, counts) == (1, (1, 1)), "the first event and its delivery are not the only ones");
        ensure!(digest == Sha256::digest(&body)[..], "the digest of the content is not that of the body");
        let id_at = body.windows(ID_LEN).position(|window| window == id.as_bytes()).context("the body does not hold the ID")?;
        Ok(Self { received_at, body, id_at })
    }

    /// Makes it older than what will follow.
    fn age(&self, connection: &Connection, millis: i64) -> rusqlite::Result<()> {
        connection.execute("UPDATE event SET received_at = received_at - ?1", [millis])?;
        connection.execute("UPDATE attempt SET at = at - ?1", [millis])?;
        let times = "created_at = created_at - ?1, due_at = due_at - ?1, finished_at = finished_at - ?1";
        connection.execute(&format!("UPDATE delivery SET {times}"), [millis])?;
        Ok(())
    }
}

const TEMPLATE: &str = "SELECT received_at, event_id, content_digest, body FROM event JOIN payload USING (seq) WHERE seq = 1";

/// Checks the copy of a row.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let connection = Connection::open_in_memory().expect("memory is always there");
    connection.execute_batch("CREATE TABLE t (id INTEGER PRIMARY KEY, a, b, c); INSERT INTO t VALUES (1, 2, 3, 4)").expect("this is SQL");
    let copied = copy(&connection, "t", &[("id", "?1"), ("b", "NULL"), ("gone", "?1")]).and_then(|mut copy| copy.execute([9]));
    assert_eq!(copied, Ok(1));
    let row = connection.query_row("SELECT * FROM t WHERE id = 9", [], |row| Ok((row.get(1)?, row.get(2)?, row.get(3)?)));
    assert_eq!(row, Ok((2, None::<i64>, 4)), "what is replaced, and the rest as it was");
}
