//! An hour without the destination, with a hundred thousand deliveries waiting: what goes there meanwhile, and how it is
//! approached when it is back.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::config::Rate;
use crate::domain::{ClaimedDelivery, FinishedAttempt, OwnEvent};
use crate::store::{Claim, ClaimRequest, StoreError};

const WAITING: usize = 100_000;
const LINES: usize = 1_000;
const HOUR: Duration = Duration::from_secs(3_600);
const RATE: Rate = Rate { count: 2_000, per: SECOND };

/// A store for many deliveries, each in one of [`LINES`] lines, all due at the beginning.
struct Backlog(Mutex<Rows>, Notify);

#[derive(Default)]
struct Rows {
    due: BTreeSet<(Timestamp, usize)>,
    /// Attempts begun, and failed.
    attempts: HashMap<usize, (u32, u32)>,
    delivered: usize,
    dead: usize,
}

impl Backlog {
    fn new(now: Timestamp) -> Self {
        let due = (0..LINES).map(|id| (now, id)).collect();
        Self(Mutex::new(Rows { due, ..Rows::default() }), Notify::new())
    }

    async fn empty(&self) {
        loop {
            let changed = self.1.notified();
            if self.0.lock().unwrap().delivered == WAITING {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Outbox for Backlog {
    async fn claim(&self, request: ClaimRequest) -> Result<Claim, StoreError> {
        let mut rows = self.0.lock().unwrap();
        let ids: Vec<_> = rows.due.iter().take_while(|(due, _)| *due <= request.now).take(request.limit).copied().collect();
        let take = |(due, id): (Timestamp, usize)| {
            rows.due.remove(&(due, id));
            let (begun, failures) = rows.attempts.entry(id).or_default();
            *begun += 1;
            ClaimedDelivery {
                lease: Lease { delivery: DeliveryId(id as i64), attempt: *begun, ordered: true },
                destination: Arc::clone(&request.destination),
                failures: *failures,
                replay: false,
                event: testing::event(id),
            }
        };
        let deliveries = ids.into_iter().map(take).collect();
        Ok(Claim { deliveries, next_due: rows.due.first().map(|(due, _)| *due), ..Claim::default() })
    }

    async fn finish_telling(&self, finished: FinishedAttempt, _: Option<OwnEvent>) -> Result<bool, StoreError> {
        let mut rows = self.0.lock().unwrap();
        let id = finished.lease.delivery.0 as usize;
        match finished.verdict {
            Verdict::RetryAt(at) => {
                rows.due.insert((at, id));
                rows.attempts.entry(id).or_default().1 += 1;
                return Ok(true);
            }
            Verdict::Delivered => rows.delivered += 1,
            Verdict::Dead => rows.dead += 1,
        }
        if id + LINES < WAITING {
            rows.due.insert((finished.attempt.at, id + LINES));
        }
        drop(rows);
        self.1.notify_waiters();
        Ok(true)
    }

    async fn renew(&self, _: Vec<Lease>, _: Timestamp) -> Result<Vec<Lease>, StoreError> {
        Ok(Vec::new())
    }

    async fn release(&self, leases: Vec<Lease>, _: Timestamp, _: bool) -> Result<(), StoreError> {
        panic!("nothing is handed back: {leases:?}")
    }

    async fn recover(&self, _: Timestamp) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn straighten(&self, _: Arc<str>, _: Option<OnDead>, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_hour_down_a_hundred_thousand_are_delivered_in_order_and_without_a_rush() {
    let begun = Instant::now();
    let clock = Arc::new(TokioClock::start());
    let backlog = Arc::new(Backlog::new(clock.now()));
    let attempts: Arc<Mutex<Vec<(Duration, usize)>>> = Arc::default();
    let noted = Arc::clone(&attempts);
    let destination = FakeDestination::new(move |delivery| {
        noted.lock().unwrap().push((begun.elapsed(), delivery.lease.delivery.0 as usize));
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let down = begun.elapsed() < HOUR;
            if down { Outcome::Retry { reason: "connection refused".to_owned(), after: None } } else { Outcome::Delivered }
        }
    });
    let circuit = config::Circuit { failures: Some(5), probe: 5 * SECOND, max_probe: 300 * SECOND };
    let parts = LaneParts {
        limits: Limits { rate: Some(RATE), circuit, ..limits(16) },
        retry: Retry::Exponential { attempts: 12, first: 5 * SECOND, max: 12 * HOUR, factor: 3.0 },
        order: Some(OnDead::Skip),
        ..lane("a", &destination)
    };
    let told = Arc::new(Told::default());
    let dispatcher = Dispatcher::new(Parts {
        outbox: Arc::clone(&backlog) as _,
        lanes: vec![parts],
        clock,
        observer: Arc::clone(&told) as _,
        announce: Arc::new(crate::domain::Silent),
        grace: GRACE,
    });
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(dispatcher.run(shutdown.clone()));
    backlog.empty().await;
    shutdown.cancel();
    running.await.unwrap();

    let attempts = attempts.lock().unwrap();
    let (meanwhile, after) = attempts.split_at(attempts.partition_point(|(at, _)| *at < HOUR));
    assert!(meanwhile.len() <= 40, "{} attempts in the hour: those under way, and probes", meanwhile.len());
    assert_eq!((backlog.0.lock().unwrap().dead, told.so_far().circuit), (0, vec!["opened", "closed"]));
    let back = after[0].0;
    assert!(back <= HOUR + 300 * SECOND, "found out by a probe at {back:?}");
    let one_by_one = after.iter().take(4).map(|(at, _)| (*at - back).as_millis()).collect::<Vec<_>>();
    assert!(one_by_one[1] >= 2 && one_by_one[3] >= 4, "one at a time, then two: {one_by_one:?}");
    let seconds = after.iter().fold(HashMap::new(), |mut seconds: HashMap<u64, usize>, (at, _)| {
        *seconds.entry(at.as_secs()).or_default() += 1;
        seconds
    });
    assert!(seconds.values().all(|count| *count <= 2_200), "more than the rate in a second: {seconds:?}");
    let last = after.last().unwrap().0;
    assert!(last - back <= Duration::from_secs(60), "as fast as the rate lets it: {:?}", last - back);
    let mut reached = [0; LINES];
    for (_, id) in after {
        assert!(*id >= reached[id % LINES], "{id} after {}", reached[id % LINES]);
        reached[id % LINES] = *id;
    }
    assert_eq!(destination.most(), 16);
}
