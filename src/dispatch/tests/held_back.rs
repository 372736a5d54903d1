//! Lanes that are held back: by a rate limit, by a destination that is overloaded, by a circuit.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::config::Rate;

fn circuit(failures: u32) -> config::Circuit {
    config::Circuit { failures: Some(failures), probe: 5 * SECOND, max_probe: 60 * SECOND }
}

/// When attempts began, in milliseconds since the test did.
#[derive(Clone)]
struct Begun(Arc<Mutex<Vec<u64>>>, Instant);

impl Begun {
    fn new() -> Self {
        Self(Arc::default(), Instant::now())
    }

    fn note(&self) {
        self.0.lock().unwrap().push(self.1.elapsed().as_millis() as u64);
    }

    fn times(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }
}

fn fails(after: Option<Duration>) -> Outcome {
    Outcome::Retry { reason: "answered 503".to_owned(), after }
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_spreads_attempts_evenly() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..100).map(|_| bench.outbox.add("a", bench.now())).collect();
    let begun = Begun::new();
    let noted = begun.clone();
    let destination = FakeDestination::new(move |_| {
        noted.note();
        async { Outcome::Delivered }
    });
    let limits = Limits { rate: Some(Rate { count: 20, per: SECOND }), ..limits(16) };
    bench.run(vec![LaneParts { limits, ..lane("a", &destination) }]);
    for row in rows {
        bench.delivered(row).await;
    }
    let times = begun.times();
    assert!(times[99] >= 4_850 && times[99] <= 5_200, "{times:?}");
    for (at, time) in times.iter().enumerate() {
        let within = times[at..].iter().take_while(|later| **later < time + 1_000).count();
        assert!(within <= 22, "{within} within a second from {time}: {times:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_lets_one_probe_through_at_a_time_and_the_rest_spend_no_attempts() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..50).map(|_| bench.outbox.add("a", bench.now())).collect();
    let (begun, well) = (Begun::new(), Arc::new(AtomicBool::new(false)));
    let (noted, is_well) = (begun.clone(), Arc::clone(&well));
    let destination = FakeDestination::new(move |_| {
        noted.note();
        let outcome = if is_well.load(Ordering::SeqCst) { Outcome::Delivered } else { fails(None) };
        async { outcome }
    });
    let limits = Limits { circuit: circuit(5), ..limits(4) };
    let retry = Retry::Schedule(vec![SECOND; 1_000]);
    bench.run(vec![LaneParts { limits, retry, ..lane("a", &destination) }]);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let times = begun.times();
    let opened = times.iter().position(|time| *time >= 1_000).unwrap();
    assert!(opened <= 8, "at most those under way when it opened: {times:?}");
    let probes: Vec<_> = times[opened..].iter().map(|time| time / 1_000).collect();
    assert_eq!(probes, [5, 15, 35, 75, 135, 195, 255], "waits that double up to 60 s");
    assert_eq!(bench.told.so_far().circuit, ["opened"]);
    well.store(true, Ordering::SeqCst);
    for row in &rows {
        bench.delivered(*row).await;
    }
    assert_eq!(bench.told.so_far().circuit, ["opened", "closed"]);
    assert!(bench.elapsed() < Duration::from_secs(320), "{:?}", bench.elapsed());
    let attempts: usize = bench.outbox.state().rows.iter().map(|row| row.history.len()).sum();
    assert_eq!(attempts, times.len() + rows.len());
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_broken_off_does_not_keep_the_circuit_shut() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    let tries = Arc::new(Mutex::new(0));
    let destination = FakeDestination::new(move |_| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        let which = *tries;
        async move {
            match which {
                1 => fails(None),
                2 => std::future::pending().await,
                _ => Outcome::Delivered,
            }
        }
    });
    let parts =
        LaneParts { limits: Limits { circuit: circuit(1), ..limits(4) }, timeout: Duration::from_secs(9_999), ..lane("a", &destination) };
    bench.run(vec![LaneParts { retry: Retry::Schedule(vec![SECOND; 9]), ..parts }]);
    destination.begun(2).await;
    let other = bench.outbox.add("a", bench.now());
    bench.outbox.state().rows[row].status = DeliveryStatus::Cancelled;
    bench.outbox.state().rows[row].leased = false;
    bench.delivered(other).await;
    assert_eq!(bench.told.so_far().circuit, ["opened", "closed"]);
}

