//! A URL as destination: the sender's request, forwarded with what Onceward knows about it. Success is a 2xx.

mod answer;
mod credentials;
mod fields;
mod target;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::Url;
use reqwest::header::HeaderMap;

use super::{BuildError, Destination, RESPONSE_CAP};
use crate::config::UrlTarget;
use crate::domain::{AttemptResult, ClaimedDelivery, Clock, Health, Outcome};
use crate::net::{Client, NetError, Request, Response};
use crate::signing::SigningKey;

/// Forwards events to a URL.
pub struct HttpDestination {
    client: Client,
    url: Url,
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
    /// [`BuildError::Field`] when a header to be set has no form in HTTP.
    pub fn new(client: Client, target: &UrlTarget, timeout: Duration, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let credentials = credentials::fields(target)?;
        let UrlTarget { url, append_path, dead_on, sign, .. } = target.clone();
        Ok(Self { client, url, append_path, credentials, sign, dead_on, timeout, clock })
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
        let url = if self.append_path { target::below(&self.url, &event.subpath, &event.query) } else { Some(self.url.clone()) };
        let Some(url) = url else {
            let reason = "the request's path leads out of the destination's URL".to_owned();
            return unanswered(Outcome::GiveUp { reason }, Health::Unknown);
        };
        let request = Request {
            method: event.method.clone(),
            url,
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
