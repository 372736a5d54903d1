//! A database with many events. The program records one of each source and type; their rows are then multiplied by SQL, with IDs,
//! bodies, keys, times and deliveries of their own, because recording millions takes minutes.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use rusqlite::{Connection, Transaction, params};
use sha2::{Digest as _, Sha256};

use crate::common::database::{self, insert_keys, key};
use crate::common::request::SplitMix;
use crate::server::{Server, database};

/// Sources and types, and how many of a million events are of them.
const KINDS: [(&str, &str, u64); 6] = [
    ("stripe", "invoice.paid", 500_000),
    ("stripe", "charge.succeeded", 300_000),
    ("stripe", "customer.created", 99_800),
    ("github", "push", 80_000),
    ("github", "pull_request.opened", 20_000),
    ("rare", "odd", 200),
];

/// The ID of an event.
pub(crate) fn id(number: u64) -> String {
    let random = SplitMix(number).next();
    format!("evt_{number}x{random:016x}")
}

/// The body of an event: as large as a payment's, with words of its own.
pub(crate) fn body(number: u64, event_type: &str) -> String {
    let mut random = SplitMix(number ^ 0x5eed);
    let mut body = format!("{{\"id\":\"{}\",\"object\":\"event\",\"type\":\"{event_type}\",\"data\":{{\"object\":{{", id(number));
    let (customer, amount) = (random.next() % 100_000, random.next() % 50_000);
    let _ = write!(body, "\"customer\":\"cus_{:014x}\",\"email\":\"user{customer}@example.com\",\"amount\":{amount}", random.next());
    for field in ["payment", "invoice", "request", "charge", "session", "product", "price", "subscription"] {
        let _ = write!(
            body,
            ",\"{field}\":{{\"id\":\"{field}_{:016x}\",\"created\":{}}}",
            random.next(),
            1_700_000_000 + random.next() % 99_999_999
        );
    }
    for word in 0..30 {
        let _ = write!(
            body,
            ",\"field_{word}\":\"{}\"",
            ["monthly plan", "card ending", "usd", "succeeded", "none"][(random.next() % 5) as usize]
        );
    }
    body.push_str("}}}");
    body
}

/// Which kind an event is of.
fn kind(number: u64) -> usize {
    let mut place = SplitMix(number ^ 0x6b696e64).next() % 1_000_000;
    KINDS.iter().position(|(_, _, share)| place.checked_sub(*share).map(|left| place = left).is_none()).unwrap_or(0)
}

/// Fills a new database in the folder.
///
/// # Errors
/// When the program keeps events in another way than this knows.
pub(crate) async fn seed(folder: &Path, events: u64) -> anyhow::Result<()> {
    let server = Server::start(folder).await?;
    for (number, (source, event_type, _)) in (0..).zip(KINDS) {
        server.publish(source, event_type, &id(number), body(number, event_type)).await?;
    }
    drop(server);
    let path = database(folder);
    let mut connection = Connection::open(&path)?;
    connection
        .execute_batch("PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536")?;
    multiply(&mut connection, events)?;
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    connection.close().map_err(|(_, error)| error)?;
    // Or writing it back would go on during the measurement.
    Ok(std::fs::File::open(&path)?.sync_all()?)
}

fn multiply(connection: &mut Connection, events: u64) -> anyhow::Result<()> {
    let transaction = connection.transaction()?;
    let newest: i64 = transaction.query_row("SELECT max(received_at) FROM event", (), |row| row.get(0))?;
    let count: i64 = transaction.query_row("SELECT count(*) FROM event", (), |row| row.get(0))?;
    ensure!(count == KINDS.len() as i64, "{count} events instead of one of each kind");
    transaction.execute("INSERT INTO name (role, name) VALUES (1, 'app') ON CONFLICT DO NOTHING", ())?;
    let app: i64 = transaction.query_row("SELECT id FROM name WHERE role = 1 AND name = 'app'", (), |row| row.get(0))?;
    transaction.execute("INSERT INTO paused VALUES (?1)", [app]).context("hold the destination")?;
    let mut keys = Vec::new();
    for number in count.cast_unsigned()..events {
        // Ten a second.
        let at = newest - ((events - number) * 100).cast_signed();
        keys.push(insert(&transaction, number, at, app)?);
    }
    insert_keys(&transaction, keys)?;
    transaction.execute("UPDATE event SET received_at = ?1 WHERE seq <= ?2", params![newest - (events * 100).cast_signed(), count])?;
    database::count(&transaction, events.cast_signed())?;
    Ok(transaction.commit()?)
}

const EVENT: &str = "
    INSERT INTO event (seq, source, event_id, type, provider, received_at, method, subpath, query, size, content_type, content_digest,
                       verified_by)
    SELECT ?1, source, ?2, type, provider, ?3, method, subpath, query, ?4, content_type, ?5, verified_by FROM event WHERE seq = ?6";
const PAYLOAD: &str = "INSERT INTO payload (seq, headers, body) SELECT ?1, headers, ?2 FROM payload WHERE seq = ?3";
const DELIVERY: &str = "
    INSERT INTO delivery (id, event_seq, source, destination, state, attempts, failures, due_at, created_at, finished_at, replay)
    SELECT ?1, ?1, source, ?2, ?3, ?4, ?4, ?5, ?5, ?6, 0 FROM event WHERE seq = ?1";

/// Inserts an event with its delivery, and returns its key.
fn insert(transaction: &Transaction<'_>, number: u64, at: i64, app: i64) -> anyhow::Result<([u8; 16], i64)> {
    let (kind, seq) = (kind(number), (number + 1).cast_signed());
    let (source, event_type, _) = KINDS[kind];
    let (id, body, template) = (id(number), body(number, event_type), kind as i64 + 1);
    let digest = Sha256::digest(&body);
    let size = body.len() as i64;
    transaction.prepare_cached(EVENT)?.execute(params![seq, id, at, size, &digest[..], template])?;
    transaction.prepare_cached(PAYLOAD)?.execute(params![seq, body.into_bytes(), template])?;
    // Of a thousand, one is dead, one cancelled, one failing, two pending.
    let (state, failures) = match number % 1_000 {
        17 => (2, 1),
        217 => (3, 0),
        417 => (0, 1),
        617 | 817 => (0, 0),
        _ => (1, 0),
    };
    let finished = (state != 0).then_some(at);
    transaction.prepare_cached(DELIVERY)?.execute(params![seq, app, state, failures, at, finished])?;
    Ok((key(source, &id), seq))
}

/// Checks that events are of all kinds, and differ.
///
/// # Panics
/// When they are not.
pub(crate) fn self_check() {
    assert_eq!(KINDS.iter().map(|(_, _, share)| share).sum::<u64>(), 1_000_000);
    let mut counts = [0; KINDS.len()];
    (0..100_000).for_each(|number| counts[kind(number)] += 1);
    assert!(counts[0] > 49_000 && counts[0] < 51_000 && (1..99).contains(&counts[5]), "{counts:?}");
    assert!((1_200..2_400).contains(&body(7, "push").len()) && body(7, "push") != body(8, "push"), "{}", body(7, "push").len());
}
