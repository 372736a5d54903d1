//! A URL as destination: the sender's request, forwarded with what Onceward knows about it. Success is a 2xx.

mod answer;
mod credentials;
mod fields;
mod target;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::HeaderMap;
use url::Url;

use super::{BuildError, Destination, RESPONSE_CAP};
use crate::config::UrlTarget;
use crate::domain::{AttemptResult, ClaimedDelivery, Clock, Health, Outcome, StoredEvent};
use crate::net::{Client, Endpoint, NetError, Request, Response};
use crate::signing::SigningKey;

/// Forwards events to a URL.
pub struct HttpDestination {
    client: Client,
    url: Url,
    endpoint: Endpoint,
    append_path: bool,
    credentials: HeaderMap,
    sign: Vec<SigningKey>,
    dead_on: Vec<u16>,
    timeout: Duration,
    clock: Arc<dyn Clock>,
}

impl HttpDestination {
    /// Forwards to the URL, an attempt taking at most `timeout`. The clock judges the dates in answers, and
    /// says when a request is signed. What the target says of TLS is the client's.
    ///
    /// # Errors
    /// [`BuildError::Field`] when a header to be set has no form in HTTP, [`BuildError::Url`] when the URL has none.
    pub fn new(client: Client, target: &UrlTarget, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let credentials = credentials::fields(target)?;
        let UrlTarget { url, append_path, dead_on, sign, .. } = target.clone();
        let endpoint = Endpoint::try_from(&url).map_err(|_| BuildError::Url)?;
        Ok(Self { client, url, endpoint, append_path, credentials, sign, dead_on, timeout, clock })
    }

    /// Where the event goes; `None` when its path would lead out of the URL.
    fn endpoint(&self, event: &StoredEvent) -> Option<Result<Endpoint, NetError>> {
        if !self.append_path {
            return Some(Ok(self.endpoint.clone()));
        }
        target::below(&self.url, &event.subpath, &event.query).map(|url| Endpoint::try_from(&url))
    }

    fn result(&self, answer: Result<Response, NetError>) -> AttemptResult {
        match answer {
            Ok(response) => AttemptResult {
                outcome: answer::outcome(response.status, &self.dead_on, &response.headers, self.clock.now()),
                health: answer::health(response.status, &self.dead_on),
                status_code: Some(response.status),
                response: (!response.body.is_empty()).then(|| response.body.to_vec()),
            },
            Err(error) => {
                // What cannot be sent is wrong with the event, whatever the destination is like.
                let health = if matches!(error, NetError::Unsendable(_)) { Health::Unknown } else { Health::Unwell };
                unanswered(Outcome::Retry { reason: error.to_string(), after: None }, health)
            }
        }
    }
}

#[async_trait]
impl Destination for HttpDestination {
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult {
        let event = &delivery.event;
        let to = match self.endpoint(event) {
            Some(Ok(to)) => to,
            Some(Err(error)) => return self.result(Err(error)),
            None => {
                let reason = "the request's path leads out of the destination's URL".to_owned();
                return unanswered(Outcome::GiveUp { reason }, Health::Unknown);
            }
        };
        let request = Request {
            method: event.method.clone(),
            to,
            headers: fields::forwarded(delivery, rand::random(), &self.sign, self.clock.now()),
            credentials: self.credentials.clone(),
            body: event.body.clone(),
            timeout: self.timeout,
            response_cap: RESPONSE_CAP,
        };
        self.result(self.client.send(request).await)
    }
}

fn unanswered(outcome: Outcome, health: Health) -> AttemptResult {
    AttemptResult { outcome, health, status_code: None, response: None }
}

#[cfg(test)]
mod tests;
