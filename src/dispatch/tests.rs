//! Time is tokio's paused clock: it stands while anything can run and then jumps to the next timer, so an assertion that no
//! time has passed says that nothing was waited for.

mod handed_over;
mod held_back;
mod leases;
mod recovery;
mod shutdown;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::testing::{FakeDestination, FakeOutbox, TokioClock, Told, close};
use super::*;
use crate::domain::{DeliveryId, DeliveryStatus, Lease, Outcome, Timestamp, Verdict};

const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    outbox: Arc<FakeOutbox>,
    clock: Arc<TokioClock>,
    told: Arc<Told>,
    shutdown: CancellationToken,
    begun: Instant,
}

struct Running {
    waker: Arc<dyn Wake>,
    task: JoinHandle<()>,
}

fn lane(name: &str, destination: &Arc<FakeDestination>) -> LaneParts {
    LaneParts {
        name: name.into(),
        destination: Arc::clone(destination) as Arc<dyn Destination>,
        timeout: Duration::from_secs(30),
        limits: limits(16),
        order: None,
        retry: Retry::Schedule(vec![Duration::from_secs(60), Duration::from_secs(600)]),
    }
}

/// So many at once, and nothing else that holds back.
fn limits(concurrency: usize) -> Limits {
    Limits { concurrency, rate: None, circuit: config::Circuit { failures: None, probe: SECOND, max_probe: SECOND } }
}

impl Bench {
    fn new() -> Self {
        Self {
            outbox: Arc::new(FakeOutbox::new()),
            clock: Arc::new(TokioClock::start()),
            told: Arc::new(Told::default()),
            shutdown: CancellationToken::new(),
            begun: Instant::now(),
        }
    }

    fn run(&self, lanes: Vec<LaneParts>) -> Running {
        let dispatcher = Dispatcher::new(Parts {
            outbox: Arc::clone(&self.outbox) as Arc<dyn Outbox>,
            lanes,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            observer: Arc::clone(&self.told) as Arc<dyn Observer>,
            announce: Arc::new(crate::domain::Silent),
            grace: GRACE,
        });
        Running { waker: dispatcher.waker(), task: tokio::spawn(dispatcher.run(self.shutdown.clone())) }
    }

