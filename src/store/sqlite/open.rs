//! Opening a database: connections with their settings, the schema's version, and what can be wrong with a file.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::fault::describe;
use crate::failpoint;

/// "Once", in the file's header: tells our databases from those of other programs.
const APPLICATION_ID: i64 = 0x4f6e_6365;
/// The schema, a step for each version; steps are only ever added.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
];
/// More statements than any connection uses.
const STATEMENTS: usize = 128;

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It can be neither opened nor created there.
    #[error("cannot open the database {path}: {reason}")]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file or its folder is read-only.
    #[error("the database {path} is not writable: {reason}")]
    NotWritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is something else, or damaged.
    #[error("{path} is not a SQLite database, or it is damaged")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database, but not of this program.
    #[error("{path} is not a database of Onceward")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer program has written it.
    #[error("the database {path} is of version {found}, this program knows up to {known}: use a newer program")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// An older program has written it, and only the server brings it up to date.
    #[error("the database {path} is of version {found}, not yet {known}: start the server once to bring it up to date")]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// Another process keeps it locked.
    #[error("the database {path} is locked by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// No room left.
    #[error("cannot write the database {path}: the disk is full")]
    Full {
        /// The file.
        path: PathBuf,
    },
}

impl OpenError {
    /// What SQLite's error means while opening `path`.
    pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, reason) = (path.to_owned(), describe(error));
        match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => Self::NotWritable { path, reason },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::NotADatabase { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
            Some(ErrorCode::DiskFull) => Self::Full { path },
            _ => Self::CannotOpen { path, reason },
        }
    }
}

/// A connection that writes; creates the database and brings its schema up to date.
pub(super) fn writable(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    patiently(busy_timeout, || {
        let mut conn = writing(path, OpenFlags::SQLITE_OPEN_CREATE, busy_timeout)?;
        migrate(path, &mut conn)?;
        Ok(conn)
    })
}

/// Another connection that writes, to the same database: where there is none any more, none is begun.
pub(super) fn again(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let conn = writing(path, OpenFlags::empty(), busy_timeout)?;
    check_version(path, &conn)?;
    Ok(conn)
}

fn writing(path: &Path, create: OpenFlags, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let explain = |error| OpenError::explain(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | create;
    let conn = connect(path, flags, busy_timeout).map_err(explain)?;
    // Looked at before anything is written: a file of somebody else stays as it is.
    check_origin(path, &conn)?;
    conn.execute_batch(WRITER_SETTINGS).map_err(explain)?;
    Ok(conn)
}

/// FULL is what "committed" means here. The cache is small on purpose: a large one is walked at every commit. The log is
/// overwritten in place rather than truncated, which syncs faster; see [`super::checkpoint`] for when it is written back.
const WRITER_SETTINGS: &str = "
    PRAGMA page_size = 4096;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA cache_size = -6144;
    PRAGMA mmap_size = 0;
    PRAGMA temp_store = MEMORY;";

/// A connection that only reads a database which is there and up to date.
pub(super) fn read_only(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    patiently(busy_timeout, || {
        let conn = reading(path, busy_timeout)?;
        check_version(path, &conn)?;
        Ok(conn)
    })
}

fn reading(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = connect(path, flags, busy_timeout).map_err(|error| OpenError::explain(path, &error))?;
    check_origin(path, &conn)?;
    Ok(conn)
}

/// As [`read_only`], but of any version that this program knows: what is copied need not be understood.
pub(super) fn to_copy(path: &Path, busy_timeout: Duration) -> Result<Connection, OpenError> {
    let conn = patiently(busy_timeout, || reading(path, busy_timeout))?;
    match check_version(path, &conn) {
        Err(OpenError::Older { .. }) | Ok(()) => Ok(conn),
        Err(error) => Err(error),
    }
}

/// Opens again while the database is locked. SQLite itself does not wait for every lock: not for the one that changes the
/// journal's mode, nor for the one under which another process recovers the log.
#[expect(clippy::disallowed_methods, reason = "nothing tells when another process lets go of a lock")]
fn patiently(patience: Duration, open: impl Fn() -> Result<Connection, OpenError>) -> Result<Connection, OpenError> {
    let begun = Instant::now();
    loop {
        match open() {
            Err(OpenError::Locked { .. }) if begun.elapsed() < patience => std::thread::sleep(Duration::from_millis(5)),
            outcome => return outcome,
        }
    }
}

fn connect(path: &Path, flags: OpenFlags, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(busy_timeout)?;
    // Plans must not depend on what is bound: SQLite would compile such statements anew for each use.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Ours and not from the future, or empty.
fn check_origin(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let explain = |error| OpenError::explain(path, &error);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0)).map_err(explain)?;
    let application: i64 = conn.query_row("PRAGMA application_id", (), |row| row.get(0)).map_err(explain)?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    let (found, known) = (version(path, conn)?, MIGRATIONS.len() as i64);
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    Ok(())
}

/// Ours, and of this program's version.
fn check_version(path: &Path, conn: &Connection) -> Result<(), OpenError> {
    let (found, known) = (version(path, conn)?, MIGRATIONS.len() as i64);
    match found {
        0 => Err(OpenError::Foreign { path: path.to_owned() }),
        _ if found < known => Err(OpenError::Older { path: path.to_owned(), found, known }),
        _ => Ok(()),
    }
}

fn version(path: &Path, conn: &Connection) -> Result<i64, OpenError> {
    conn.query_row("PRAGMA user_version", (), |row| row.get(0)).map_err(|error| OpenError::explain(path, &error))
}

/// Runs the steps that are missing, all in one transaction.
fn migrate(path: &Path, conn: &mut Connection) -> Result<(), OpenError> {
    if version(path, conn)? == MIGRATIONS.len() as i64 {
        return Ok(());
    }
    let explain = |error| OpenError::explain(path, &error);
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).map_err(explain)?;
    // Asked again under the lock: another process may have been faster.
    check_origin(path, &transaction)?;
    let done = usize::try_from(version(path, &transaction)?).unwrap_or(0);
    for step in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(step).map_err(explain)?;
    }
    failpoint::reach("open.migrated");
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(explain)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64).map_err(explain)?;
    transaction.commit().map_err(explain)
}
