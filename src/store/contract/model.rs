//! Random sequences of operations, held against the simplest store that could be: a list in memory.

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use super::*;
use crate::domain::{DeliveryStatus, EventStatus, ReplayGuard};
use crate::store::{EventFilter, Prune};

const SOURCES: [&str; 2] = ["hub", "pay"];
const DESTINATIONS: [&str; 2] = ["app", "mail"];

#[derive(Debug, Clone)]
enum Step {
    Record { source: usize, id: usize, content: u8, guard: usize, destinations: usize },
    Claim { destination: usize, limit: usize, after: usize },
    Finish { which: Index, verdict: usize, delay: i64 },
    Release { which: Index, delay: i64 },
    Wait { seconds: i64 },
    Restart { orderly: bool },
    Prune { bodies: i64, ids: i64, chunk: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..2usize, 0..5usize, 0..4u8, 0..3usize, 0..3usize).prop_map(record),
        5 => (0..2usize, 0..4usize, 0..3usize).prop_map(|(destination, limit, after)| Step::Claim { destination, limit, after }),
        5 => (any::<Index>(), 0..3usize, 0..90i64).prop_map(|(which, verdict, delay)| Step::Finish { which, verdict, delay }),
        1 => (any::<Index>(), 0..90i64).prop_map(|(which, delay)| Step::Release { which, delay }),
        3 => (1..130i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => any::<bool>().prop_map(|orderly| Step::Restart { orderly }),
        1 => (0..200i64, 0..200i64, 1..4usize).prop_map(|(bodies, ids, chunk)| Step::Prune { bodies, ids, chunk }),
    ]
}

fn record((source, id, content, guard, destinations): (usize, usize, u8, usize, usize)) -> Step {
    Step::Record { source, id, content, guard, destinations }
}

const GUARDS: [Option<ReplayGuard>; 3] = [None, Some(ReplayGuard::Mark), Some(ReplayGuard::Drop)];

#[derive(Debug)]
struct Event {
    key: EventKey,
    content: u8,
    /// Whether others are compared with it.
    guarded: bool,
    same_content_as: Option<String>,
    body_differs: bool,
    received: i64,
    duplicates: u64,
    payload: bool,
    deliveries: Vec<Delivery>,
}

#[derive(Debug)]
struct Delivery {
    destination: &'static str,
    status: DeliveryStatus,
    attempts: u32,
    failures: u32,
    due: i64,
    leased: bool,
}

impl Event {
    fn is_finished(&self) -> bool {
        self.deliveries.iter().all(|delivery| delivery.status != DeliveryStatus::Pending)
    }
}

/// The store as a list.
#[derive(Default)]
struct Model {
    now: i64,
    /// In the order in which they were first recorded, which is the order of their turns.
    sources: Vec<Arc<str>>,
    events: Vec<Event>,
    /// Every lease ever held, with whose delivery it is.
    leases: Vec<(Lease, EventKey, &'static str)>,
}

impl Model {
    fn record(&mut self, key: EventKey, content: u8, guard: Option<ReplayGuard>, destinations: &[&'static str]) -> Recorded {
        if let Some(event) = self.events.iter_mut().find(|event| event.key == key) {
            event.duplicates += 1;
            event.body_differs |= event.content != content;
            return if event.content == content { Recorded::Duplicate } else { Recorded::BodyDiffers };
        }
        let is_same = |event: &&mut Event| event.guarded && event.content == content && event.key.source == key.source;
        let mut earlier = self.events.iter_mut().find(is_same).filter(|_| guard.is_some());
        if let (Some(earlier), Some(ReplayGuard::Drop)) = (&mut earlier, guard) {
            earlier.duplicates += 1;
            return Recorded::Dropped { earlier: Arc::clone(&earlier.key.event_id) };
        }
        let same = earlier.map(|earlier| Arc::clone(&earlier.key.event_id));
        let now = self.now;
        let delivery = |name: &&'static str| Delivery {
            destination: name,
            status: DeliveryStatus::Pending,
            attempts: 0,
            failures: 0,
            due: now,
            leased: false,
        };
        let deliveries = destinations.iter().map(delivery).collect();
        if !self.sources.contains(&key.source) {
            self.sources.push(Arc::clone(&key.source));
        }
        self.events.push(Event {
            key,
            content,
            guarded: guard.is_some() && same.is_none(),
            same_content_as: same.as_ref().map(ToString::to_string),
            body_differs: false,
            received: now,
            duplicates: 0,
            payload: true,
            deliveries,
        });
        same.map_or(Recorded::Fresh, |earlier| Recorded::SameContent { earlier })
    }

