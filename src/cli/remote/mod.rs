//! A small client of a server's admin API: asks for JSON, gives orders, and says in one line what went wrong.

mod error;
mod server;

use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::domain::Headers;
use crate::net::{Client, Endpoint, Request, Response};
pub(super) use error::RemoteError;
pub(super) use server::{Address, Server, admin_address};

/// The most time for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest answer: a body may be as long as the source's `max_body` says.
const LONGEST: usize = 256 << 20;

/// Parameters of a question, in their order.
pub(super) type Query = Vec<(&'static str, String)>;

/// A server's admin API.
pub(super) struct Remote {
    client: Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

impl Remote {
    /// The API at this URL. Nothing is sent yet.
    pub(super) fn new(base: Url, token: Option<&SecretString>) -> anyhow::Result<Self> {
        let authorization = token.map(|token| {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            value.context("the token holds characters that no header can")
        });
        Ok(Self { client: Client::new()?, base, authorization: authorization.transpose()? })
    }

    /// Asks for JSON.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &Query) -> Result<T, RemoteError> {
        self.json(&self.exchange("GET", self.url(path, query), None, PATIENCE).await?)
    }

    /// Asks for something as it is.
    pub(super) async fn bytes(&self, path: &[&str]) -> Result<Bytes, RemoteError> {
        Ok(self.exchange("GET", self.url(path, &Query::new()), None, PATIENCE).await?.body)
    }

    /// Gives an order.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &[&str], what: &impl Serialize) -> Result<T, RemoteError> {
        self.post_patiently(path, what, PATIENCE).await
    }

    /// Gives an order that may take its time.
    pub(super) async fn post_patiently<T: DeserializeOwned>(
        &self,
        path: &[&str],
        what: &impl Serialize,
        patience: Duration,
    ) -> Result<T, RemoteError> {
        let body = serde_json::to_vec(what).map_err(|_| RemoteError::Unsendable)?;
        self.json(&self.exchange("POST", self.url(path, &Query::new()), Some(body.into()), patience).await?)
    }

    /// A resource below `/api/v1`, whatever characters its name is made of.
    fn url(&self, path: &[&str], query: &Query) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    async fn exchange(&self, method: &str, url: Url, body: Option<Bytes>, timeout: Duration) -> Result<Response, RemoteError> {
        let mut headers: Vec<(&str, &[u8])> = vec![("accept", b"application/json, application/problem+json, */*")];
        // A fresh one for each order: what is asked for twice by us is meant twice.
        let key = idempotency_key();
        if body.is_some() {
            headers.extend([("content-type", &b"application/json"[..]), ("idempotency-key", key.as_bytes())]);
        }
        let request = Request {
            method: method.to_owned(),
            to: Endpoint::try_from(&url).map_err(|_| RemoteError::Unsendable)?,
            headers: headers.into_iter().collect::<Headers>(),
            credentials: self.authorization.iter().map(|value| (AUTHORIZATION, value.clone())).collect::<HeaderMap>(),
            body: body.unwrap_or_default(),
            timeout,
            response_cap: LONGEST,
        };
        let answer = self.client.send(request).await.map_err(|cause| RemoteError::unreachable(&self.base, cause))?;
        match answer.status {
            200..300 if answer.truncated => Err(RemoteError::Cut(error::shown(&self.base))),
            200..300 => Ok(answer),
            _ => Err(RemoteError::refused(&self.base, &answer)),
        }
    }

    fn json<T: DeserializeOwned>(&self, answer: &Response) -> Result<T, RemoteError> {
        serde_json::from_slice(&answer.body).map_err(|_| RemoteError::foreign(&self.base, answer.status))
    }
}

/// A random UUID (RFC 9562, version 4).
fn idempotency_key() -> String {
    let mut bytes: [u8; 16] = rand::random();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex::encode(bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_below_the_base_whatever_its_name_is_made_of() {
        let remote = |base: &str| Remote::new(base.parse().unwrap(), None).unwrap();
        let cases = [
            ("http://h:1", "http://h:1/api/v1/events/a/x%2Fy%20z%3F%23%25"),
            ("http://h:1/", "http://h:1/api/v1/events/a/x%2Fy%20z%3F%23%25"),
            ("https://h/onceward/", "https://h/onceward/api/v1/events/a/x%2Fy%20z%3F%23%25"),
        ];
        for (base, whole) in cases {
            assert_eq!(remote(base).url(&["events", "a", "x/y z?#%"], &Query::new()).as_str(), whole);
        }
        let query = vec![("source", "a&b".to_owned()), ("since", "2026-01-02T03:04:05Z".to_owned())];
        let url = remote("http://h").url(&["events"], &query);
        assert_eq!(url.as_str(), "http://h/api/v1/events?source=a%26b&since=2026-01-02T03%3A04%3A05Z");
    }

    #[test]
    fn each_order_has_a_key_of_its_own() {
        let (one, other) = (idempotency_key(), idempotency_key());
        assert_ne!(one, other);
        assert_eq!((one.len(), one.as_bytes()[14]), (36, b'4'));
    }
}
