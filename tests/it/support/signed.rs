//! Requests as their senders sign them, made without the program's own signing code.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The secret of every source in the tests.
pub(crate) const SECRET: &str = "whsec_test_secret";

/// A request to a source.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: reqwest::Method,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn post(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { method: reqwest::Method::POST, path: path.into(), headers: Vec::new(), body: body.into() }
    }

    /// By another method.
    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// To another path, which no signature here covers.
    pub(crate) fn to(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// With another field.
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Without any field of that name.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(field, _)| !field.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn build(self, client: &reqwest::Client, base: &str) -> reqwest::RequestBuilder {
        let request = client.request(self.method, format!("{base}{}", self.path)).body(self.body);
        self.headers.into_iter().fold(request, |request, (name, value)| request.header(name, value))
    }
}

/// The second that signatures are made for.
pub(crate) fn now() -> i64 {
    use onceward::domain::Clock as _;
    onceward::domain::SystemClock.now().as_secs()
}

pub(crate) fn hmac_hex(secret: &str, parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    parts.iter().for_each(|part| mac.update(part));
    hex::encode(mac.finalize().into_bytes())
}

/// A Stripe event of this ID, to the source `stripe`, signed for now.
pub(crate) fn stripe(id: &str) -> Request {
    stripe_body(serde_json::json!({ "id": id, "object": "event", "type": "invoice.paid", "data": { "object": {} } }).to_string())
}

/// A Stripe request of this body, signed for now.
pub(crate) fn stripe_body(body: impl Into<Vec<u8>>) -> Request {
    stripe_at(now(), body)
}

/// A Stripe request of this body, signed for that second.
pub(crate) fn stripe_at(at: i64, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    let signature = hmac_hex(SECRET, &[at.to_string().as_bytes(), b".", &body]);
    Request::post("/hooks/stripe", body)
        .header("stripe-signature", format!("t={at},v1={signature}"))
        .header("content-type", "application/json; charset=utf-8")
}

/// A GitHub delivery of this ID, event and body, to the source `github`.
pub(crate) fn github(id: &str, event: &str, body: impl Into<Vec<u8>>) -> Request {
    let body = body.into();
    let signature = hmac_hex(SECRET, &[&body]);
    Request::post("/hooks/github", body)
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .header("x-github-delivery", id)
        .header("x-github-event", event)
        .header("content-type", "application/json")
}

/// A Slack request of this body, to the source `slack`, signed for now.
pub(crate) fn slack(body: impl Into<Vec<u8>>) -> Request {
    let (body, at) = (body.into(), now().to_string());
    let signature = hmac_hex(SECRET, &[b"v0:", at.as_bytes(), b":", &body]);
    Request::post("/hooks/slack", body)
        .header("x-slack-request-timestamp", at)
        .header("x-slack-signature", format!("v0={signature}"))
        .header("content-type", "application/json")
}