    /// Runs until the lanes have looked and found nothing.
    async fn run_idle(&self, lanes: Vec<LaneParts>) -> Running {
        let count = lanes.len();
        let running = self.run(lanes);
        self.outbox.until(|state| state.claims.len() == count).await;
        running
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    async fn delivered(&self, row: usize) -> testing::Row {
        self.outbox.ended(row, DeliveryStatus::Delivered).await
    }
}

impl Running {
    fn wake(&self, destination: &str) {
        self.waker.wake(&destination.into());
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_delivered_at_once_and_told_after_the_commit() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    close(&bench.outbox.finish_gate);
    bench.run(vec![lane("a", &FakeDestination::willing())]);
    let delivered = bench.delivered(row).await;
    assert_eq!((delivered.attempt, delivered.history.len(), bench.elapsed()), (1, 1, Duration::ZERO));
    assert!(bench.told.so_far().attempts.is_empty(), "told before the commit was known");
    bench.outbox.finish_gate.add_permits(1);
    bench.outbox.until(|state| state.claims.len() >= 2).await;
    assert_eq!(bench.told.so_far().attempts[&0], [Verdict::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_delivers_without_waiting_for_the_poll() {
    let bench = Bench::new();
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    let row = bench.outbox.add("a", bench.now());
    running.wake("a");
    bench.delivered(row).await;
    assert_eq!(bench.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_made_again_when_it_is_due_and_not_at_the_next_poll() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    let waits = [7, 1, 12].map(Duration::from_secs);
    let parts = LaneParts { retry: Retry::Schedule(waits.to_vec()), ..lane("a", &FakeDestination::failing()) };
    bench.run(vec![parts]);
    let ended = bench.outbox.ended(row, DeliveryStatus::Dead).await;
    let times: Vec<_> = ended.history.iter().map(|attempt| attempt.at.since(ended.history[0].at).as_secs()).collect();
    assert_eq!(times, [0, 7, 8, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_during_a_claim_is_not_lost() {
    let bench = Bench::new();
    close(&bench.outbox.claim_gate);
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    // The claim has looked already, and returns only now.
    let row = bench.outbox.add("a", bench.now());
    running.wake("a");
    bench.outbox.claim_gate.add_permits(2);
    bench.delivered(row).await;
    assert_eq!(bench.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_is_for_the_named_lanes_alone() {
    let bench = Bench::new();
    let lanes = vec![lane("a", &FakeDestination::willing()), lane("b", &FakeDestination::willing())];
    let running = bench.run_idle(lanes).await;
    running.wake("a");
    running.wake("unknown");
    bench.outbox.until(|state| state.claims.len() == 3).await;
    tokio::time::advance(SECOND).await;
    assert_eq!(bench.outbox.state().claims.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_woke_for_is_found_by_the_slow_poll() {
    let bench = Bench::new();
    bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    let row = bench.outbox.add("a", bench.now());
    bench.delivered(row).await;
    assert!(bench.elapsed() > Duration::ZERO && bench.elapsed() <= Duration::from_secs(6));
}

#[tokio::test(start_paused = true)]
async fn a_failed_attempt_is_repeated_on_schedule_until_the_delivery_is_dead() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.run(vec![lane("a", &FakeDestination::failing())]);
    let begun = bench.now();
    let dead = bench.outbox.ended(row, DeliveryStatus::Dead).await;
    let at: Vec<u64> = dead.history.iter().map(|attempt| attempt.at.since(begun).as_secs()).collect();
    assert_eq!(at, [0, 60, 660]);
    assert!(dead.history.iter().all(|attempt| attempt.error.as_deref() == Some("answered 500")));
}

#[tokio::test(start_paused = true)]
async fn due_times_are_met_to_the_millisecond() {
    let bench = Bench::new();
    let due = bench.now().plus(Duration::from_millis(1_234));
    let row = bench.outbox.add("a", due);
    bench.run(vec![lane("a", &FakeDestination::willing())]);
    let delivered = bench.delivered(row).await;
    assert!(delivered.history[0].at.since(due) <= Duration::from_millis(5), "{:?}", delivered.history);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failed_attempt() {
    let bench = Bench::new();
    let rows = [bench.outbox.add("a", bench.now()), bench.outbox.add("a", bench.now())];
    let destination = FakeDestination::new(|delivery| async move {
        assert_ne!(delivery.lease, Lease { delivery: DeliveryId(0), attempt: 1, ordered: false }, "on purpose");
        Outcome::Delivered
    });
    bench.run(vec![lane("a", &destination)]);
    let panicked = bench.delivered(rows[0]).await;
    assert_eq!(panicked.history[0].error.as_deref(), Some("the attempt panicked"));
    assert_eq!(panicked.history.len(), 2);
    assert_eq!(bench.delivered(rows[1]).await.history.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_are_in_flight_or_claimed_than_there_are_places() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..50).map(|_| bench.outbox.add("a", bench.now())).collect();
    let destination = FakeDestination::new(|delivery| async move {
        tokio::time::sleep(Duration::from_millis(10 + delivery.lease.delivery.0 as u64)).await;
        Outcome::Delivered
    });
    bench.run(vec![LaneParts { limits: limits(3), ..lane("a", &destination) }]);
    for row in rows {
        assert_eq!(bench.delivered(row).await.attempt, 1);
    }
    assert_eq!(destination.most(), 3);
    assert!(bench.outbox.state().claims.iter().all(|limit| (1..=3 + post::WAITING).contains(limit)));
}

#[tokio::test(start_paused = true)]
async fn a_place_is_free_while_the_last_end_is_being_committed_but_not_without_bound() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..400).map(|_| bench.outbox.add("a", bench.now())).collect();
    close(&bench.outbox.finish_gate);
    let destination = FakeDestination::willing();
    bench.run(vec![LaneParts { limits: limits(1), ..lane("a", &destination) }]);
    destination.begun(257).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(destination.begun.available_permits(), 0);
    bench.outbox.finish_gate.add_permits(400);
    for row in rows {
        assert_eq!(bench.delivered(row).await.attempt, 1);
    }
    assert_eq!(destination.most(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_ahead_goes_back_when_the_destination_stops_keeping_up() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..100).map(|_| bench.outbox.add("a", bench.now())).collect();
    let destination = FakeDestination::new(|delivery| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if delivery.lease.delivery.0 < 10 { Outcome::Delivered } else { std::future::pending().await }
    });
    bench.run(vec![LaneParts { limits: limits(2), ..lane("a", &destination) }]);
    destination.begun(12).await;
    assert!(bench.outbox.state().rows[13].leased, "taken ahead");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let state = bench.outbox.state();
    for row in &rows[12..] {
        assert_eq!((state.rows[*row].leased, state.rows[*row].attempt), (false, 0), "{row}");
    }
    assert_eq!((destination.in_flight(), state.claims.len() < 20), (2, true), "and is not taken again");
}

#[tokio::test(start_paused = true)]
async fn a_hanging_destination_delays_no_other() {
    let bench = Bench::new();
    let stuck: Vec<_> = (0..40).map(|_| bench.outbox.add("stuck", bench.now())).collect();
    let rows: Vec<_> = (0..40).map(|_| bench.outbox.add("well", bench.now())).collect();
    let hanging = FakeDestination::hanging();
    bench.run(vec![lane("stuck", &hanging), lane("well", &FakeDestination::willing())]);
    hanging.begun(16).await;
    for row in rows {
        bench.delivered(row).await;
    }
    assert_eq!(bench.elapsed(), Duration::ZERO);
    assert!(stuck.iter().all(|row| bench.outbox.state().rows[*row].history.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_without_end_is_cut_off() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.run(vec![lane("a", &FakeDestination::hanging())]);
    bench.outbox.until(|state| state.rows[row].history.len() == 1).await;
    assert_eq!(bench.elapsed(), Duration::from_secs(40));
    let attempt = bench.outbox.state().rows[row].history[0].clone();
    assert_eq!(attempt.error.as_deref(), Some("the attempt did not end within 40 s"));
    assert_eq!(attempt.duration, Duration::from_secs(40));
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_store_refuses_at_first_is_recorded_once() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.outbox.state().failing_finishes = 3;
    let destination = FakeDestination::willing();
    bench.run(vec![lane("a", &destination)]);
    let delivered = bench.delivered(row).await;
    assert_eq!((delivered.attempt, delivered.history.len(), bench.elapsed()), (1, 1, Duration::from_millis(700)));
    bench.outbox.until(|state| state.claims.len() >= 2).await;
    let told = bench.told.so_far();
    assert_eq!((told.attempts[&0].len(), told.store.len(), bench.outbox.state().stale), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_end_is_tried_until_the_store_takes_it_and_its_lease_kept_meanwhile() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.outbox.state().failing_finishes = 100;
    let destination = FakeDestination::willing();
    bench.run(vec![lane("a", &destination)]);
    let delivered = bench.delivered(row).await;
    assert!(bench.elapsed() > Duration::from_secs(400), "{:?}", bench.elapsed());
    assert_eq!((delivered.attempt, delivered.history.len()), (1, 1));
    assert_eq!(bench.told.so_far().store.len(), 1, "told once");
}

#[tokio::test(start_paused = true)]
async fn lines_are_straightened_before_the_first_look_is_believed() {
    let bench = Bench::new();
    bench.outbox.state().crooked = 3;
    bench.run(vec![LaneParts { order: Some(OnDead::Hold), ..lane("a", &FakeDestination::willing()) }]);
    bench.outbox.until(|state| state.straightened.len() == 4).await;
    assert!(bench.elapsed() < Duration::from_millis(50), "{:?}", bench.elapsed());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.outbox.state().straightened, [Some(OnDead::Hold); 4]);
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_to_a_paused_destination_until_it_is_released() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.outbox.state().paused = true;
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.outbox.state().rows[row].attempt, 0);
    assert!(bench.outbox.state().claims.len() < 130, "no hurry");
    bench.outbox.state().paused = false;
    let released = Instant::now();
    running.wake("a");
    bench.delivered(row).await;
    assert_eq!(released.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_failing_claim_is_told_and_tried_again_after_a_while_whoever_wakes() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.outbox.state().failing_claims = 4;
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    for _ in 0..10 {
        running.wake("a");
        tokio::task::yield_now().await;
    }
    bench.delivered(row).await;
    assert_eq!(bench.elapsed(), Duration::from_millis(100 + 200 + 400 + 800));
    assert_eq!(bench.told.so_far().store.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn deliveries_for_a_destination_that_is_not_configured_stay_pending() {
    let bench = Bench::new();
    let row = bench.outbox.add("gone", bench.now());
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    running.wake("gone");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let row = bench.outbox.state().rows[row].clone();
    assert_eq!((row.status, row.attempt), (DeliveryStatus::Pending, 0));
}
