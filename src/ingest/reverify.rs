//! Verifying refused requests again, with today's secrets and rows, as of the time at which they arrived: what holds now is
//! let in as if it had held then. No transaction is open while anything is verified.

use futures_util::future::try_join_all;

use super::{Ingest, StoreError};
use crate::domain::{EventKey, Happening, RefusedRequest, Rejection, VerifiedEvent};
use crate::route::Routed;
use crate::store::Recorded;
use crate::verify::Judgement;

/// So many are committed together, or fewer when their bodies come to so many bytes.
const TOGETHER: usize = 8;
const TOGETHER_BYTES: usize = 4 << 20;

/// What verifying several again came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reverified {
    /// How many have become events, or were found to be duplicates of events.
    pub accepted: u64,
    /// How many are still refused.
    pub refused: u64,
}

/// What a refused request is today.
#[allow(clippy::large_enum_variant, reason = "the large one is what is looked for, and it lives for one request")]
enum Verdict {
    /// A proved event.
    Event(Box<VerifiedEvent>),
    /// Still refused; `None` where there is nothing new to say of it.
    Refused(Option<Rejection>),
}

/// When the diagnosis of what is still refused is said anew. Explaining takes a while, and a short one must not take the place
/// of an explained one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// For one request that somebody asks about.
    Anew,
    /// Among many, where it is another one.
    WhenOther,
}

impl Ingest {
    /// Verifies one refused request again. One that has been accepted stays so. `false` when there is no such rejection.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    pub async fn reverify(&self, id: i64) -> Result<bool, StoreError> {
        let Some(refused) = self.parts.inbox.refused(id).await? else { return Ok(false) };
        if !refused.accepted {
            let verdict = self.judge_again(refused, Said::Anew).await?;
            self.settle(id, verdict).await?;
        }
        Ok(true)
    }

    /// Verifies again what is refused at this moment, of one source or of all, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]; what was accepted until then stays so, and it is safe to repeat.
    pub async fn reverify_all(&self, source: Option<&str>) -> Result<Reverified, StoreError> {
        let (mut total, mut judged, mut bytes) = (Reverified::default(), Vec::new(), 0);
        for id in self.parts.inbox.still_refused(source.map(Into::into)).await? {
            let refused = self.parts.inbox.refused(id).await?;
            let Some(refused) = refused.filter(|refused| !refused.accepted) else { continue };
            bytes += refused.request.body.len();
            judged.push((id, self.judge_again(refused, Said::WhenOther).await?));
            if judged.len() >= TOGETHER || bytes >= TOGETHER_BYTES {
                self.settle_all(std::mem::take(&mut judged), &mut total).await?;
                bytes = 0;
            }
        }
        self.settle_all(judged, &mut total).await?;
        Ok(total)
    }

    /// In their order, and as far as they lie together in one commit.
    async fn settle_all(&self, judged: Vec<(i64, Verdict)>, total: &mut Reverified) -> Result<(), StoreError> {
        let settling = judged.into_iter().map(|(id, verdict)| self.settle(id, verdict));
        for accepted in try_join_all(settling).await? {
            total.accepted += u64::from(accepted);
            total.refused += u64::from(!accepted);
        }
        Ok(())
    }

    async fn judge_again(&self, refused: RefusedRequest, said: Said) -> Result<Verdict, StoreError> {
        let RefusedRequest { source, request, sealed, code, .. } = refused;
        // Nothing new can be said where the source is not configured any more.
        let Some(source) = self.source(&source) else { return Ok(Verdict::Refused(None)) };
        let (arrived, verifier) = (request.received_at, self.verifier(source).await?);
        let request = match sealed.0.is_empty() {
            true => Ok(request),
            false => verifier.unsealed(&request, &sealed, self.seal_key().await?),
        };
        let judged = match request {
            Ok(request) => {
                // Where the sender's key cannot be had now, nothing can be said.
                let Ok(published) = self.published(source, &request).await else { return Ok(Verdict::Refused(None)) };
                match verifier.judge_by(&request, arrived, published.as_ref()) {
                    // What stands in for a credential is nothing that came.
                    Err(rejection) if sealed.0.is_empty() && said == Said::Anew => {
                        Err(self.explainer.explained(source, request, rejection, arrived).await)
                    }
                    judged => judged,
                }
            }
            Err(rejection) => Err(rejection),
        };
        Ok(match judged {
            Ok(Judgement::Event(event)) => Verdict::Event(Box::new(event)),
            // It would hold, but nobody waits for its answer.
            Ok(Judgement::Handshake(_)) => Verdict::Refused(None),
            Err(rejection) if said == Said::WhenOther && rejection.code == code => Verdict::Refused(None),
            Err(rejection) => Verdict::Refused(Some(rejection)),
        })
    }

    /// Commits a verdict; returns whether the request is accepted.
    async fn settle(&self, id: i64, verdict: Verdict) -> Result<bool, StoreError> {
        let inbox = &self.parts.inbox;
        let event = match verdict {
            Verdict::Event(event) => event,
            Verdict::Refused(None) => return Ok(false),
            Verdict::Refused(Some(rejection)) => return inbox.refuse_again(id, rejection).await.map(|()| false),
        };
        let (key, event_type, routed) = (event.key.clone(), event.event_type.clone(), self.parts.routes.choose(&*event).await);
        if let Some(recorded) = inbox.readmit(id, *event, routed.deliveries.clone(), self.parts.clock.now()).await? {
            self.readmitted(id, key, &event_type, &recorded, &routed);
        }
        Ok(true)
    }

    fn readmitted(&self, id: i64, event: EventKey, event_type: &str, recorded: &Recorded, routed: &Routed) {
        let Some(source) = self.source(&event.source) else { return };
        let fresh = recorded.is_fresh();
        if fresh {
            self.wake(&routed.deliveries);
            self.tell_of_filters(source, &event, routed);
        }
        let known = self.tell_of_content(source, event, recorded);
        self.tell(&Happening::Readmitted { rejection: id, event: &known, event_type, fresh });
    }
}
