//! Requests that are carried out once: the role of the store that remembers the key of each, and its answer.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use crate::domain::{Headers, Timestamp};

/// A key within its namespace, as a hash: 16 bytes, however long the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub [u8; 16]);

/// A request that comes with a key.
#[derive(Debug, Clone, Copy)]
pub struct KeyedRequest {
    /// The key.
    pub key: KeyId,
    /// A digest of the request: the same key is for the same request alone.
    pub fingerprint: [u8; 32],
    /// When it has come.
    pub now: Timestamp,
    /// Until when its answer is kept.
    pub expires_at: Timestamp,
    /// Whether nothing else in this process works under the key. A claim of this process is then one that was given up.
    pub alone: bool,
}

/// The right to carry out the request with a key: whoever has it is the only one. It ends with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyClaim(pub i64);

/// An answer, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The header fields that belong to it.
    pub headers: Headers,
    /// The body.
    pub body: Bytes,
}

/// What is to be done with a request that comes with a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum NextAction<C = KeyClaim> {
    /// It is the first: carry it out under this claim.
    Start(C),
    /// It was carried out: this was its answer.
    Replay(Answer),
    /// It is being carried out.
    InFlight,
    /// The key belongs to another request.
    Reused,
    /// It was carried out, and its answer was lost or is too large to be kept.
    Lost,
}

impl<C> NextAction<C> {
    /// With something else in the place of the claim.
    pub fn map<D>(self, start: impl FnOnce(C) -> D) -> NextAction<D> {
        match self {
            Self::Start(claim) => NextAction::Start(start(claim)),
            Self::Replay(answer) => NextAction::Replay(answer),
            Self::InFlight => NextAction::InFlight,
            Self::Reused => NextAction::Reused,
            Self::Lost => NextAction::Lost,
        }
    }
}

/// Remembers keys and answers.
#[async_trait]
pub trait Idempotency: Send + Sync {
    /// Claims the key, unless it is taken. A claim whose process has died, or that this process has given up, is void: the
    /// request may be carried out again, unless its effect was committed under the claim.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is claimed, or the claim is void once nobody of this process works under the key.
    async fn claim_key(&self, request: KeyedRequest) -> Result<NextAction, StoreError>;

    /// Keeps the answer, or with `None` that there was one that is not kept. Returns whether the claim was still held; if
    /// not, nothing changed.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn complete(&self, claim: KeyClaim, answer: Option<Answer>) -> Result<bool, StoreError>;

    /// Gives a claim up: the key is free again. One whose effect was committed is not: its answer is lost.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn abandon(&self, claim: KeyClaim) -> Result<(), StoreError>;

    /// Forgets at most `chunk` keys that have expired; never one under which a living process works. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    async fn prune_keys(&self, now: Timestamp, chunk: usize) -> Result<u64, StoreError>;
}