    fn pending(&mut self, destination: &str) -> impl Iterator<Item = (&EventKey, &mut Delivery)> {
        let all = self.events.iter_mut().flat_map(|event| event.deliveries.iter_mut().map(|delivery| (&event.key, delivery)));
        all.filter(move |(_, delivery)| delivery.destination == destination && delivery.status == DeliveryStatus::Pending)
    }

    /// The claimed events with attempt and failures, and the next due time.
    fn claim(&mut self, destination: &str, limit: usize, after: Option<&str>) -> (Vec<(EventKey, u32, u32)>, Option<i64>) {
        let (now, sources) = (self.now, self.sources.clone());
        let place = |source: &str| sources.iter().position(|known| **known == *source);
        let first = after.and_then(place).map_or(0, |last| last + 1);
        let mut due: Vec<_> = self.pending(destination).filter(|(_, delivery)| delivery.due <= now).collect();
        due.sort_by_key(|(_, delivery)| delivery.due);
        // One of each source in turn: in the first round the first of each, and so on.
        let mut taken = vec![0; sources.len()];
        due.sort_by_cached_key(|(key, _)| {
            let source = place(&key.source).unwrap();
            taken[source] += 1;
            (taken[source], (source + sources.len() - first) % sources.len())
        });
        let take = |(key, delivery): (&EventKey, &mut Delivery)| {
            (delivery.attempts, delivery.leased, delivery.due) = (delivery.attempts + 1, true, now + 60);
            (key.clone(), delivery.attempts, delivery.failures)
        };
        let claimed = due.into_iter().take(limit).map(take).collect();
        let waiting = self.pending(destination).filter(|(_, delivery)| !delivery.leased || delivery.due <= now);
        let next = waiting.map(|(_, delivery)| delivery.due).min();
        (claimed, next)
    }

    /// The delivery under a lease, if the lease is still the current one.
    fn leased(&mut self, which: usize) -> Option<&mut Delivery> {
        let (lease, key, destination) = self.leases[which].clone();
        let mut pending = self.pending(destination);
        pending
            .find(|(owner, _)| **owner == key)
            .map(|(_, delivery)| delivery)
            .filter(|delivery| delivery.leased && delivery.attempts == lease.attempt)
    }

    fn finish(&mut self, which: usize, verdict: Verdict, due: i64) -> bool {
        let Some(delivery) = self.leased(which) else { return false };
        delivery.leased = false;
        delivery.failures += u32::from(verdict != Verdict::Delivered);
        match verdict {
            Verdict::Delivered => delivery.status = DeliveryStatus::Delivered,
            Verdict::Dead => delivery.status = DeliveryStatus::Dead,
            Verdict::RetryAt(_) => delivery.due = due,
        }
        true
    }

    fn void_leases(&mut self) -> u64 {
        let now = self.now;
        let held = DESTINATIONS.map(|destination| {
            let held = self.pending(destination).filter(|(_, delivery)| delivery.leased);
            held.map(|(_, delivery)| (delivery.leased, delivery.due) = (false, now)).count() as u64
        });
        self.leases.clear();
        held.iter().sum()
    }

    fn prune(&mut self, bodies_before: i64, ids_before: i64) -> (u64, u64) {
        let mut payloads = 0;
        for event in &mut self.events {
            let old = event.received < bodies_before || event.received < ids_before;
            if event.payload && old && event.is_finished() {
                event.payload = false;
                payloads += 1;
            }
        }
        let before = self.events.len();
        self.events.retain(|event| event.received >= ids_before || !event.is_finished());
        // Should the same event come again, its deliveries are new ones.
        self.leases.retain(|(_, key, _)| self.events.iter().any(|event| event.key == *key));
        (payloads, (before - self.events.len()) as u64)
    }
}

/// The engine and the model, side by side.
struct Pair<H: Harness> {
    harness: H,
    store: Option<H::Store>,
    model: Model,
}

impl<H: Harness> Pair<H> {
    fn store(&self) -> &H::Store {
        self.store.as_ref().unwrap()
    }

