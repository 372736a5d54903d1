//! Kinds of destination. Each makes one attempt at one delivery and says what came of it; none of them decides when, or
//! whether again.

use async_trait::async_trait;

use crate::domain::{AttemptResult, ClaimedDelivery};

/// Somewhere that events go.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Makes one attempt. Keeps its own time-out; never panics on what the other side sends.
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult;
}
