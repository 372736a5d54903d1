//! The audit trail, kept and shown.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{PageView, Paging};
use crate::domain::{Clock, Timestamp};
use crate::store::{self, AuditFilter, AuditRow, StoreError};

/// Keeps the trail of what is asked for.
#[derive(Clone)]
pub struct Trail {
    store: Arc<dyn store::Audit>,
    clock: Arc<dyn Clock>,
}

/// What is asked for, by whom.
pub struct Asked {
    /// The name of the token, or `local`.
    pub actor: String,
    /// The address that it came from.
    pub client: Option<String>,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
}

/// A row of the trail.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AuditEntry)]
pub struct AuditView {
    /// Its ID.
    pub id: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// By whom: the name of the token, or `local`.
    pub actor: String,
    /// From where.
    #[schema(required = true)]
    pub client: Option<String>,
    /// The method.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The status of the answer; `null` while it goes on, and where the client went away or the process died over it.
    #[schema(required = true)]
    pub status: Option<u16>,
}

impl Trail {
    /// Kept in this store.
    pub fn new(store: Arc<dyn store::Audit>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Notes that something is asked for, before it is done. Returns the ID of the row.
    ///
    /// # Errors
    /// [`StoreError`]: then it must not be done, because nobody could tell who did it.
    pub async fn ask(&self, asked: Asked) -> Result<i64, StoreError> {
        let Asked { actor, client, method, path } = asked;
        self.store.ask(store::Asked { at: self.clock.now(), actor, client, method, path }).await
    }

    /// Notes what became of it.
    ///
    /// # Errors
    /// [`StoreError`]: then the row stays without a status.
    pub async fn answer(&self, id: i64, status: u16) -> Result<(), StoreError> {
        self.store.answer(id, status).await
    }

    /// A page of the trail.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn list(&self, filter: AuditFilter, paging: Paging) -> Result<PageView<AuditView>, StoreError> {
        let rows = self.store.trail(filter, paging.page()).await?;
        Ok(PageView::cut(rows.into_iter().map(|row| (row.id, AuditView::from(row))).collect(), paging.limit))
    }

    /// Forgets a chunk of what is older. Returns how many rows.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn forget(&self, before: Timestamp, chunk: usize) -> Result<usize, StoreError> {
        self.store.forget_trail(before, chunk).await
    }
}

impl From<AuditRow> for AuditView {
    fn from(row: AuditRow) -> Self {
        let store::Asked { at, actor, client, method, path } = row.asked;
        Self { id: row.id.to_string(), at, actor, client, method, path, status: row.status }
    }
}
