//! What can go wrong in SQLite, sorted by who has to suffer: one operation, or everybody.

use rusqlite::{ErrorCode, ffi};

use crate::store::StoreError;

/// Why an operation did not happen. Its text names no stored value.
#[derive(Debug)]
pub(super) enum Fault {
    /// The operation's own doing: its neighbours in the batch are not to blame.
    Own(String),
    /// What the operation reads or writes is damaged, or too much for the memory: perhaps for this one alone, perhaps for
    /// everybody.
    Damage(String),
    /// The operation has met damage and knows now how to step around it: it should be run again. After damage SQLite writes
    /// no more in the same transaction.
    Learned(String),
    /// The database cannot be written now, whatever is asked; it may pass: locked, or full.
    Storage(String),
    /// As [`Fault::Storage`], but the connection itself may be what is broken.
    Connection(String),
}

impl Fault {
    /// Whether leaving an operation out might let the rest of the batch through.
    pub(super) fn may_be_one(&self) -> bool {
        matches!(self, Self::Own(_) | Self::Damage(_))
    }

    /// Whether the connection should be used no more.
    pub(super) fn breaks_connection(&self) -> bool {
        matches!(self, Self::Damage(_) | Self::Connection(_))
    }

    /// Met where no single operation can be to blame.
    pub(super) fn of_all(error: rusqlite::Error) -> Self {
        match error.into() {
            Self::Damage(cause) => Self::Connection(cause),
            fault => fault,
        }
    }

    /// The cause, for the log.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Own(cause) | Self::Damage(cause) | Self::Learned(cause) | Self::Storage(cause) | Self::Connection(cause) => cause,
        }
    }

    /// The same fault for one of the callers.
    pub(super) fn to_error(&self) -> StoreError {
        StoreError::Unavailable(self.cause().to_owned())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::of(&error)
    }
}

impl Fault {
    /// What an error means.
    pub(super) fn of(error: &rusqlite::Error) -> Self {
        let cause = describe(error);
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) | None => Self::Own(cause),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => Self::Storage(cause),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::OutOfMemory) => Self::Damage(cause),
            Some(_) if error.sqlite_error().is_some_and(|error| UNREADABLE.contains(&error.extended_code)) => Self::Damage(cause),
            Some(_) => Self::Connection(cause),
        }
    }
}

/// Errors of reading one place in the file.
const UNREADABLE: [i32; 4] = [ffi::SQLITE_IOERR_READ, ffi::SQLITE_IOERR_SHORT_READ, ffi::SQLITE_IOERR_DATA, ffi::SQLITE_IOERR_CORRUPTFS];

/// One line for people.
pub(super) fn describe(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "the database is locked by another process".to_owned(),
        Some(ErrorCode::OperationInterrupted) => "the question took too long".to_owned(),
        Some(ErrorCode::ReadOnly) => "the database is read-only".to_owned(),
        _ => error.to_string(),
    }
}
