//! What an operator can do about deliveries and destinations. Whatever it changes is committed first; then
//! it is told, so that an order leaves a trace, and the lane is woken.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::{Clock, DeliveryId, EventKey, Happening, Observer, Wake};
use crate::store::{self, Change, StoreError};

/// Orders of an operator.
#[derive(Clone)]
pub struct Control {
    store: Arc<dyn store::Control>,
    wake: Arc<dyn Wake>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
}

impl Control {
    /// Changes this store, tells of it and wakes these lanes.
    pub fn new(store: Arc<dyn store::Control>, wake: Arc<dyn Wake>, observer: Arc<dyn Observer>, clock: Arc<dyn Clock>) -> Self {
        Self { store, wake, observer, clock }
    }

    /// Makes a delivery due now: one that waits, or one that is dead or cancelled, whose schedule then begins anew.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn retry(&self, id: DeliveryId) -> Result<Change, StoreError> {
        let change = self.store.retry(id, self.clock.now()).await?;
        Ok(self.done("retry", id, change))
    }

    /// Calls a delivery off.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn cancel(&self, id: DeliveryId) -> Result<Change, StoreError> {
        let change = self.store.cancel(id, self.clock.now()).await?;
        if let Change::Done { destination } = &change {
            self.wake.called_off(destination);
        }
        // The next one in its line may have become due.
        Ok(self.done("cancel", id, change))
    }

    /// Holds a destination: attempts in flight end, and no other begins until it is released, whatever restarts meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn pause(&self, destination: &Arc<str>) -> Result<(), StoreError> {
        self.set(destination, true).await
    }

    /// Releases a destination.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn resume(&self, destination: &Arc<str>) -> Result<(), StoreError> {
        self.set(destination, false).await
    }

    /// Erases what an event held. Its identity stays, and what is unfinished of it is called off. Returns whether there is
    /// such an event.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit, or a reader keeps its log from being emptied: then it is to be repeated.
    pub async fn erase(&self, event: EventKey) -> Result<bool, StoreError> {
        let Some(destinations) = self.store.erase(event.clone(), self.clock.now()).await? else { return Ok(false) };
        for destination in &destinations {
            self.wake.called_off(destination);
            self.wake.wake(destination);
        }
        self.observer.happened(&Happening::Erased { event: &event });
        Ok(true)
    }

    /// The destinations that are held.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn paused(&self) -> Result<BTreeSet<String>, StoreError> {
        Ok(self.store.paused().await?.into_iter().collect())
    }

    async fn set(&self, destination: &Arc<str>, paused: bool) -> Result<(), StoreError> {
        self.store.pause(Arc::clone(destination), paused).await?;
        let what = if paused { "pause" } else { "resume" };
        self.observer.happened(&Happening::Ordered { what, destination, delivery: None });
        if paused {
            self.wake.held(destination);
        }
        self.wake.wake(destination);
        Ok(())
    }

    fn done(&self, what: &'static str, id: DeliveryId, change: Change) -> Change {
        if let Change::Done { destination } = &change {
            self.observer.happened(&Happening::Ordered { what, destination, delivery: Some(id) });
            self.wake.wake(destination);
        }
        change
    }
}
