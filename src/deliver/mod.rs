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

/// The destination that the configuration describes. The clock judges the dates in its answers.
pub fn build(destination: &config::Destination, client: &Client, clock: &Arc<dyn Clock>) -> Arc<dyn Destination> {
    match &destination.target {
        Target::Url { url, append_path } => {
            Arc::new(HttpDestination::new(client.clone(), url.clone(), *append_path, destination.timeout, Arc::clone(clock)))
        }
    }
}
