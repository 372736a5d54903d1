//! Which files the store has open. SQLite commits on into a file that was removed or replaced under a running process:
//! the log is written as if nothing were amiss, and is gone with the last connection. So it is looked at after each commit.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::fault::Fault;

/// The files at the paths where they were opened.
pub(super) struct Identity {
    files: Vec<(PathBuf, Inode)>,
    /// Once lost, for good: what was put back may lack what was committed meanwhile.
    lost: bool,
}

/// Device and number.
type Inode = (u64, u64);

impl Identity {
    /// Of an open database: its file, and its log, which stays while a connection is open.
    ///
    /// # Errors
    /// When there is no file at the path.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let mut files = vec![(database.to_owned(), inode(&database.metadata()?))];
        let log = log_of(database);
        if let Ok(found) = log.metadata() {
            files.push((log, inode(&found)));
        }
        Ok(Self { files, lost: false })
    }

    /// Looks whether the paths still lead to the open files.
    ///
    /// # Errors
    /// [`Fault::Storage`] when they do not, or when it cannot be told.
    pub(super) fn check(&mut self) -> Result<(), Fault> {
        for (path, opened) in &self.files {
            match path.metadata() {
                Ok(found) if inode(&found) == *opened => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Fault::Storage(format!("the database file cannot be looked at: {}", error.kind())));
                }
                _ => self.lost = true,
            }
        }
        self.held()
    }

    /// What the last [`Identity::check`] has found.
    ///
    /// # Errors
    /// [`Fault::Storage`] when the files are lost.
    pub(super) fn held(&self) -> Result<(), Fault> {
        if self.lost { Err(Fault::Storage(REPLACED.to_owned())) } else { Ok(()) }
    }
}

const REPLACED: &str = "the database file was replaced or removed while in use: restart to open what is there now";

/// The log of a database.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut log = database.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn inode(file: &Metadata) -> Inode {
    (file.dev(), file.ino())
}
