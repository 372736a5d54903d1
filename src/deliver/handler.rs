//! A function of the program that Onceward is built into, as destination.

use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::Destination;
use crate::domain::{AttemptResult, ClaimedDelivery, Health, Outcome};
use crate::net::NetError;

/// The longest reason that is kept, in bytes.
const LONGEST_REASON: usize = 1_024;

/// Handles events. A closure that returns a future is one:
///
/// ```
/// use onceward::deliver::{Failure, Handlers};
/// use onceward::domain::ClaimedDelivery;
///
/// let handlers = Handlers::default().with("mailer", |delivery: ClaimedDelivery| async move {
///     let body = std::str::from_utf8(&delivery.event.body)?; // any error is worth another attempt
///     if body.is_empty() {
///         return Err(Failure::give_up("there is nothing to send"));
///     }
///     Ok(())
/// });
/// ```
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Handles the event of one delivery; `Ok` when it is done. Called again, for the same event, after a failure, and
    /// after a crash between its effect and the record of it. A panic is a failure that is worth another attempt.
    ///
    /// At the destination's time-out the future is dropped where it waits. A handler that blocks its thread cannot be cut
    /// off and holds up others.
    ///
    /// # Errors
    /// [`Failure`], which says whether to try again.
    async fn handle(&self, delivery: ClaimedDelivery) -> Result<(), Failure>;
}

#[async_trait]
impl<F, Handling> Handler for F
where
    F: Fn(ClaimedDelivery) -> Handling + Send + Sync + 'static,
    Handling: Future<Output = Result<(), Failure>> + Send + 'static,
{
    async fn handle(&self, delivery: ClaimedDelivery) -> Result<(), Failure> {
        self(delivery).await
    }
}

/// Why a handler did not handle an event, and whether to try again. `?` makes any error one that is worth another attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Another attempt may help.
    Retry {
        /// Why it failed, for people. Goes into the history, so it must hold no secret.
        reason: String,
        /// The least wait until then, at most a day; the retry policy may wait longer.
        after: Option<Duration>,
    },
    /// No further attempt can help: the delivery is dead.
    GiveUp {
        /// Why, for people. Goes into the history, so it must hold no secret.
        reason: String,
    },
}

impl Failure {
    /// Another attempt may help.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::Retry { reason: reason.into(), after: None }
    }

    /// Another attempt may help, but not before this time has passed.
    pub fn retry_after(reason: impl Into<String>, wait: Duration) -> Self {
        Self::Retry { reason: reason.into(), after: Some(wait) }
    }

    /// No further attempt can help.
    pub fn give_up(reason: impl Into<String>) -> Self {
        Self::GiveUp { reason: reason.into() }
    }
}

/// The error with its causes.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut reason = error.to_string();
        let mut next = error.source();
        while let Some(cause) = next {
            reason.push_str(&format!(": {cause}"));
            next = cause.source();
        }
        Self::retry(reason)
    }
}

/// The functions that destinations can name.
#[derive(Clone, Default)]
pub struct Handlers(BTreeMap<String, Arc<dyn Handler>>);

impl Handlers {
    /// With another function under this name; one that was registered under it before is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, handler: impl Handler) -> Self {
        self.0.insert(name.into(), Arc::new(handler));
        self
    }

    /// The names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The function of that name.
    pub(super) fn get(&self, name: &str) -> Option<Arc<dyn Handler>> {
        self.0.get(name).cloned()
    }
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Calls a handler for each attempt.
pub struct HandlerDestination {
    handler: Arc<dyn Handler>,
    timeout: Duration,
}

impl HandlerDestination {
    /// Calls the handler, an attempt taking at most `timeout`.
    pub fn new(handler: Arc<dyn Handler>, timeout: Duration) -> Self {
        Self { handler, timeout }
    }
}

#[async_trait]
impl Destination for HandlerDestination {
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult {
        let handled = timeout(self.timeout, self.handler.handle(delivery.clone())).await;
        let (outcome, health) = match handled {
            Ok(Ok(())) => (Outcome::Delivered, Health::Well),
            Ok(Err(Failure::Retry { reason, after })) => (Outcome::Retry { reason: cut(reason), after }, Health::Unwell),
            Ok(Err(Failure::GiveUp { reason })) => (Outcome::GiveUp { reason: cut(reason) }, Health::Unknown),
            Err(_) => (Outcome::Retry { reason: NetError::TimedOut(self.timeout).to_string(), after: None }, Health::Unwell),
        };
        AttemptResult { outcome, health, status_code: None, response: None }
    }
}

/// The reason, as long as it may be.
fn cut(mut reason: String) -> String {
    reason.truncate(reason.floor_char_boundary(LONGEST_REASON));
    reason
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::testing::delivery;

    async fn attempt(handler: impl Handler) -> AttemptResult {
        HandlerDestination::new(Arc::new(handler), Duration::from_secs(30)).attempt(&delivery()).await
    }

    fn result(outcome: Outcome, health: Health) -> AttemptResult {
        AttemptResult { outcome, health, status_code: None, response: None }
    }

    fn retry(reason: &str, after: Option<Duration>) -> AttemptResult {
        result(Outcome::Retry { reason: reason.to_owned(), after }, Health::Unwell)
    }

    #[tokio::test]
    async fn what_a_handler_says_is_the_outcome() {
        assert_eq!(attempt(async |_| Ok(())).await, result(Outcome::Delivered, Health::Well));
        assert_eq!(attempt(async |_| Err(Failure::retry("busy"))).await, retry("busy", None));
        let wait = Duration::from_secs(7);
        assert_eq!(attempt(move |_| async move { Err(Failure::retry_after("busy", wait)) }).await, retry("busy", Some(wait)));
        let dead = Outcome::GiveUp { reason: "unknown customer".to_owned() };
        assert_eq!(attempt(async |_| Err(Failure::give_up("unknown customer"))).await, result(dead, Health::Unknown));
    }

    #[tokio::test]
    async fn any_error_is_worth_another_attempt_and_comes_with_its_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("not sent")]
        struct Outer(#[source] std::num::ParseIntError);
        let failing = async |_| {
            "x".parse::<u32>().map_err(Outer)?;
            Ok(())
        };
        assert_eq!(attempt(failing).await, retry("not sent: invalid digit found in string", None));
    }

    #[tokio::test]
    async fn a_reason_has_a_bound() {
        let result = attempt(async |_| Err(Failure::retry("é".repeat(1_000_000) + "x"))).await;
        assert_eq!(result, retry(&"é".repeat(512), None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_without_end_is_dropped_at_the_time_out() {
        struct Dropped(Arc<()>);
        let whole = Arc::new(());
        let held = Arc::clone(&whole);
        let hanging = move |_| {
            let held = Dropped(Arc::clone(&held));
            async move {
                std::future::pending::<()>().await;
                drop(held.0);
                Ok(())
            }
        };
        let destination = HandlerDestination::new(Arc::new(hanging), Duration::from_secs(30));
        let begun = tokio::time::Instant::now();
        assert_eq!(destination.attempt(&delivery()).await, retry("timed out after 30 s", None));
        assert_eq!((begun.elapsed(), Arc::strong_count(&whole)), (Duration::from_secs(30), 2));
    }
}
