//! A refused request: on its way into the log, and when it is verified again. Static credentials are in it only as keyed
//! digests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::code::Code;
use super::headers::Headers;
use super::request::{Body, RawRequest};
use super::time::Timestamp;

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The stable code, which is all that the sender learns.
    pub code: Code,
    /// What was expected and what came, for the operator; never a secret or a valid signature.
    pub diagnosis: String,
}

impl Rejection {
    /// A rejection with its explanation.
    pub fn new(code: Code, diagnosis: impl Into<String>) -> Self {
        Self { code, diagnosis: diagnosis.into() }
    }
}

/// A refused request on its way into the rejection log.
#[derive(Clone)]
pub struct NewRejection {
    /// The source it was sent to.
    pub source: Arc<str>,
    /// Why it was refused.
    pub rejection: Rejection,
    /// The method in upper case.
    pub method: String,
    /// What followed `/hooks/{source}` in the path.
    pub subpath: String,
    /// The query without parameters that carry static credentials, without `?`.
    pub query: String,
    /// The header fields without static credentials.
    pub headers: Headers,
    /// The static credentials.
    pub sealed: SealedCredentials,
    /// The raw body.
    pub body: Body,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// A refused request out of the rejection log, to be verified again.
#[derive(Debug, Clone)]
pub struct RefusedRequest {
    /// The source it was sent to.
    pub source: Arc<str>,
    /// The request without its static credentials.
    pub request: RawRequest,
    /// These.
    pub sealed: SealedCredentials,
    /// Why it is refused, as of the last time that it was verified.
    pub code: Code,
    /// Whether it has been accepted meanwhile.
    pub accepted: bool,
}

/// Where a rejection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionStatus {
    /// It is still refused.
    Refused,
    /// It was verified again and is an event.
    Accepted,
}

impl RejectionStatus {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Refused, Self::Accepted];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Accepted => "accepted",
        }
    }
}

/// The key under which credentials are sealed: random, made once for each database and kept in it.
#[derive(Clone)]
pub struct SealKey([u8; 32]);

impl SealKey {
    /// From its bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Shows nothing.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey")
    }
}

/// The static credentials of a request as keyed digests, in the order in which they stood.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCredentials(pub Vec<SealedCredential>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedCredential {
    /// Where it stood.
    pub place: CredentialPlace,
    /// The digest of the value as it stood there, in hex.
    pub value: String,
    /// The digest of `user:password`, in hex, where the value was HTTP Basic authentication.
    pub basic: Option<String>,
}

/// Where a credential stands in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialPlace {
    /// In a header, by its lower-case name.
    Header(String),
    /// In a parameter of the query.
    Query(String),
}

/// Shows neither body nor query: what they hold is the sender's.
impl std::fmt::Debug for NewRejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewRejection")
            .field("source", &self.source)
            .field("rejection", &self.rejection)
            .field("headers", &self.headers)
            .field("size", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_show() {
        assert_eq!(format!("{:?}", SealKey::new([7; 32])), "SealKey");
    }
}