#[tokio::test(start_paused = true)]
async fn a_destination_that_says_it_is_overloaded_is_left_alone_and_then_approached_slowly() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..40).map(|_| bench.outbox.add("a", bench.now())).collect();
    let begun = Begun::new();
    let noted = begun.clone();
    let destination = FakeDestination::overloaded(move |delivery| {
        noted.note();
        let outcome =
            if delivery.lease.attempt == 1 && delivery.lease.delivery.0 < 4 { fails(Some(30 * SECOND)) } else { Outcome::Delivered };
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            outcome
        }
    });
    bench.run(vec![LaneParts { limits: Limits { circuit: circuit(99), ..limits(4) }, ..lane("a", &destination) }]);
    for row in rows {
        bench.delivered(row).await;
    }
    let times = begun.times();
    assert_eq!(times[..4], [0; 4]);
    // Alone, then two, then as many as there are places.
    assert!(times[4] >= 30_100 && times[5] >= times[4] + 100 && times[8] >= times[5] + 100, "{times:?}");
    assert!(times[39] < 32_000 && times[40] == 60_100, "their own schedule comes last: {times:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_for_a_destination_that_is_held_goes_back_at_once() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..200).map(|_| bench.outbox.add("a", bench.now())).collect();
    let destination = FakeDestination::new(|_| async move {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Outcome::Delivered
    });
    let running = bench.run_idle(vec![LaneParts { limits: limits(2), ..lane("a", &destination) }]).await;
    destination.begun(40).await;
    assert!(bench.outbox.state().rows.iter().filter(|row| row.leased).count() > 4, "taken ahead");
    bench.outbox.state().paused = true;
    running.waker.held(&"a".into());
    tokio::task::yield_now().await;
    tokio::time::sleep(SECOND).await;
    let begun = rows.iter().filter(|row| bench.outbox.state().rows[**row].attempt > 0).count();
    assert!(begun <= 43, "{begun}: no more than were under way");
    assert!(bench.outbox.state().rows.iter().all(|row| !row.leased));
    assert!(running.waker.reserve(&"a".into(), 0).is_none());
    bench.outbox.state().paused = false;
    running.wake("a");
    for row in rows {
        bench.delivered(row).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_during_a_claim_does_not_count_on_the_same_rate() {
    let bench = Bench::new();
    let limits = Limits { rate: Some(config::Rate { count: 1, per: 3_600 * SECOND }), ..limits(16) };
    let destination = FakeDestination::willing();
    let running = bench.run_idle(vec![LaneParts { limits, ..lane("a", &destination) }]).await;
    tokio::task::yield_now().await;
    close(&bench.outbox.claim_gate);
    bench.outbox.add("a", bench.now());
    running.wake("a");
    bench.outbox.until(|state| state.claims.len() == 2).await;
    assert!(running.waker.reserve(&"a".into(), 0).is_none(), "the claim has it");
    bench.outbox.claim_gate.add_permits(9);
    destination.begun(1).await;
    assert!(running.waker.reserve(&"a".into(), 0).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_a_claim_brings_that_is_older_than_the_order_to_hold_goes_back() {
    let bench = Bench::new();
    let destination = FakeDestination::willing();
    let running = bench.run_idle(vec![lane("a", &destination)]).await;
    tokio::task::yield_now().await;
    close(&bench.outbox.claim_gate);
    let rows: Vec<_> = (0..3).map(|_| bench.outbox.add("a", bench.now())).collect();
    running.wake("a");
    bench.outbox.until(|state| state.rows[rows[0]].leased).await;
    bench.outbox.state().paused = true;
    running.waker.held(&"a".into());
    tokio::task::yield_now().await;
    bench.outbox.claim_gate.add_permits(100);
    tokio::time::sleep(SECOND).await;
    assert_eq!((destination.in_flight(), bench.outbox.state().released.len()), (0, 3));
    assert!(rows.iter().all(|row| !bench.outbox.state().rows[*row].leased && bench.outbox.state().rows[*row].attempt == 0));
    assert!(bench.outbox.state().claims.len() < 10, "and the lane waits");
    bench.outbox.state().paused = false;
    running.wake("a");
    for row in rows {
        bench.delivered(row).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_to_hold_that_is_told_after_the_release_holds_nothing() {
    let bench = Bench::new();
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    tokio::task::yield_now().await;
    // Two orders that cross each other: the store has it released.
    running.waker.held(&"a".into());
    let row = bench.outbox.add("a", bench.now());
    running.wake("a");
    bench.delivered(row).await;
    assert!(bench.outbox.state().claims.len() < 10);
}
