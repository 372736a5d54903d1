//! The roles of the store, each method handed to the writer or to a reader.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use super::SqliteStore;
use super::claim::ClaimDue;
use super::control;
use super::erase::{EraseContent, IsLogClean};
use super::explain::Explain;
use super::find;
use super::finish::Finish;
use super::identity::log_of;
use super::jobs::{self, TakeStep};
use super::keyed::{Abandon, ClaimKey, Complete, PruneKeys};
use super::learned::{self, Forget, Learn};
use super::leases::{Release, Renew};
use super::lines::Straighten;
use super::owner::Recover;
use super::probe::Probe;
use super::prunable;
use super::prune::{self, Erase, Extent};
use super::record::Record;
use super::rejections::{self, Refuse};
use super::reverify::{self, Readmit, RefuseAgain, TakeSealKey};
use super::writer::Writer;
use super::{audit, deliveries, events, search, tally};
use crate::domain::{
    Backlog, DeliveryId, Due, EventKey, FinishedAttempt, Lease, NewRejection, OnDead, OwnEvent, RefusedRequest, Rejection, SealKey,
    StoredEvent, Timestamp, VerifiedEvent,
};
use crate::store::{
    Answer, Asked, Audit, AuditFilter, AuditRow, Change, Claim, ClaimRequest, Control, Counts, DeliveryFilter, DeliveryRow, EventFilter,
    EventRow, Found, History, Idempotency, Inbox, JobRow, Jobs, KeyClaim, KeyedRequest, Matching, NewJob, NextAction, Outbox, Page,
    Prunable, Prune, Pruned, Recorded, RejectionFilter, RejectionRow, Size, Step, StoreError, StoredBody, Work,
};

/// How often the log is looked at after something was erased; each time, readers are waited for.
const CLEANINGS: usize = 4;

#[async_trait]
impl Inbox for SqliteStore {
    async fn record_leased(&self, event: VerifiedEvent, deliveries: Vec<Due>) -> Result<(Recorded, Vec<Option<Lease>>), StoreError> {
        self.write(Record::new(event, deliveries)).await
    }

    async fn publish(&self, event: VerifiedEvent, deliveries: Vec<Due>) -> Result<Recorded, StoreError> {
        Ok(self.write(Record::new(event, deliveries).uncounted()).await?.0)
    }

    async fn refuse(&self, rejection: NewRejection) -> Result<i64, StoreError> {
        self.write(Refuse::new(rejection)).await
    }

    async fn seal_key(&self) -> Result<SealKey, StoreError> {
        self.write(TakeSealKey(rand::random())).await
    }

    async fn refused(&self, id: i64) -> Result<Option<RefusedRequest>, StoreError> {
        self.0.readers.ask(move |conn| reverify::one(conn, id)).await
    }

    async fn still_refused(&self, source: Option<Arc<str>>) -> Result<Vec<i64>, StoreError> {
        self.0.readers.ask(move |conn| reverify::refused(conn, source.as_deref())).await
    }

    async fn readmit(&self, id: i64, event: VerifiedEvent, deliveries: Vec<Due>, now: Timestamp) -> Result<Option<Recorded>, StoreError> {
        self.write(Readmit { id, record: Record::new(event, deliveries).at(now) }).await
    }

    async fn refuse_again(&self, id: i64, rejection: Rejection) -> Result<(), StoreError> {
        self.write(RefuseAgain { id, rejection }).await
    }

    async fn learn(&self, source: Arc<str>, secret: SecretString, at: Timestamp) -> Result<SecretString, StoreError> {
        self.write(Learn { source, secret, at }).await
    }

    async fn learned(&self, source: Arc<str>) -> Result<Option<SecretString>, StoreError> {
        self.0.readers.ask(move |conn| learned::of(conn, &source)).await
    }

    async fn forget(&self, source: Arc<str>) -> Result<bool, StoreError> {
        self.write(Forget(source)).await
    }

    async fn explain(&self, id: i64, diagnosis: String) -> Result<(), StoreError> {
        self.write(Explain { id, diagnosis }).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.write(Probe).await
    }
}

#[async_trait]
impl Outbox for SqliteStore {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, StoreError> {
        self.write(ClaimDue::new(request)).await
    }

    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>, StoreError> {
        self.write(Renew { leases, until }).await
    }

    async fn finish_telling(&self, attempt: FinishedAttempt, told: Option<OwnEvent>) -> Result<bool, StoreError> {
        let told = told.map(|OwnEvent { event, deliveries }| Record::new(event, deliveries));
        self.write(Finish { attempt, told }).await
    }

    async fn release(&self, leases: Vec<Lease>, due: Timestamp, begun: bool) -> Result<(), StoreError> {
        self.write(Release { leases, due, begun }).await
    }

