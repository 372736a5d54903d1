//! What came in, before anything about it is believed, and what goes back out.

use bytes::Bytes;

use super::headers::Headers;
use super::time::Timestamp;

/// A body as it came off the wire.
pub type Body = Bytes;

/// A request as received: nothing in it is proved yet, and nothing but `verify` may read its body.
#[derive(Clone)]
pub struct RawRequest {
    /// The method in upper case: `POST`.
    pub method: String,
    /// The path as sent, still percent-encoded: `/hooks/stripe/eu`.
    pub path: String,
    /// What follows `/hooks/{source}`, still percent-encoded: empty or starting with `/`.
    pub subpath: String,
    /// The query as sent, without `?`; empty when there was none.
    pub query: String,
    /// The header fields, all of them.
    pub headers: Headers,
    /// The raw body.
    pub body: Body,
    /// When the request had arrived whole.
    pub received_at: Timestamp,
}

/// Shows neither body nor query: what they hold is the sender's.
impl std::fmt::Debug for RawRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawRequest")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("size", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// An answer to a sender that its provider's row spells out: a handshake, or the answer to an event.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code, 200 to 599.
    pub status: u16,
    /// Header fields besides `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// Shows the status alone: a handshake's answer may hold the secret that it has brought.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply").field("status", &self.status).finish_non_exhaustive()
    }
}
