//! The file with the words: opening it, and whether it belongs to the database.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::super::open::OpenError;
use super::cannot_open;
use crate::store::words::RULES;

/// "Onse", in the file's header.
const APPLICATION_ID: i64 = 0x4f6e_7365;
/// The form of the tables below.
const VERSION: i64 = 1;

/// Synced less than the database, because it can be made anew. What is freed is overwritten, so that no old copy of a page keeps
/// words that were erased.
const SETTINGS: &str = "
    PRAGMA page_size = 4096;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA secure_delete = ON;
    PRAGMA journal_size_limit = 16777216;
    PRAGMA cache_size = -4096;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;";

const SCHEMA: &str = "
    -- How far it has come: the last event that was looked at, when that was received, and by which rules.
    CREATE TABLE reached (
        id          INTEGER PRIMARY KEY CHECK (id = 1),
        seq         INTEGER NOT NULL,
        received_at INTEGER NOT NULL,
        rules       INTEGER NOT NULL
    );
    INSERT INTO reached VALUES (1, 0, 0, 0);
    -- The words of events from one to another, each in a table `words_{id}`, so that what is old goes as a whole.
    CREATE TABLE part (
        id       INTEGER PRIMARY KEY AUTOINCREMENT,
        low      INTEGER NOT NULL,
        high     INTEGER NOT NULL,
        begun_at INTEGER NOT NULL, -- when the first of them was received
        is_going INTEGER NOT NULL DEFAULT 0
    );
    -- Events whose words must not come any more.
    CREATE TABLE erased (seq INTEGER PRIMARY KEY);";

/// Where the words of a database are, by its one true name.
pub(super) fn path_of(database: &Path) -> PathBuf {
    let mut name = database.canonicalize().unwrap_or_else(|_| database.to_owned()).into_os_string();
    name.push("-search");
    name.into()
}

/// The size of the file in bytes; 0 where there is none.
pub(in super::super) fn bytes(database: &Path) -> u64 {
    std::fs::metadata(path_of(database)).map_or(0, |file| file.len())
}

/// Opens the file for writing, and makes it anew if it is something else, or damaged.
pub(super) fn open(database: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let path = path_of(database);
    let explain = |error: &rusqlite::Error| OpenError::explain(&path, error);
    match connect(database, &path, busy_timeout) {
        Ok(Some(conn)) => return Ok(conn),
        Ok(None) => {}
        Err(error) if is_damaged(&error) => {}
        Err(error) => return Err(explain(&error)),
    }
    remove(&path).map_err(|error| cannot_open(&path, &error))?;
    let made = connect(database, &path, busy_timeout).map_err(|error| explain(&error))?;
    made.ok_or_else(|| OpenError::NotADatabase { path: path.clone() })
}

fn is_damaged(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
}

fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["-wal", "-shm", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `None` where the file is not one of these.
fn connect(database: &Path, path: &Path, busy_timeout: Duration) -> rusqlite::Result<Option<Connection>> {
    make(path, database);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(busy_timeout)?;
    conn.execute_batch(SETTINGS)?;
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))?;
    if tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
    }
    let is_ours = is_ours(&transaction, "main")?;
    transaction.commit()?;
    Ok(is_ours.then_some(conn))
}

/// Makes an empty file that nobody can read who cannot read the database: the words are as much of a secret as the bodies. SQLite
/// takes the same for the log. A file that is there stays, and what cannot be made here SQLite tries again, and tells of.
fn make(path: &Path, database: &Path) {
    if let Ok(like) = std::fs::metadata(database) {
        let _ = OpenOptions::new().write(true).create_new(true).mode(like.permissions().mode() & 0o777).open(path);
    }
}

fn is_ours(conn: &Connection, schema: &str) -> rusqlite::Result<bool> {
    let number = |pragma| conn.pragma_query_value(Some(schema), pragma, |row| row.get::<_, i64>(0));
    Ok(number("application_id")? == APPLICATION_ID && number("user_version")? == VERSION)
}

/// Begins anew if it is not the words of this database, or not by these rules.
pub(super) fn check(index: &mut Connection, main: &Connection) -> rusqlite::Result<()> {
    let transaction = index.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !belongs(&transaction, "main", main)? {
        transaction.execute("UPDATE part SET is_going = 1", ())?;
        transaction.execute("UPDATE reached SET seq = 0, received_at = 0, rules = ?1", [RULES])?;
    }
    transaction.commit()
}

/// Whether the words are those of this database: it has come as far, and the last event is the same one.
fn belongs(index: &Connection, schema: &str, main: &Connection) -> rusqlite::Result<bool> {
    let sql = format!("SELECT seq, received_at, rules FROM {schema}.reached");
    let (seq, received_at, rules): (i64, i64, i64) = index.query_row(&sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let sql = "SELECT received_at FROM event WHERE seq = ?1";
    let there: Option<i64> = main.query_row(sql, [seq], |row| row.get(0)).optional()?;
    Ok(rules == RULES && seq <= newest(main)? && there.is_none_or(|there| there == received_at))
}

/// The last number that an event got.
pub(super) fn newest(main: &Connection) -> rusqlite::Result<i64> {
    main.prepare_cached("SELECT event FROM counter")?.query_row((), |row| row.get(0))
}

/// Lets a connection to the database ask for words, if they are there and its own. Without them it looks through all bodies.
pub(in super::super) fn attach(conn: &Connection, database: &Path) -> rusqlite::Result<()> {
    let path = path_of(database);
    let Some(name) = path.to_str().filter(|_| path.exists()) else { return Ok(()) };
    let attached = conn.execute("ATTACH ?1 AS search", [name]);
    let is_good = attached.and_then(|_| Ok(is_ours(conn, "search")? && belongs(conn, "search", conn)?));
    if !matches!(is_good, Ok(true)) && is_attached(conn)? {
        conn.execute_batch("DETACH search")?;
    }
    Ok(())
}

/// Whether a connection can ask for words.
pub(super) fn is_attached(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT 1 FROM pragma_database_list WHERE name = 'search'")?.exists(())
}