    async fn recover(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(Recover { now }).await
    }

    async fn straighten(&self, destination: Arc<str>, order: Option<OnDead>, now: Timestamp) -> Result<bool, StoreError> {
        self.write(Straighten { destination, order, now }).await
    }
}

#[async_trait]
impl Control for SqliteStore {
    async fn retry(&self, id: DeliveryId, now: Timestamp) -> Result<Change, StoreError> {
        self.write(control::Retry { id, now }).await
    }

    async fn cancel(&self, id: DeliveryId, now: Timestamp) -> Result<Change, StoreError> {
        self.write(control::Cancel { id, now }).await
    }

    async fn pause(&self, destination: Arc<str>, paused: bool) -> Result<(), StoreError> {
        self.write(control::Pause { destination, paused }).await
    }

    async fn erase(&self, event: EventKey, now: Timestamp) -> Result<Option<Vec<Arc<str>>>, StoreError> {
        // Its words first: they are found by its body.
        if let Some(seq) = self.find(event.clone()).await?
            && let Some(search) = &self.0.search
        {
            search.erase(seq).await?;
        }
        let Some(called_off) = self.write(EraseContent { event, now }).await? else { return Ok(None) };
        for _ in 0..CLEANINGS {
            if self.write(IsLogClean).await? {
                return Ok(Some(called_off));
            }
        }
        Err(StoreError::Unavailable("what was erased is still in the log, because somebody reads".to_owned()))
    }

    async fn paused(&self) -> Result<Vec<String>, StoreError> {
        self.0.readers.ask(control::paused).await
    }
}

#[async_trait]
impl Audit for SqliteStore {
    async fn ask(&self, asked: Asked) -> Result<i64, StoreError> {
        self.write(audit::Ask(asked)).await
    }

    async fn answer(&self, id: i64, status: u16) -> Result<(), StoreError> {
        self.write(audit::Answer { id, status }).await
    }

    async fn trail(&self, filter: AuditFilter, page: Page) -> Result<Vec<AuditRow>, StoreError> {
        self.0.readers.ask(move |conn| audit::trail(conn, &filter, page)).await
    }

    async fn forget_trail(&self, before: Timestamp, chunk: usize) -> Result<usize, StoreError> {
        self.write(audit::Forget { before, chunk }).await
    }
}

#[async_trait]
impl Jobs for SqliteStore {
    async fn find(&self, key: EventKey) -> Result<Option<i64>, StoreError> {
        self.0.readers.ask(move |conn| Ok(events::one(conn, &key)?.map(|row| row.seq))).await
    }

    async fn recorded(&self, event: i64) -> Result<Option<StoredEvent>, StoreError> {
        self.0.readers.ask(move |conn| jobs::recorded(conn, event)).await
    }

    async fn replay_claimed(
        &self,
        event: i64,
        deliveries: Vec<Due>,
        now: Timestamp,
        claim: Option<KeyClaim>,
    ) -> Result<Option<Vec<DeliveryRow>>, StoreError> {
        self.write(jobs::Replay { event, deliveries, now, claim }).await
    }

    async fn newest(&self, work: Work) -> Result<i64, StoreError> {
        self.0.readers.ask(move |conn| jobs::newest(conn, &work)).await
    }

    async fn matching(&self, work: Work, after: i64, last: i64, limit: usize) -> Result<Matching, StoreError> {
        let unsearched = Arc::clone(&self.0.unsearched);
        self.0.readers.ask(move |conn| jobs::matching(conn, &work, &unsearched, after, last, limit)).await
    }

    async fn begin(&self, job: NewJob) -> Result<Option<JobRow>, StoreError> {
        self.write(jobs::Begin(job)).await
    }

    async fn step(&self, step: Step) -> Result<Option<Vec<Arc<str>>>, StoreError> {
        self.write(TakeStep(step)).await
    }

    async fn call_off(&self, id: i64, now: Timestamp) -> Result<Option<JobRow>, StoreError> {
        self.write(jobs::CallOff { id, now }).await
    }

    async fn job(&self, id: i64) -> Result<Option<JobRow>, StoreError> {
        self.0.readers.ask(move |conn| jobs::one(conn, id)).await
    }

    async fn jobs(&self, page: Page) -> Result<Vec<JobRow>, StoreError> {
        self.0.readers.ask(move |conn| jobs::list(conn, page)).await
    }

    async fn running(&self) -> Result<Vec<JobRow>, StoreError> {
        self.0.readers.ask(jobs::running).await
    }
}

#[async_trait]
impl Idempotency for SqliteStore {
    async fn claim_key(&self, request: KeyedRequest) -> Result<NextAction, StoreError> {
        self.write(ClaimKey(request)).await
    }

