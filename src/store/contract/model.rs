//! Random sequences of operations by two processes, held against the simplest store that could be: a list in memory,
//! whose deliveries live as [`crate::domain::lifecycle`] says.

mod list;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

use self::list::{DESTINATIONS, Model, SOURCES, due};
use super::*;
use crate::domain::lifecycle::{Owner, Step as Life};
use crate::domain::{Backlog, DeliveryStatus, EventStatus, ReplayGuard};
use crate::store::{EventFilter, Prune};

/// How many sequences are tried, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 80;

#[derive(Debug, Clone)]
enum Step {
    Record { source: usize, id: usize, content: u8, guard: usize, lines: Vec<usize> },
    Claim { destination: usize, limit: usize, after: usize },
    Finish { which: Index, verdict: usize, delay: i64, on_dead: OnDead },
    Release { which: Index, delay: i64 },
    Renew { which: Vec<Index> },
    Retry { which: Index },
    Cancel { which: Index },
    Pause { destination: usize, paused: bool },
    Straighten { destination: usize, order: Option<OnDead> },
    Wait { seconds: i64 },
    Restart { orderly: bool },
    Recover,
    Prune { bodies: i64, ids: i64, chunk: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let which = any::<Index>;
    let destination = || 0..DESTINATIONS.len();
    prop_oneof![
        6 => record(),
        6 => (destination(), 0..4usize, 0..4usize).prop_map(|(destination, limit, after)| Step::Claim { destination, limit, after }),
        6 => (which(), 0..3usize, 0..90i64, on_dead())
            .prop_map(|(which, verdict, delay, on_dead)| Step::Finish { which, verdict, delay, on_dead }),
        1 => (which(), 0..90i64).prop_map(|(which, delay)| Step::Release { which, delay }),
        1 => proptest::collection::vec(which(), 1..3).prop_map(|which| Step::Renew { which }),
        2 => which().prop_map(|which| Step::Retry { which }),
        2 => which().prop_map(|which| Step::Cancel { which }),
        1 => (destination(), proptest::bool::weighted(0.4)).prop_map(|(destination, paused)| Step::Pause { destination, paused }),
        1 => (destination(), proptest::option::of(on_dead())).prop_map(|(destination, order)| Step::Straighten { destination, order }),
        3 => (1..130i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => any::<bool>().prop_map(|orderly| Step::Restart { orderly }),
        1 => Just(Step::Recover),
        1 => (0..200i64, 0..200i64, 1..4usize).prop_map(|(bodies, ids, chunk)| Step::Prune { bodies, ids, chunk }),
    ]
}

fn record() -> impl Strategy<Value = Step> {
    let lines = proptest::collection::vec(prop_oneof![1 => Just(0), 2 => Just(1), 1 => Just(2)], 0..=DESTINATIONS.len());
    (0..SOURCES.len(), 0..6usize, 0..4u8, 0..3usize, lines).prop_map(|(source, id, content, guard, lines)| Step::Record {
        source,
        id,
        content,
        guard,
        lines,
    })
}

fn on_dead() -> impl Strategy<Value = OnDead> {
    any::<bool>().prop_map(|hold| if hold { OnDead::Hold } else { OnDead::Skip })
}

const GUARDS: [Option<ReplayGuard>; 3] = [None, Some(ReplayGuard::Mark), Some(ReplayGuard::Drop)];

/// A process that has the place open.
struct Process<S> {
    store: S,
    owner: Owner,
}

/// The engine, opened by two processes, and the model beside it.
struct Pair<H: Harness> {
    harness: H,
    processes: Vec<Process<H::Store>>,
    model: Model,
}

impl<H: Harness> Pair<H> {
    async fn new() -> Self {
        let mut pair = Self { harness: H::new(), processes: Vec::new(), model: Model::default() };
        for _ in 0..2 {
            pair.start().await;
        }
        pair
    }

    async fn start(&mut self) {
        let store = self.harness.open().await;
        self.processes.push(Process { store, owner: self.model.new_owner() });
    }

    /// The process that takes this step.
    fn store(&self, process: usize) -> &H::Store {
        &self.processes[process].store
    }

    fn owner(&self, process: usize) -> Owner {
        self.processes[process].owner
    }

    async fn step(&mut self, by: usize, step: &Step) {
        let now = at(self.model.now);
        match step {
            Step::Record { source, id, content, guard, lines } => {
                let key = key(SOURCES[*source], &id.to_string());
                self.record(by, key, *content, GUARDS[*guard], &due(lines)).await;
            }
            Step::Claim { destination, limit, after } => {
                self.claim(by, DESTINATIONS[*destination], *limit, ["hub", "pay", "none"].get(*after).copied()).await;
            }
            Step::Finish { which, verdict, delay, on_dead } => {
                let due = at(self.model.now + delay);
                self.finish(by, *which, [Verdict::Delivered, Verdict::RetryAt(due), Verdict::Dead][*verdict], *on_dead).await;
            }
            Step::Release { which, delay } => self.release(by, *which, at(self.model.now + delay)).await,
            Step::Renew { which } => self.renew(by, which).await,
            Step::Retry { which } => {
                let Some(id) = self.model.any_delivery(which) else { return };
                let change = self.store(by).retry(id, now).await.unwrap();
                assert_eq!(change, self.model.retry(id), "retry of {id}");
            }
            Step::Cancel { which } => {
                let Some(id) = self.model.any_delivery(which) else { return };
                let change = self.store(by).cancel(id, now).await.unwrap();
                assert_eq!(change, self.model.cancel(id), "cancel of {id}");
            }
            Step::Pause { destination, paused } => {
                self.store(by).pause(DESTINATIONS[*destination].into(), *paused).await.unwrap();
                self.model.paused[*destination] = *paused;
            }
            Step::Straighten { destination, order } => {
                while self.store(by).straighten(DESTINATIONS[*destination].into(), *order, now).await.unwrap() {}
                self.model.straighten(DESTINATIONS[*destination], *order);
            }
            Step::Wait { seconds } => self.model.now += seconds,
            Step::Restart { orderly } => self.restart(by, *orderly).await,
            Step::Recover => {
                let voided = self.store(by).recover(now).await.unwrap();
                assert_eq!(voided, self.model.recover(&self.processes.iter().map(|process| process.owner).collect::<Vec<_>>()));
            }
            Step::Prune { bodies, ids, chunk } => self.prune(by, self.model.now - bodies, self.model.now - ids, *chunk).await,
        }
    }

    async fn record(&mut self, by: usize, key: EventKey, content: u8, guard: Option<ReplayGuard>, deliveries: &[Due]) {
        let parts = parts(&key.source, &key.event_id, at(self.model.now));
        let parts = VerifiedParts { content_digest: [content; 32], replay_guard: guard, ..parts };
        let recorded = self.store(by).record(VerifiedEvent::attest(parts), deliveries.to_vec()).await.unwrap();
        assert_eq!(recorded, self.model.record(key.clone(), content, guard, deliveries));
        if recorded.is_fresh() {
            let row = self.store(by).event(key).await.unwrap().unwrap();
            let rows = self.store(by).deliveries_of(vec![row.seq], false).await.unwrap();
            self.model.name_deliveries(&rows.iter().map(|row| row.id).collect::<Vec<_>>());
        }
    }

    async fn claim(&mut self, by: usize, destination: &'static str, limit: usize, after: Option<&str>) {
        let request = ClaimRequest { after: after.map(Into::into), ..wanted(destination, limit, at(self.model.now)) };
        let claim = self.store(by).claim(request).await.unwrap();
        let owner = self.owner(by);
        let expected = self.model.claim(owner, destination, limit, after);
        let claimed = claim.deliveries.iter().map(|delivery| (delivery.event.key.clone(), delivery.lease, delivery.failures));
        assert_eq!((claimed.collect::<Vec<_>>(), claim.next_due, claim.paused), expected);
        self.model.leases.extend(claim.deliveries.iter().map(|delivery| (owner, delivery.lease)));
    }

    /// A lease that was ever given: most often one of the process itself.
    fn lease(&self, by: usize, which: Index) -> Option<Lease> {
        let own: Vec<_> = self.model.leases.iter().filter(|(owner, _)| *owner == self.owner(by)).collect();
        let from = if own.is_empty() || which.index(10) == 0 { self.model.leases.iter().collect() } else { own };
        (!from.is_empty()).then(|| from[which.index(from.len())].1)
    }

    async fn finish(&mut self, by: usize, which: Index, verdict: Verdict, on_dead: OnDead) {
        let Some(lease) = self.lease(by, which) else { return };
        let end = FinishedAttempt { on_dead, ..ended(lease, at(self.model.now), verdict) };
        let counted = self.store(by).finish(end).await.unwrap();
        assert_eq!(counted, self.model.finish(self.owner(by), lease, verdict, on_dead), "{lease:?}");
    }

    async fn release(&mut self, by: usize, which: Index, due: Timestamp) {
        let Some(lease) = self.lease(by, which) else { return };
        self.store(by).release(vec![lease], due, true).await.unwrap();
        let _ = self.model.apply(lease.delivery, Life::Release { owner: self.owner(by), attempt: lease.attempt, due });
    }

    async fn renew(&mut self, by: usize, which: &[Index]) {
        let leases: Vec<Lease> = which.iter().filter_map(|which| self.lease(by, *which)).collect();
        let (owner, until) = (self.owner(by), at(self.model.now + 90));
        let lost = self.store(by).renew(leases.clone(), until).await.unwrap();
        let mut expected = leases;
        expected.retain(|lease| !self.model.apply(lease.delivery, Life::Renew { owner, attempt: lease.attempt, until }).counts());
        assert_eq!(lost, expected);
    }

    async fn restart(&mut self, by: usize, orderly: bool) {
        let Process { store, .. } = self.processes.remove(by);
        if orderly {
            self.harness.close(store).await;
        } else {
            self.harness.crash(store).await;
        }
        self.start().await;
    }

    async fn prune(&mut self, by: usize, bodies: i64, ids: i64, chunk: usize) {
        let mut total = (0, 0);
        loop {
            let pruned = self.store(by).prune(Prune { bodies_before: at(bodies), ids_before: at(ids), chunk }).await.unwrap();
            if pruned.nothing() {
                break;
            }
            total = (total.0 + pruned.payloads, total.1 + pruned.events);
        }
        assert_eq!(total, self.model.prune(bodies, ids));
    }

    /// Everything that can be asked for is as in the model.
    async fn compare(&self, by: usize) {
        let store = self.store(by);
        let rows = store.events(EventFilter::default(), page(Order::Oldest, 1_000, None)).await.unwrap();
        assert_eq!(rows.len(), self.model.events.len());
        for (row, event) in rows.iter().zip(&self.model.events) {
            let lives = || event.deliveries.iter().map(|delivery| delivery.life);
            let status = EventStatus::of(lives().map(|life| (life.status(), life.failures())));
            let expected = (&event.key, at(event.received), event.duplicates, status);
            assert_eq!((&row.key, row.received_at, row.duplicates, row.status), expected);
            assert_eq!((&row.same_content_as, row.body_differs), (&event.same_content_as, event.body_differs));
            assert_eq!(store.body(row.key.clone()).await.unwrap().is_some(), event.payload);
            let found = store.deliveries_of(vec![row.seq], true).await.unwrap();
            assert_eq!(found.len(), event.deliveries.len());
            for (row, delivery) in found.iter().zip(&event.deliveries) {
                let life = delivery.life;
                assert_eq!((row.id, &*row.destination), (delivery.id, delivery.destination));
                assert_eq!((row.status, row.attempts, row.next_attempt_at), (life.status(), life.attempts(), life.next_attempt_at()));
                assert_eq!((row.waits_in_line, row.holds_line), (life.waits_in_line(), life.holds_line()));
                assert_eq!(row.finished_at.is_some(), life.status() != DeliveryStatus::Pending);
                let history = row.history.iter().map(|attempt| attempt.number);
                assert_eq!(history.collect::<Vec<_>>(), if event.payload { delivery.ended.clone() } else { Vec::new() });
            }
        }
        let mut paused = store.paused().await.unwrap();
        paused.sort();
        assert_eq!(paused, self.model.paused_names());
        let backlog: Vec<Backlog> = self.model.backlog();
        assert_eq!(store.backlog().await.unwrap(), backlog);
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(CASES)
}

pub(crate) async fn any_sequence_of_operations_does_what_a_list_would<H: Harness + Send>() {
    let runtime = tokio::runtime::Handle::current();
    let run = move || {
        let mut runner = TestRunner::new(Config { cases: cases(), failure_persistence: None, ..Config::default() });
        let steps = proptest::collection::vec((0..2usize, step()), 1..80);
        let outcome = runner.run(&steps, |steps| {
            runtime.block_on(async {
                let mut pair = Pair::<H>::new().await;
                for (by, step) in &steps {
                    pair.step(*by, step).await;
                }
                pair.compare(0).await;
            });
            Ok(())
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}
