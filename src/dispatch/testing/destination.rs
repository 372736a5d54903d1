//! A destination in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;

use crate::deliver::Destination;
use crate::domain::{AttemptResult, ClaimedDelivery, Health, Outcome};

type Behaviour = Box<dyn Fn(ClaimedDelivery) -> BoxFuture<'static, Outcome> + Send + Sync>;

/// A destination that does as told and counts.
pub(in super::super) struct FakeDestination {
    behaviour: Behaviour,
    /// What a failure says about it.
    ill: Health,
    in_flight: AtomicUsize,
    most: AtomicUsize,
    pub(in super::super) begun: Semaphore,
}

impl FakeDestination {
    pub(in super::super) fn new<F>(behaviour: impl Fn(ClaimedDelivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self::ill(Health::Unwell, behaviour)
    }

    /// One that says with each failure that it is overloaded.
    pub(in super::super) fn overloaded<F>(behaviour: impl Fn(ClaimedDelivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Self::ill(Health::Overloaded, behaviour)
    }

    fn ill<F>(ill: Health, behaviour: impl Fn(ClaimedDelivery) -> F + Send + Sync + 'static) -> Arc<Self>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let behaviour: Behaviour = Box::new(move |delivery| Box::pin(behaviour(delivery)));
        Arc::new(Self { behaviour, ill, in_flight: AtomicUsize::new(0), most: AtomicUsize::new(0), begun: Semaphore::new(0) })
    }

    /// One that takes everything at once.
    pub(in super::super) fn willing() -> Arc<Self> {
        Self::new(|_| async { Outcome::Delivered })
    }

    /// One that never answers.
    pub(in super::super) fn hanging() -> Arc<Self> {
        Self::new(|_| std::future::pending())
    }

    /// One that fails every attempt.
    pub(in super::super) fn failing() -> Arc<Self> {
        Self::new(|_| async { Outcome::Retry { reason: "answered 500".to_owned(), after: None } })
    }

    /// How many attempts are in flight.
    pub(in super::super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// The most attempts that were in flight at once.
    pub(in super::super) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    /// Waits until that many further attempts have begun.
    pub(in super::super) async fn begun(&self, count: u32) {
        self.begun.acquire_many(count).await.unwrap().forget();
    }
}

struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Destination for FakeDestination {
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult {
        self.most.fetch_max(self.in_flight.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _in_flight = InFlight(&self.in_flight);
        self.begun.add_permits(1);
        let outcome = (self.behaviour)(delivery.clone()).await;
        let health = if outcome == Outcome::Delivered { Health::Well } else { self.ill };
        AttemptResult { outcome, health, status_code: None, response: None }
    }
}
