//! What of the sender's header fields goes on: not what concerns only its connection to us, and nothing that says nothing or
//! could pass for Onceward's own. Whether Onceward has a key or a trace to add is told by what is left, not by what came.

use super::trace;
use crate::domain::Headers;

/// The sender's fields that go on.
pub(super) struct Sent<'e> {
    headers: &'e Headers,
    hop_by_hop: Vec<&'e [u8]>,
    trace: Option<&'e str>,
}

impl<'e> Sent<'e> {
    /// Of these.
    pub(super) fn of(headers: &'e Headers) -> Self {
        let named = headers.all("connection").flat_map(|value| value.split(|&byte| byte == b','));
        let hop_by_hop = named.map(<[u8]>::trim_ascii).collect();
        let sent = Self { headers, hop_by_hop, trace: None };
        let trace = trace::sent(headers).filter(|_| !sent.is_hop_by_hop("traceparent"));
        Self { trace, ..sent }
    }

    /// All of them, in their order and number.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'e str, &'e [u8])> {
        self.headers.iter().filter(|(name, value)| self.goes_on(name, value))
    }

    /// The sender's own key, so that its retries and ours are one.
    pub(super) fn idempotency_key(&self) -> Option<&'e [u8]> {
        self.fields().find(|(name, _)| *name == "idempotency-key").map(|(_, value)| value)
    }

    /// The sender's trace, if it has begun one.
    pub(super) fn trace(&self) -> Option<&'e str> {
        self.trace
    }

    fn goes_on(&self, name: &str, value: &[u8]) -> bool {
        let dropped = matches!(name, "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade")
            // What the client sets anew.
            || matches!(name, "host" | "content-length" | "expect")
            || name.starts_with("proxy-")
            || name.starts_with("onceward-")
            || name == "idempotency-key" && value.trim_ascii().is_empty()
            // The recommendation has `tracestate` share the fate of its `traceparent`.
            || matches!(name, "traceparent" | "tracestate") && self.trace.is_none();
        !dropped && !self.is_hop_by_hop(name)
    }

    /// Whether the sender's `Connection` names it (RFC 9110, 7.6.1).
    fn is_hop_by_hop(&self, name: &str) -> bool {
        self.hop_by_hop.iter().any(|named| named.eq_ignore_ascii_case(name.as_bytes()))
    }
}
