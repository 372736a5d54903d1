//! Clients by their settings, so that destinations with the same settings share one, and with it its connections.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use super::Client;
use crate::config::{ClientTls, UrlTarget};

/// What distinguishes one client from another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientSettings {
    /// The most time until a connection stands: name resolution, TCP and TLS.
    pub connect_timeout: Duration,
    /// Whom to trust, and who we are.
    pub tls: ClientTls,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { connect_timeout: UrlTarget::CONNECT_TIMEOUT, tls: ClientTls::default() }
    }
}

impl From<&UrlTarget> for ClientSettings {
    fn from(target: &UrlTarget) -> Self {
        Self { connect_timeout: target.connect_timeout, tls: target.tls.clone() }
    }
}

/// A client that cannot be made as it is configured.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SetupError {
    /// The destination's key that is wrong, such as `tls.ca`; `None` when it is none of them.
    pub key: Option<&'static str>,
    /// What is wrong, without anything that a file holds.
    pub problem: String,
}

/// The clients that have been made, one for each settings. They are made at the start, and never for a request.
#[derive(Debug, Default)]
pub struct Clients(Mutex<HashMap<ClientSettings, Client>>);

impl Clients {
    /// The client with these settings: the one that there is, else a new one, for which the files are read.
    ///
    /// # Errors
    /// [`SetupError`] when a file cannot be used, or the TLS library cannot be set up.
    pub fn with(&self, settings: &ClientSettings) -> Result<Client, SetupError> {
        // A panic in the middle leaves the map whole: what is in it was finished before.
        let mut clients = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(client) = clients.get(settings) {
            return Ok(client.clone());
        }
        let client = Client::with(settings)?;
        clients.insert(settings.clone(), client.clone());
        Ok(client)
    }
}
