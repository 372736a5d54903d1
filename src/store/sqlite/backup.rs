//! A copy of the database as it is at one moment, while others read and write it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::fault::describe;
use super::open::{self, OpenError};
use super::{ALONE, Options};

/// Pages copied before it is looked whether to go on: 16 MiB.
const STEP: i32 = 4_096;

/// How the names end of what stands beside a database and belongs to it; numbers may follow.
const BESIDE: &[&str] = &["-wal", "-shm", "-journal", "-owner-"];

/// Why there is no backup. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Something is there already.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// It would take the place of what is to be saved.
    #[error("{} is the database itself, or a part of it", .0.display())]
    Itself(PathBuf),
    /// The copy cannot be made.
    #[error("cannot write the backup {}: {reason}", .path.display())]
    Failed {
        /// Where to.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Told to stop.
    #[error("stopped: there is no backup")]
    Stopped,
}

/// Copies the database to a file of that name, and returns its size. The copy is one moment's: it has everything that was
/// answered before the call. It is written under another name, synced and renamed, so that a file of that name is always
/// whole. What is there is replaced only if asked for. Also copies a database that an older program has written.
///
/// # Errors
/// [`BackupError`].
pub fn backup(database: &Path, to: &Path, replace: bool, stop: &dyn Fn() -> bool) -> Result<u64, BackupError> {
    let source = open::to_copy(database, Options::default().busy_timeout)?;
    if is_of(database, to) {
        return Err(BackupError::Itself(to.to_owned()));
    }
    refuse_existing(to, replace)?;
    let failed = |reason: String| BackupError::Failed { path: to.to_owned(), reason };
    let draft = Draft::begin(to).map_err(|error| failed(error.to_string()))?;
    copy(&source, &draft.path, stop).map_err(|error| failed(describe(&error)))?.ok_or(BackupError::Stopped)?;
    single(&draft.path).map_err(|error| failed(describe(&error)))?;
    refuse_existing(to, replace)?;
    draft.finish(database, to).map_err(|error| failed(error.to_string()))
}

fn refuse_existing(to: &Path, replace: bool) -> Result<(), BackupError> {
    match !replace && to.symlink_metadata().is_ok() {
        true => Err(BackupError::Exists(to.to_owned())),
        false => Ok(()),
    }
}

/// Whether a file is the database, or one of those that stand beside it.
fn is_of(database: &Path, file: &Path) -> bool {
    let whole = |path: &Path| {
        let folder = folder_of(path).canonicalize().ok()?;
        path.canonicalize().ok().or_else(|| Some(folder.join(path.file_name()?)))
    };
    let (Some(database), Some(file)) = (whole(database), whole(file)) else { return false };
    let is_beside = |suffix: &str| {
        let beside = suffixed(&database, suffix);
        file.as_os_str().as_encoded_bytes().starts_with(beside.as_os_str().as_encoded_bytes())
    };
    database == file || BESIDE.iter().any(|suffix| is_beside(suffix))
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Copies page by page under one read transaction: without it, each commit of another process would have the copy begin anew.
/// `None` when told to stop.
fn copy(source: &Connection, to: &Path, stop: &dyn Fn() -> bool) -> rusqlite::Result<Option<()>> {
    source.execute_batch("BEGIN")?;
    // The transaction begins with what is read first.
    source.query_row("SELECT count(*) FROM sqlite_schema", (), |_| Ok(()))?;
    let mut copy = writable(to)?;
    // It is synced as a whole before it gets its name.
    copy.execute_batch("PRAGMA synchronous = OFF")?;
    let backup = Backup::new(source, &mut copy)?;
    loop {
        match backup.step(STEP)? {
            StepResult::Done => return Ok(Some(())),
            StepResult::More if stop() => return Ok(None),
            StepResult::More => {}
            // Nobody else knows the copy, and a reader waits for nobody.
            _ => return Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)),
        }
    }
}

/// Makes it one file, which needs no other beside it and can be opened where nothing can be written.
fn single(copy: &Path) -> rusqlite::Result<()> {
    let conn = writable(copy)?;
    conn.busy_timeout(ALONE)?;
    conn.query_row("PRAGMA journal_mode = DELETE", (), |_| Ok(()))
}

fn writable(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

/// A copy under a name of its own, which goes unless it is finished.
struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Beside where it is to be, so that it can be renamed; readable for nobody else while it grows.
    fn begin(to: &Path) -> std::io::Result<Self> {
        let path = suffixed(to, &format!(".{}.partial", std::process::id()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { path })
    }

    /// Syncs it, with the database's permissions, and gives it its name.
    fn finish(self, database: &Path, to: &Path) -> std::io::Result<u64> {
        let file = File::open(&self.path)?;
        file.set_permissions(fs::metadata(database)?.permissions())?;
        file.sync_all()?;
        fs::rename(&self.path, to)?;
        File::open(folder_of(to))?.sync_all()?;
        Ok(file.metadata()?.len())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for suffix in ["", "-journal", "-wal", "-shm"] {
            // Most are not there; a finished one has another name.
            let _ = fs::remove_file(suffixed(&self.path, suffix));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beside_the_database_is_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a.db"), "").unwrap();
        std::os::unix::fs::symlink(path("a.db"), path("link")).unwrap();
        for (name, is_one) in
            [("a.db", true), ("a.db-wal", true), ("a.db-owner-7", true), ("link", true), ("a.db-backup", false), ("b.db", false)]
        {
            assert_eq!(is_of(&path("a.db"), &path(name)), is_one, "{name}");
        }
    }

    #[test]
    fn what_is_stopped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (database, to) = (folder.path().join("a.db"), folder.path().join("copy.db"));
        let conn = open::writable(&database, ALONE).unwrap();
        conn.execute_batch("INSERT INTO probe (padding) VALUES (zeroblob(33554432))").unwrap();
        let before = fs::read_dir(folder.path()).unwrap().count();
        assert!(matches!(backup(&database, &to, false, &|| true), Err(BackupError::Stopped)));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), before);
        assert!(backup(&database, &to, false, &|| false).unwrap() > 33_554_432);
    }
}
