//! Handshakes: what must be done before they are answered.

use std::sync::Arc;

use secrecy::SecretString;

use super::{Answer, COMMIT_DEADLINE, FETCH_DEADLINE, FETCH_RETRY_AFTER, Ingest, STORE_RETRY_AFTER, Source, StoreError};
use crate::domain::{Code, Happening, RawRequest, Rejection};
use crate::verify::{Answered, Verifier};

/// What a secret that a handshake brings is to the source.
enum Learnt {
    /// Its own, now or before.
    Known,
    /// It has another one.
    Another,
    /// The row has no use for it.
    Unusable,
}

impl Ingest {
    /// Answers a handshake, once what it wants is done. Safe to repeat: a sender that gets no answer begins anew.
    pub(super) async fn shake_hands(&self, source: &Source, request: RawRequest, answered: Answered) -> Answer {
        if let Some(secret) = answered.learn {
            match self.learn(source, secret).await {
                Ok(Learnt::Known) => {}
                Ok(Learnt::Unusable) => {
                    let unusable = "the secret that the handshake brings is not of the form that the row says";
                    return self.refuse_plainly(source, request, Rejection::new(Code::SignatureMismatch, unusable)).await;
                }
                Ok(Learnt::Another) => {
                    let known = "the source has another secret already, and only the first handshake is believed; `onceward learned \
                                 SOURCE --forget` and a restart let another in";
                    // The secret may be a true one: it may stand in the body, of which nothing is kept.
                    return self.refuse_plainly(source, request, Rejection::new(Code::SignatureMismatch, known)).await;
                }
                Err(_) => {
                    let why = "the store cannot keep the secret of a handshake now";
                    return self.turn_away(source, Code::StoreUnavailable, Some(STORE_RETRY_AFTER), why);
                }
            }
        }
        if let Some(url) = &answered.visit
            && let Err(cause) = self.visit(url).await
        {
            let why = format!("the URL that the sender wants to be visited gave no answer: {cause}");
            return self.turn_away(source, Code::StoreUnavailable, Some(FETCH_RETRY_AFTER), &why);
        }
        self.tell(&Happening::Handshake { source: &source.name });
        Answer::Handshake(answered.reply)
    }

    /// Keeps the secret that the sender has made up, if the source has none.
    async fn learn(&self, source: &Source, secret: SecretString) -> Result<Learnt, StoreError> {
        let outcome = |is_known| if is_known { Learnt::Known } else { Learnt::Another };
        let verifier = source.verifier();
        if !verifier.awaits_secret() {
            return Ok(outcome(verifier.has_secret(&secret)));
        }
        // What the row cannot use must not take the place of what it can.
        if verifier.with_secret(secret.clone()).is_err() {
            return Ok(Learnt::Unusable);
        }
        let learning = self.parts.inbox.learn(Arc::clone(&source.name), secret.clone(), self.clock().now());
        let kept = tokio::time::timeout(COMMIT_DEADLINE, learning).await.unwrap_or_else(|_| Err(self.slow_store()))?;
        source.take_secret(kept);
        Ok(outcome(source.verifier().has_secret(&secret)))
    }

    /// The verifier for a request: where the source is still to be told its secret, another process may have been told.
    pub(super) async fn verifier<'s>(&self, source: &'s Source) -> Result<&'s Verifier, StoreError> {
        if source.verifier().awaits_secret() {
            let asking = self.parts.inbox.learned(Arc::clone(&source.name));
            let learned = tokio::time::timeout(COMMIT_DEADLINE, asking).await.unwrap_or_else(|_| Err(self.slow_store()))?;
            learned.into_iter().for_each(|secret| source.take_secret(secret));
        }
        Ok(source.verifier())
    }

    async fn visit(&self, url: &str) -> Result<(), String> {
        let visit = tokio::time::timeout(FETCH_DEADLINE, self.parts.fetch.fetch(url, &[])).await;
        visit.unwrap_or_else(|_| Err("no answer in time".to_owned())).map(drop)
    }
}
