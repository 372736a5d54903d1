//! The stable codes of every refusal, with their HTTP status: the one list behind problem documents, the rejection log,
//! metrics and fixtures.

/// A stable refusal code. Printed without the `onceward:` prefix that problem documents add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// The request carries no signature.
    SignatureMissing,
    /// The signature's form is wrong, or its header came twice.
    SignatureMalformed,
    /// The signature does not hold for any secret of the source.
    SignatureMismatch,
    /// The sender signs a timestamp and this request has none.
    TimestampMissing,
    /// The timestamp is outside the tolerance, on either side.
    TimestampStale,
    /// Verified, but the event's ID is absent, empty or too long.
    EventIdMissing,
    /// Verified, but a required part of the body cannot be read.
    BodyUnreadable,
    /// No source of that name.
    SourceUnknown,
    /// The provider's row does not take that method.
    MethodNotAllowed,
    /// The body is larger than the source takes.
    BodyTooLarge,
    /// The header section is larger than the listener takes.
    HeadersTooLarge,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The source's rate limit is used up.
    RateLimited,
    /// The store cannot commit now.
    StoreUnavailable,
    /// The store's queue is full.
    QueueFull,
    /// A source that needs an `Idempotency-Key` got none.
    IdempotencyKeyMissing,
    /// The first request with this key is still being answered.
    IdempotencyKeyInFlight,
    /// The key came before with another request.
    IdempotencyKeyReused,
    /// No valid token, or a foreign `Host` or `Origin`.
    Unauthorized,
    /// The token may look, but not change anything.
    Forbidden,
    /// No such resource.
    NotFound,
    /// A query parameter or body field is wrong.
    InvalidParameter,
    /// The resource is not in a state that allows this.
    Conflict,
}

/// Code, name, status, title.
const TABLE: &[(Code, &str, u16, &str)] = &[
    (Code::SignatureMissing, "signature-missing", 401, "The request carries no signature"),
    (Code::SignatureMalformed, "signature-malformed", 401, "The signature is malformed"),
    (Code::SignatureMismatch, "signature-mismatch", 401, "The signature does not match"),
    (Code::TimestampMissing, "timestamp-missing", 401, "The request carries no usable timestamp"),
    (Code::TimestampStale, "timestamp-stale", 401, "The timestamp is outside the tolerance"),
    (Code::EventIdMissing, "event-id-missing", 400, "The event's ID is missing"),
    (Code::BodyUnreadable, "body-unreadable", 400, "The body cannot be read"),
    (Code::SourceUnknown, "source-unknown", 404, "There is no such source"),
    (Code::MethodNotAllowed, "method-not-allowed", 405, "The method is not allowed"),
    (Code::BodyTooLarge, "body-too-large", 413, "The body is too large"),
    (Code::HeadersTooLarge, "headers-too-large", 431, "The headers are too large"),
    (Code::RequestTimeout, "request-timeout", 408, "The request took too long to arrive"),
    (Code::RateLimited, "rate-limited", 429, "Too many requests"),
    (Code::StoreUnavailable, "store-unavailable", 503, "The store is unavailable"),
    (Code::QueueFull, "queue-full", 503, "The queue is full"),
    (Code::IdempotencyKeyMissing, "idempotency-key-missing", 400, "The Idempotency-Key header is missing"),
    (Code::IdempotencyKeyInFlight, "idempotency-key-in-flight", 409, "A request with this Idempotency-Key is in flight"),
    (Code::IdempotencyKeyReused, "idempotency-key-reused", 422, "This Idempotency-Key came before with another request"),
    (Code::Unauthorized, "unauthorized", 401, "Unauthorized"),
    (Code::Forbidden, "forbidden", 403, "This token may not change anything"),
    (Code::NotFound, "not-found", 404, "Not found"),
    (Code::InvalidParameter, "invalid-parameter", 400, "A parameter is invalid"),
    (Code::Conflict, "conflict", 409, "Conflict"),
];

impl Code {
    /// Every code, in the order of the documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The code's name: `signature-mismatch`.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        self.row().2
    }

    /// A sentence for people.
    pub fn title(self) -> &'static str {
        self.row().3
    }

    /// The code of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    fn row(self) -> &'static (Self, &'static str, u16, &'static str) {
        // Declaration order is table order, which `the_table_follows_the_declaration` holds.
        &TABLE[self as usize]
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_follows_the_declaration() {
        assert_eq!(TABLE.len(), Code::Conflict as usize + 1);
        for (at, row) in TABLE.iter().enumerate() {
            assert_eq!(row.0 as usize, at, "{}", row.1);
            assert_eq!(Code::from_name(row.1), Some(row.0));
        }
    }
}
