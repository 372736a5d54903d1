//! Questions about what happened, with answers in the shapes that the API and the command line show.

mod audit;
mod control;
mod cursor;
mod export;
mod stats;
mod view;

use std::collections::HashMap;
use std::sync::Arc;

pub use crate::store::{
    AuditFilter, Change, DeliveryFilter, EventFilter, LONGEST_SOUGHT, Order, RejectionFilter, Sought, SoughtError, StoreError,
};
pub use audit::{Asked, AuditView, Trail};
pub use control::Control;
pub use cursor::{Cursor, CursorError};
pub use stats::{SourceStats, Stats, Volume};
pub use view::{AttemptView, DeliveryView, EventView, PageView, RefusedView, RejectionView};

use crate::domain::{Backlog, DeliveryId, EventKey, Timestamp};
pub use crate::store::StoredBody;
use crate::store::{self, DeliveryRow, Found, Prunable, Prune, Pruned, Size};

/// The most rows of a page.
pub const MAX_LIMIT: usize = 200;
/// The rows of a page when none are asked for.
pub const DEFAULT_LIMIT: usize = 50;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    /// Rows, at most [`MAX_LIMIT`].
    pub limit: usize,
    /// Where the page before ended.
    pub cursor: Option<Cursor>,
    /// The direction.
    pub order: Order,
}

impl Paging {
    /// For the store: one row more than asked for, which tells whether there is a next page.
    pub(crate) fn page(self) -> store::Page {
        store::Page { limit: self.limit.min(MAX_LIMIT) + 1, after: self.cursor.map(Cursor::row), order: self.order }
    }
}

impl Default for Paging {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, cursor: None, order: Order::Newest }
    }
}

/// Answers questions about what happened.
#[derive(Clone)]
pub struct History {
    store: Arc<dyn store::History>,
}

impl History {
    /// Answers from this store.
    pub fn new(store: Arc<dyn store::History>) -> Self {
        Self { store }
    }

    /// Events, without headers and attempts, with a cursor to the next page.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn events(&self, filter: EventFilter, paging: Paging) -> Result<PageView<EventView>, StoreError> {
        let Found { rows, reached } = self.store.find_events(filter, paging.page()).await?;
        let mut deliveries: HashMap<i64, Vec<DeliveryRow>> = HashMap::new();
        for delivery in self.store.deliveries_of(rows.iter().map(|row| row.seq).collect(), false).await? {
            deliveries.entry(delivery.event_seq).or_default().push(delivery);
        }
        let views = rows.into_iter().map(|row| (row.seq, EventView::listed(deliveries.remove(&row.seq).unwrap_or_default(), row)));
        let page = PageView::cut(views.collect(), paging.limit);
        Ok(PageView { next: page.next.or(reached.map(Cursor::after)), ..page })
    }

    /// Where the list of events that match ends now, or behind, to follow it from there with [`History::events_after`].
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn end(&self, filter: EventFilter) -> Result<Cursor, StoreError> {
        let filter = EventFilter { q: None, ..filter };
        let newest = self.store.events(filter, store::Page { limit: 1, after: None, order: Order::Newest }).await?;
        Ok(Cursor::after(newest.first().map_or(0, |row| row.seq)))
    }

    /// The events behind the cursor, oldest first, and the cursor behind them.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn events_after(&self, filter: EventFilter, cursor: Cursor) -> Result<(Vec<EventView>, Cursor), StoreError> {
        let page = store::Page { limit: MAX_LIMIT, after: Some(cursor.row()), order: Order::Oldest };
        let Found { rows, reached } = self.store.find_events(filter, page).await?;
        let end = reached.or(rows.last().map(|row| row.seq)).map_or(cursor, Cursor::after);
        Ok((rows.into_iter().map(|row| EventView::listed(Vec::new(), row)).collect(), end))
    }

    /// One event with its headers, deliveries and attempts.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn event(&self, key: &EventKey) -> Result<Option<EventView>, StoreError> {
        let Some(row) = self.store.event(key.clone()).await? else { return Ok(None) };
        let deliveries = self.store.deliveries_of(vec![row.seq], true).await?;
        Ok(Some(EventView::whole(deliveries, row)))
    }

    /// One event's raw body.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn body(&self, key: &EventKey) -> Result<Option<StoredBody>, StoreError> {
        self.store.body(key.clone()).await
    }

    /// One event as the bytes of a fixture, without secrets; `None` when it is not known, or its content is gone.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn fixture(&self, key: &EventKey) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.store.request(key.clone()).await?.map(|event| export::fixture(event).print()))
    }

    /// Deliveries, without attempts, with a cursor to the next page.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn deliveries(&self, filter: DeliveryFilter, paging: Paging) -> Result<PageView<DeliveryView>, StoreError> {
        let rows = self.store.deliveries(filter, paging.page()).await?;
        Ok(PageView::cut(rows.into_iter().map(|row| (row.id.0, DeliveryView::listed(row))).collect(), paging.limit))
    }

    /// One delivery with its attempts.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryView>, StoreError> {
        Ok(self.store.delivery(id).await?.map(DeliveryView::whole))
    }

    /// The rejection log, with a cursor to the next page.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn rejections(&self, filter: RejectionFilter, paging: Paging) -> Result<PageView<RejectionView>, StoreError> {
        let rows = self.store.rejections(filter, paging.page()).await?;
        Ok(PageView::cut(rows.into_iter().map(|row| (row.id, RejectionView::from(row))).collect(), paging.limit))
    }

    /// One rejection with what is kept of the request.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn rejection(&self, id: i64) -> Result<Option<RejectionView>, StoreError> {
        Ok(self.store.rejection(id).await?.map(RejectionView::from))
    }

    /// One rejection's raw body.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn rejection_body(&self, id: i64) -> Result<Option<StoredBody>, StoreError> {
        self.store.rejection_body(id).await
    }

    /// What is unfinished, for each destination that has anything.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.store.backlog().await
    }

    /// Forgets one small chunk of what is old; call again until [`Pruned::nothing`].
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        self.store.prune(prune).await
    }

    /// What all chunks together would forget, without forgetting it.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn prunable(&self, prune: Prune) -> Result<Prunable, StoreError> {
        self.store.prunable(prune).await
    }

    /// What has come in, by source, the sources in the order of their names.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn stats(&self, now: Timestamp) -> Result<Stats, StoreError> {
        Ok(Stats::of(self.store.counts(now.minus(stats::DAY)).await?, now))
    }

    /// How large the store is on disk, and how much waits to be committed.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be told.
    pub async fn size(&self) -> Result<Size, StoreError> {
        self.store.size().await
    }
}
