//! What can go wrong in SQLite, sorted by who has to suffer: one operation, or everybody.

use rusqlite::ErrorCode;

use crate::store::StoreError;

/// Why an operation did not happen. Its text names no stored value.
#[derive(Debug)]
pub(super) enum Fault {
    /// The operation's own doing: its neighbours in the batch are not to blame.
    Own(String),
    /// The database cannot be written now, whatever is asked; it may pass: locked, or full.
    Storage(String),
    /// As [`Fault::Storage`], but the connection itself may be what is broken.
    Connection(String),
}

impl Fault {
    /// Whether leaving the operation out would let the rest of the batch through.
    pub(super) fn is_own(&self) -> bool {
        matches!(self, Self::Own(_))
    }

    /// The cause, for the log.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Own(cause) | Self::Storage(cause) | Self::Connection(cause) => cause,
        }
    }

    /// The same fault for one of the callers.
    pub(super) fn to_error(&self) -> StoreError {
        StoreError::Unavailable(self.cause().to_owned())
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        let cause = describe(&error);
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) | None => Self::Own(cause),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::DiskFull) => Self::Storage(cause),
            Some(_) => Self::Connection(cause),
        }
    }
}

/// One line for people.
pub(super) fn describe(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "the database is locked by another process".to_owned(),
        Some(ErrorCode::ReadOnly) => "the database is read-only".to_owned(),
        _ => error.to_string(),
    }
}