    async fn complete(&self, claim: KeyClaim, answer: Option<Answer>) -> Result<bool, StoreError> {
        self.write(Complete { claim, answer }).await
    }

    async fn abandon(&self, claim: KeyClaim) -> Result<(), StoreError> {
        self.write(Abandon(claim)).await
    }

    async fn prune_keys(&self, now: Timestamp, chunk: usize) -> Result<u64, StoreError> {
        self.write(PruneKeys { now, chunk }).await
    }
}

#[async_trait]
impl History for SqliteStore {
    async fn find_events(&self, filter: EventFilter, page: Page) -> Result<Found, StoreError> {
        let unsearched = Arc::clone(&self.0.unsearched);
        self.0.readers.ask(move |conn| find::find(conn, &filter, &unsearched, page)).await
    }

    async fn event(&self, key: EventKey) -> Result<Option<EventRow>, StoreError> {
        self.0.readers.ask(move |conn| events::one(conn, &key)).await
    }

    async fn deliveries_of(&self, events: Vec<i64>, attempts: bool) -> Result<Vec<DeliveryRow>, StoreError> {
        self.0.readers.ask(move |conn| deliveries::of_events(conn, &events, attempts)).await
    }

    async fn body(&self, key: EventKey) -> Result<Option<StoredBody>, StoreError> {
        self.0.readers.ask(move |conn| events::body(conn, &key)).await
    }

    async fn request(&self, key: EventKey) -> Result<Option<StoredEvent>, StoreError> {
        self.0.readers.ask(move |conn| events::request(conn, &key)).await
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: Page) -> Result<Vec<DeliveryRow>, StoreError> {
        self.0.readers.ask(move |conn| deliveries::list(conn, &filter, page)).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRow>, StoreError> {
        self.0.readers.ask(move |conn| deliveries::one(conn, id)).await
    }

    async fn rejections(&self, filter: RejectionFilter, page: Page) -> Result<Vec<RejectionRow>, StoreError> {
        self.0.readers.ask(move |conn| rejections::list(conn, &filter, page)).await
    }

    async fn rejection(&self, id: i64) -> Result<Option<RejectionRow>, StoreError> {
        self.0.readers.ask(move |conn| rejections::one(conn, id)).await
    }

    async fn rejection_body(&self, id: i64) -> Result<Option<StoredBody>, StoreError> {
        self.0.readers.ask(move |conn| rejections::body(conn, id)).await
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        // Whole events first: their payloads then need no second visit.
        let whole = self.prune_to(Extent::Whole, prune.ids_before, prune.chunk).await?;
        if !whole.nothing() {
            return Ok(whole);
        }
        let pruned = self.prune_to(Extent::Payload, prune.bodies_before, prune.chunk).await?;
        if pruned.nothing() {
            self.0.marks.restart();
        }
        Ok(pruned)
    }

    async fn prunable(&self, prune: Prune) -> Result<Prunable, StoreError> {
        let mut total = Prunable::default();
        for extent in [Extent::Whole, Extent::Payload] {
            let mut after = Some(0);
            while let Some(from) = after {
                let part = self.0.readers.walk(move |conn| prunable::window(conn, extent, prune, from)).await?;
                total.events += part.found.events;
                total.payloads += part.found.payloads;
                total.bytes += part.found.bytes;
                after = part.last;
            }
        }
        Ok(total)
    }

    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError> {
        self.0.readers.ask(deliveries::backlog).await
    }

    async fn counts(&self, since: Timestamp) -> Result<Counts, StoreError> {
        self.0.readers.ask(move |conn| tally::counts(conn, since)).await
    }

    async fn size(&self) -> Result<Size, StoreError> {
        let path = self.0.path.clone();
        let (wal, words) = (log_of(&path), search::bytes(&path));
        let queued = self.0.writer.as_ref().map_or(0, Writer::queued) as u64;
        self.0.readers.ask(move |_| Ok(Size { database: bytes(path) + words, wal: bytes(wal), queued })).await
    }
}

impl SqliteStore {
    /// One chunk; nothing only when there is nothing left in this round.
    async fn prune_to(&self, extent: Extent, before: Timestamp, chunk: usize) -> Result<Pruned, StoreError> {
        while let Some(after) = self.0.marks.next(extent) {
            let events = self.0.readers.walk(move |conn| prune::candidates(conn, extent, before, after, chunk)).await?;
            if events.is_empty() {
                self.0.marks.advance(extent, None);
                break;
            }
            let erased = self.write(Erase { extent, events, rows: chunk }).await?;
            self.0.marks.advance(extent, erased.last);
            if !erased.pruned.nothing() {
                return Ok(erased.pruned);
            }
        }
        Ok(Pruned::default())
    }
}

/// A file's size; a file that is not there has none.
fn bytes(path: PathBuf) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}
