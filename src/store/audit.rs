//! The audit trail: who asked for a change, when, and what became of it.

use async_trait::async_trait;

use super::StoreError;
use super::query::Page;
use crate::domain::Timestamp;

/// Something that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When.
    pub at: Timestamp,
    /// The name of the token, or `local`.
    pub actor: String,
    /// The address that it came from, if that is known.
    pub client: Option<String>,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
}

/// A row of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its ID, ascending with time.
    pub id: i64,
    /// What was asked for.
    pub asked: Asked,
    /// The status of the answer; `None` while it goes on, and where the client went away or the process died over it.
    pub status: Option<u16>,
}

/// Which rows; every condition that is set must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// By this actor.
    pub actor: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Keeps the trail.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Notes that something is asked for; returns after that is synced, with its ID.
    ///
    /// # Errors
    /// [`StoreError`]: then it must not be done.
    async fn ask(&self, asked: Asked) -> Result<i64, StoreError>;

    /// Notes what became of it.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn answer(&self, id: i64, status: u16) -> Result<(), StoreError>;

    /// The trail by filter.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn trail(&self, filter: AuditFilter, page: Page) -> Result<Vec<AuditRow>, StoreError>;

    /// Forgets at most `chunk` rows from before then, the oldest. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn forget_trail(&self, before: Timestamp, chunk: usize) -> Result<usize, StoreError>;
}
