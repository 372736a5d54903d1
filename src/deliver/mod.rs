//! Kinds of destination. Each makes one attempt at one delivery and says what came of it; none of them decides when, or
//! whether again.

mod http;

use std::sync::Arc;

use async_trait::async_trait;

pub use http::HttpDestination;

use crate::config::{self, Target};
use crate::domain::{AttemptResult, ClaimedDelivery, Clock};
use crate::net::Client;

/// Somewhere that events go.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Makes one attempt. Keeps its own time-out; never panics on what the other side sends.
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult;
}

/// Why a destination cannot be made as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// This kind is not there yet.
    #[error("this version does not support it yet")]
    Unsupported,
}

/// The destination that the configuration describes. The clock judges the dates in its answers.
///
/// # Errors
/// [`BuildError`].
pub fn build(destination: &config::Destination, client: &Client, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Destination>, BuildError> {
    match &destination.target {
        Target::Url(target) => Ok(Arc::new(HttpDestination::new(client.clone(), target, destination.timeout, Arc::clone(clock)))),
        Target::Exec(_) | Target::Handler(_) => Err(BuildError::Unsupported),
    }
}