    async fn step(&mut self, step: &Step) {
        let now = at(self.model.now);
        match *step {
            Step::Record { source, id, content, guard, destinations } => {
                let (key, guard, destinations) = (key(SOURCES[source], &id.to_string()), GUARDS[guard], &DESTINATIONS[..destinations]);
                let parts = parts(&key.source, &key.event_id, now);
                let parts = VerifiedParts { content_digest: [content; 32], replay_guard: guard, ..parts };
                let recorded = self.store().record(VerifiedEvent::attest(parts), names(destinations)).await;
                assert_eq!(recorded.unwrap(), self.model.record(key, content, guard, destinations));
            }
            Step::Claim { destination, limit, after } => self.claim(DESTINATIONS[destination], limit, SOURCES.get(after).copied()).await,
            Step::Finish { which, verdict, delay } if !self.model.leases.is_empty() => {
                let which = which.index(self.model.leases.len());
                let verdict = [Verdict::Delivered, Verdict::RetryAt(at(self.model.now + delay)), Verdict::Dead][verdict];
                let ended = self.store().finish(ended(self.model.leases[which].0, now, verdict)).await.unwrap();
                let due = self.model.now + delay;
                assert_eq!(ended, self.model.finish(which, verdict, due));
            }
            Step::Release { which, delay } if !self.model.leases.is_empty() => {
                let which = which.index(self.model.leases.len());
                let due = self.model.now + delay;
                self.store().release(vec![self.model.leases[which].0], at(due)).await.unwrap();
                if let Some(delivery) = self.model.leased(which) {
                    (delivery.leased, delivery.due) = (false, due);
                }
            }
            Step::Finish { .. } | Step::Release { .. } => {}
            Step::Wait { seconds } => self.model.now += seconds,
            Step::Restart { orderly } => self.restart(orderly).await,
            Step::Prune { bodies, ids, chunk } => self.prune(self.model.now - bodies, self.model.now - ids, chunk).await,
        }
    }

    async fn claim(&mut self, destination: &'static str, limit: usize, after: Option<&str>) {
        let request = ClaimRequest { after: after.map(Into::into), ..wanted(destination, limit, at(self.model.now)) };
        let claim = self.store().claim(request).await.unwrap();
        let (expected, next) = self.model.claim(destination, limit, after);
        let claimed = claim.deliveries.iter().map(|delivery| (delivery.event.key.clone(), delivery.lease.attempt, delivery.failures));
        assert_eq!((claimed.collect::<Vec<_>>(), claim.next_due), (expected, next.map(at)));
        let leases = claim.deliveries.iter().map(|delivery| (delivery.lease, delivery.event.key.clone(), destination));
        self.model.leases.extend(leases);
    }

    async fn restart(&mut self, orderly: bool) {
        let store = self.store.take().unwrap();
        if orderly {
            self.harness.close(store).await;
        } else {
            self.harness.crash(store).await;
        }
        self.store = Some(self.harness.open().await);
        let voided = self.store().recover(at(self.model.now)).await.unwrap();
        assert_eq!(voided, self.model.void_leases());
    }

    async fn prune(&mut self, bodies: i64, ids: i64, chunk: usize) {
        let mut total = (0, 0);
        loop {
            let pruned = self.store().prune(Prune { bodies_before: at(bodies), ids_before: at(ids), chunk }).await.unwrap();
            if pruned.nothing() {
                break;
            }
            total = (total.0 + pruned.payloads, total.1 + pruned.events);
        }
        assert_eq!(total, self.model.prune(bodies, ids));
    }

    /// Everything that can be asked for is as in the model.
    async fn compare(&self) {
        let rows = self.store().events(EventFilter::default(), page(Order::Oldest, 1_000, None)).await.unwrap();
        assert_eq!(rows.len(), self.model.events.len());
        for (row, event) in rows.iter().zip(&self.model.events) {
            let status = EventStatus::of(event.deliveries.iter().map(|delivery| (delivery.status, delivery.failures)));
            let expected = (&event.key, at(event.received), event.duplicates, status);
            assert_eq!((&row.key, row.received_at, row.duplicates, row.status), expected);
            assert_eq!((&row.same_content_as, row.body_differs), (&event.same_content_as, event.body_differs));
            assert_eq!(self.store().body(row.key.clone()).await.unwrap().is_some(), event.payload);
            let deliveries = self.store().deliveries_of(vec![row.seq], true).await.unwrap();
            let found = deliveries.iter().map(|row| (&*row.destination, row.status, row.attempts, row.next_attempt_at));
            let expected = event.deliveries.iter().map(|delivery| {
                let waits = delivery.status == DeliveryStatus::Pending && !delivery.leased;
                (delivery.destination, delivery.status, delivery.attempts, waits.then(|| at(delivery.due)))
            });
            assert_eq!(found.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        }
    }
}

pub(crate) async fn any_sequence_of_operations_does_what_a_list_would<H: Harness + Send>() {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&proptest::collection::vec(step(), 1..60), |steps| {
            runtime.block_on(async {
                let harness = H::new();
                let store = Some(harness.open().await);
                let mut pair = Pair { harness, store, model: Model::default() };
                for step in &steps {
                    pair.step(step).await;
                }
                pair.compare().await;
            });
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}
