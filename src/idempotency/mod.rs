//! Requests that are carried out once, however often they come: by the key that the client chose for each, the first is
//! carried out and its answer kept, and whatever comes later gets that answer
//! (draft-ietf-httpapi-idempotency-key-header-07). Knows nothing of the HTTP server; what a request does is its caller's.

mod held;
mod key;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

pub use crate::store::{Answer, KeyClaim, NextAction, StoreError};
pub use key::{Key, KeyError, MAX_KEY};

use crate::domain::{Clock, Timestamp};
use crate::store::{self, KeyId, KeyedRequest};
use held::{Held, Hold};

/// The largest body of an answer that is kept, in bytes.
pub const MAX_BODY: usize = 256 << 10;
/// The header fields of an answer that are kept. What else an answer has is about the connection, or the moment.
const KEPT: [&str; 3] = ["content-type", "location", "allow"];

/// A digest of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of everything that makes the request what it is: method, path, query and body, say. No two lists of parts are alike.
    pub fn of(parts: &[&[u8]]) -> Self {
        let digest =
            parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update((part.len() as u64).to_le_bytes()).chain_update(part));
        Self(digest.finalize().into())
    }
}

/// Decides about requests with keys.
pub struct Idempotency {
    store: Arc<dyn store::Idempotency>,
    clock: Arc<dyn Clock>,
    /// How long a key is known.
    kept: Duration,
    held: Arc<Held>,
}

impl Idempotency {
    /// Remembers in this store, each key for so long from its first request on.
    pub fn new(store: Arc<dyn store::Idempotency>, clock: Arc<dyn Clock>, kept: Duration) -> Self {
        Self { store, clock, kept, held: Arc::default() }
    }

    /// What is to be done with a request. Keys of different namespaces, such as `api`, have nothing to do with each other.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has begun then.
    pub async fn begin(&self, namespace: &str, key: &Key, request: Fingerprint) -> Result<NextAction<Begun>, StoreError> {
        let (key, now) = (id(namespace, key), self.clock.now());
        let hold = Hold::new(&self.held, key);
        let request = KeyedRequest { key, fingerprint: request.0, now, expires_at: now.plus(self.kept), alone: hold.alone() };
        let next = self.store.claim_key(request).await?;
        Ok(next.map(|claim| Begun { claim, store: Arc::clone(&self.store), _hold: hold }))
    }

    /// Forgets at most `chunk` keys whose time is over. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    pub async fn prune(&self, now: Timestamp, chunk: usize) -> Result<u64, StoreError> {
        self.store.prune_keys(now, chunk).await
    }
}

/// A request that is being carried out. Dropped without an end, as after a panic, its key is free again, unless its effect was
/// committed under the claim.
pub struct Begun {
    claim: KeyClaim,
    store: Arc<dyn store::Idempotency>,
    _hold: Hold,
}

impl Begun {
    /// What the effect is committed under, where it must not be done twice.
    pub fn claim(&self) -> KeyClaim {
        self.claim
    }

    /// Ends it. The answer is kept, unless it says that nothing was done and the client should try again.
    ///
    /// # Errors
    /// [`StoreError`]; then it is as if it had been dropped.
    pub async fn end(self, answer: Answer) -> Result<(), StoreError> {
        if asks_to_try_again(&answer) {
            return self.store.abandon(self.claim).await;
        }
        let Answer { status, headers, body } = answer;
        let headers = headers.without(|name| !KEPT.contains(&name));
        let kept = (body.len() <= MAX_BODY).then_some(Answer { status, headers, body });
        self.store.complete(self.claim, kept).await.map(drop)
    }
}

/// Trouble of the server, too many requests, no right to ask; and whatever says when to come back.
fn asks_to_try_again(answer: &Answer) -> bool {
    answer.status >= 500 || [401, 429].contains(&answer.status) || answer.headers.get("retry-after").is_some()
}

/// No namespace has a NUL.
fn id(namespace: &str, key: &Key) -> KeyId {
    let digest = Sha256::new().chain_update(namespace).chain_update([0]).chain_update(key.as_str()).finalize();
    KeyId(std::array::from_fn(|at| digest[at]))
}
