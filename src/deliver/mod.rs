//! Kinds of destination. Each makes one attempt at one delivery and says what came of it; none of them decides when, or
//! whether again.

mod http;

use std::sync::Arc;

use async_trait::async_trait;

pub use http::HttpDestination;

use crate::config::{self, Target};
use crate::domain::{AttemptResult, ClaimedDelivery, Clock};
use crate::net::{Clients, SetupError};

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
    /// Its client cannot be made.
    #[error(transparent)]
    Client(#[from] SetupError),
    /// A field to be set has no form in HTTP.
    #[error("the header {0} cannot be sent")]
    Field(String),
}

impl BuildError {
    /// The destination's key that is wrong, led by a dot, where it is a certain one; else nothing.
    pub fn key(&self) -> String {
        match self {
            Self::Client(SetupError { key: Some(key), .. }) => format!(".{key}"),
            _ => String::new(),
        }
    }
}

/// The destination that the configuration describes. The clock judges the dates in its answers.
///
/// # Errors
/// [`BuildError`].
pub fn build(destination: &config::Destination, clients: &Clients, clock: &Arc<dyn Clock>) -> Result<Arc<dyn Destination>, BuildError> {
    match &destination.target {
        Target::Url(target) => {
            let client = clients.with(&target.as_ref().into())?;
            Ok(Arc::new(HttpDestination::new(client, target, destination.timeout, Arc::clone(clock))?))
        }
        Target::Exec(_) | Target::Handler(_) => Err(BuildError::Unsupported),
    }
}
