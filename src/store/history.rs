//! What happened, to be asked and to be forgotten.

use async_trait::async_trait;

use super::{
    Counts, DeliveryFilter, DeliveryRow, EventFilter, EventRow, Found, Page, Prunable, Prune, Pruned, RejectionFilter, RejectionRow, Size,
    StoreError, StoredBody,
};
use crate::domain::{Backlog, DeliveryId, EventKey, StoredEvent, Timestamp};

/// Answers questions about what happened, and forgets what is old.
#[async_trait]
pub trait History: Send + Sync {
    /// Events by filter, at most `page.limit` of them, in the page's order; fewer where looking for words takes long, see
    /// [`Found::reached`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find_events(&self, filter: EventFilter, page: Page) -> Result<Found, StoreError>;

    /// As [`History::find_events`], however long it takes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn events(&self, filter: EventFilter, mut page: Page) -> Result<Vec<EventRow>, StoreError> {
        let mut rows = Vec::new();
        loop {
            let found = self.find_events(filter.clone(), page).await?;
            page.limit = page.limit.saturating_sub(found.rows.len());
            rows.extend(found.rows);
            let Some(reached) = found.reached.filter(|_| page.limit > 0) else { return Ok(rows) };
            page.after = Some(reached);
        }
    }

    /// One event with its headers; its deliveries and their attempts come by [`History::deliveries_of`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn event(&self, key: EventKey) -> Result<Option<EventRow>, StoreError>;

    /// The deliveries of these events (by [`EventRow::seq`]), oldest first, with their attempts if asked for.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn deliveries_of(&self, events: Vec<i64>, attempts: bool) -> Result<Vec<DeliveryRow>, StoreError>;

    /// One event's raw body; `None` for an unknown event or one whose payload has been pruned.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn body(&self, key: EventKey) -> Result<Option<StoredBody>, StoreError>;

    /// One event as it came; `None` for an unknown event or one whose payload has been pruned.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn request(&self, key: EventKey) -> Result<Option<StoredEvent>, StoreError>;

    /// Deliveries by filter, without attempts.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn deliveries(&self, filter: DeliveryFilter, page: Page) -> Result<Vec<DeliveryRow>, StoreError>;

    /// One delivery with its attempts.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError>;

    /// The rejection log by filter.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rejections(&self, filter: RejectionFilter, page: Page) -> Result<Vec<RejectionRow>, StoreError>;

    /// One rejection with what is kept of the request.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rejection(&self, id: i64) -> Result<Option<RejectionRow>, StoreError>;

    /// One rejection's raw body.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rejection_body(&self, id: i64) -> Result<Option<StoredBody>, StoreError>;

    /// Forgets one small chunk of what is older than the retention says; never anything with unfinished deliveries.
    /// Call again until [`Pruned::nothing`].
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError>;

    /// What [`History::prune`] would remove in all its chunks. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn prunable(&self, prune: Prune) -> Result<Prunable, StoreError>;

    /// What is unfinished, for each destination that has anything.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError>;

    /// What has come in, by source: in all, and in each hour from then on, of those that are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn counts(&self, since: Timestamp) -> Result<Counts, StoreError>;

    /// How large the store is on disk, and how much waits to be committed.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn size(&self) -> Result<Size, StoreError>;
}
