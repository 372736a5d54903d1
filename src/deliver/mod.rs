//! Kinds of destination. Each makes one attempt at one delivery and says what came of it; none of them decides when, or
//! whether again.

mod encoding;
mod exec;
mod facts;
mod handler;
mod http;
mod sent;
mod trace;

use std::sync::Arc;

use async_trait::async_trait;

pub use exec::ExecDestination;
pub use handler::{Failure, Handler, HandlerDestination, Handlers};
pub use http::HttpDestination;

use crate::config::{self, Target};
use crate::domain::{AttemptResult, ClaimedDelivery, Clock};
use crate::net::{Clients, SetupError};

/// How much of an answer, or of a command's output, is kept in the history.
const RESPONSE_CAP: usize = 4 * 1024;

/// Somewhere that events go.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Makes one attempt. Keeps its own time-out; never panics on what the other side sends.
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult;
}

/// Why a destination cannot be made as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// There is no handler of that name.
    #[error("there is no handler \"{name}\"; {}", names(.registered))]
    UnknownHandler {
        /// The name.
        name: String,
        /// The names that there are.
        registered: Vec<String>,
    },
    /// Its client cannot be made.
    #[error(transparent)]
    Client(#[from] SetupError),
    /// A field to be set has no form in HTTP.
    #[error("the header {0} cannot be sent")]
    Field(String),
    /// The URL has no form in HTTP.
    #[error("the URL cannot be sent to")]
    Url,
}

impl BuildError {
    /// The destination's key that is wrong, led by a dot, where it is a certain one; else nothing.
    pub fn key(&self) -> String {
        match self {
            Self::Client(SetupError { key: Some(key), .. }) => format!(".{key}"),
            Self::UnknownHandler { .. } => ".handler".to_owned(),
            Self::Url => ".url".to_owned(),
            Self::Client(_) | Self::Field(_) => String::new(),
        }
    }
}

fn names(registered: &[String]) -> String {
    match registered {
        [] => "none is registered: handlers belong to programs that embed Onceward".to_owned(),
        names => format!("registered are {}", names.join(", ")),
    }
}

/// What destinations are made with.
pub struct Kit {
    /// Sends to URLs.
    pub clients: Clients,
    /// Judges the dates in answers.
    pub clock: Arc<dyn Clock>,
    /// The functions that destinations can name.
    pub handlers: Handlers,
}

/// The destination that the configuration describes.
///
/// # Errors
/// [`BuildError`].
pub fn build(destination: &config::Destination, kit: &Kit) -> Result<Arc<dyn Destination>, BuildError> {
    let timeout = destination.timeout;
    Ok(match &destination.target {
        Target::Url(target) => {
            let client = kit.clients.with(&target.as_ref().into())?;
            Arc::new(HttpDestination::new(client, target, timeout, Arc::clone(&kit.clock))?)
        }
        Target::Exec(target) => Arc::new(ExecDestination::new(target, timeout)),
        Target::Handler(name) => Arc::new(HandlerDestination::new(handler(name, &kit.handlers)?, timeout)),
    })
}

fn handler(name: &str, handlers: &Handlers) -> Result<Arc<dyn Handler>, BuildError> {
    let unknown = || BuildError::UnknownHandler { name: name.to_owned(), registered: handlers.names().map(str::to_owned).collect() };
    handlers.get(name).ok_or_else(unknown)
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_is_not_registered_is_named_with_those_that_are() {
        let said = |handlers: &Handlers| handler("ledger", handlers).err().map(|error| error.to_string());
        let none = "there is no handler \"ledger\"; none is registered: handlers belong to programs that embed Onceward";
        assert_eq!(said(&Handlers::default()).as_deref(), Some(none));
        let some = Handlers::default().with("mailer", async |_| Ok(())).with("audit", async |_| Ok(()));
        assert_eq!(said(&some).as_deref(), Some("there is no handler \"ledger\"; registered are audit, mailer"));
        assert_eq!(said(&some.with("ledger", async |_| Ok(()))), None);
    }
}
