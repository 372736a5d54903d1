//! Fetching what senders publish, over the one outgoing client.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use url::Url;

use crate::domain::Headers;
use crate::ingest::Fetch;
use crate::net::{Client, Endpoint, Request, certificate};

/// The most time for one answer.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The longest certificate or set of keys, in bytes.
const MOST_BYTES: usize = 256 << 10;

/// Fetches over HTTPS.
pub(super) struct Fetcher(pub(super) Client);

#[async_trait]
impl Fetch for Fetcher {
    async fn fetch(&self, url: &str, names: &[String]) -> Result<Bytes, String> {
        let url: Url = url.parse().map_err(|_| "it is no URL".to_owned())?;
        let to = Endpoint::try_from(&url).map_err(|error| error.to_string())?;
        let (method, headers, body) = ("GET".to_owned(), Headers::default(), Bytes::new());
        let credentials = Default::default();
        let request = Request { method, to, headers, credentials, body, timeout: TIMEOUT, response_cap: MOST_BYTES };
        let response = self.0.send(request).await.map_err(|error| error.to_string())?;
        if !(200..300).contains(&response.status) {
            return Err(format!("status {}", response.status));
        }
        if response.truncated {
            return Err("the answer is too long or broke off".to_owned());
        }
        if !names.is_empty() {
            certificate::check(&response.body, names)?;
        }
        Ok(response.body)
    }
}
