//! Verifying refused requests again, with today's secrets and rows, as of the time at which they arrived: what holds now is
//! let in as if it had held then. No transaction is open while anything is verified.

use std::sync::Arc;

use futures_util::future::try_join_all;

use super::{Ingest, StoreError};
use crate::domain::{EventKey, Happening, RefusedRequest, Rejection, VerifiedEvent};
use crate::store::Recorded;
use crate::verify::Judgement;

/// So many rejections are looked for at a time.
const PAGE: usize = 200;
/// So many are let in together, and share a commit: each may have a large body.
const TOGETHER: usize = 8;

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
    Event(VerifiedEvent),
    /// Still refused; `None` where there is nothing new to say of it.
    Refused(Option<Rejection>),
}

impl Ingest {
    /// Verifies one refused request again. One that has been accepted stays so. `false` when there is no such rejection.
    ///
    /// # Errors
    /// [`StoreError`]; safe to repeat.
    pub async fn reverify(&self, id: i64) -> Result<bool, StoreError> {
        let Some(refused) = self.parts.inbox.refused(id).await? else { return Ok(false) };
        if !refused.accepted {
            let verdict = self.judge_again(refused).await?;
            self.settle(id, verdict).await?;
        }
        Ok(true)
    }

    /// Verifies again what is refused at this moment, of one source or of all, oldest first.
    ///
    /// # Errors
    /// [`StoreError`]; what was accepted until then stays so, and it is safe to repeat.
    pub async fn reverify_all(&self, source: Option<&str>) -> Result<Reverified, StoreError> {
        let source: Option<Arc<str>> = source.map(Into::into);
        // What arrives meanwhile is refused by today's secrets.
        let begun = self.parts.clock.now();
        let (mut total, mut after) = (Reverified::default(), 0);
        loop {
            let ids = self.parts.inbox.still_refused(source.clone(), begun, after, PAGE).await?;
            let Some(last) = ids.last() else { return Ok(total) };
            after = *last;
            for ids in ids.chunks(TOGETHER) {
                self.reverify_these(ids, &mut total).await?;
            }
        }
    }

    async fn reverify_these(&self, ids: &[i64], total: &mut Reverified) -> Result<(), StoreError> {
        let mut verdicts = Vec::with_capacity(ids.len());
        for id in ids {
            match self.parts.inbox.refused(*id).await? {
                Some(refused) if !refused.accepted => verdicts.push((*id, self.judge_again(refused).await?)),
                _ => {}
            }
        }
        let settling = verdicts.into_iter().map(|(id, verdict)| self.settle(id, verdict));
        for accepted in try_join_all(settling).await? {
            total.accepted += u64::from(accepted);
            total.refused += u64::from(!accepted);
        }
        Ok(())
    }

    async fn judge_again(&self, refused: RefusedRequest) -> Result<Verdict, StoreError> {
        let RefusedRequest { source, request, sealed, .. } = refused;
        // Nothing new can be said where the source is not configured any more.
        let Some(source) = self.source(&source) else { return Ok(Verdict::Refused(None)) };
        let arrived = request.received_at;
        let judged = match sealed.0.is_empty() {
            true => source.verifier().judge(&request, arrived),
            false => source.verifier().judge_sealed(&request, &sealed, self.seal_key().await?, arrived),
        };
        Ok(match judged {
            Ok(Judgement::Event(event)) => Verdict::Event(event),
            // It would hold, but nobody waits for its answer.
            Ok(Judgement::Handshake(_)) => Verdict::Refused(None),
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
        let (key, event_type) = (event.key.clone(), event.event_type.clone());
        let destinations = self.parts.routes.destinations(&key.source, &event_type);
        if let Some(recorded) = inbox.readmit(id, event, destinations.clone(), self.parts.clock.now()).await? {
            self.readmitted(id, key, &recorded, &destinations);
        }
        Ok(true)
    }

    fn readmitted(&self, id: i64, event: EventKey, recorded: &Recorded, destinations: &[Arc<str>]) {
        let fresh = recorded.is_fresh();
        if fresh {
            self.parts.wake.wake(destinations);
        }
        let known = self.tell_of_content(event, recorded);
        self.tell(&Happening::Readmitted { rejection: id, event: &known, fresh });
    }
}
