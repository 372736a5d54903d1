//! What is handed over while it is recorded, instead of being claimed.

use super::*;
use crate::domain::ClaimedDelivery;

/// A delivery as it was recorded, under its lease.
fn leased(bench: &Bench, destination: &str) -> (usize, ClaimedDelivery) {
    let row = bench.outbox.add(destination, bench.now().plus(lane::LEASE));
    (row, bench.outbox.lease(row))
}

#[tokio::test(start_paused = true)]
async fn what_is_handed_over_is_attempted_at_once_and_never_claimed() {
    let bench = Bench::new();
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    tokio::task::yield_now().await;
    let place = running.waker.reserve(&"a".into(), 0).unwrap();
    let (row, delivery) = leased(&bench, "a");
    place.begin(delivery);
    let delivered = bench.delivered(row).await;
    assert_eq!((delivered.attempt, bench.elapsed(), bench.outbox.state().claims.len()), (1, Duration::ZERO, 1));
}

#[tokio::test(start_paused = true)]
async fn no_place_is_given_away_before_what_waits_has_been_claimed() {
    let bench = Bench::new();
    let hanging = FakeDestination::hanging();
    let running = bench.run_idle(vec![LaneParts { limits: limits(2), ..lane("a", &hanging) }]).await;
    tokio::task::yield_now().await;
    running.wake("a");
    assert!(running.waker.reserve(&"a".into(), 0).is_none(), "something is due that nobody has claimed");
    bench.outbox.until(|state| state.claims.len() == 2).await;
    tokio::task::yield_now().await;
    tokio::time::sleep(SECOND).await;
    let places: Vec<_> = (0..3).map(|_| running.waker.reserve(&"a".into(), 0)).collect();
    assert_eq!(places.iter().flatten().count(), 2, "as many as there are");
    drop(places);
    assert!(running.waker.reserve(&"a".into(), 0).is_some(), "what is not used is free again");
    assert!(running.waker.reserve(&"unknown".into(), 0).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_recorded_during_a_claim_is_handed_over_unless_claims_leave_something() {
    let bench = Bench::new();
    let running = bench.run_idle(vec![LaneParts { limits: limits(8), ..lane("a", &FakeDestination::hanging()) }]).await;
    tokio::task::yield_now().await;
    close(&bench.outbox.claim_gate);
    let claims = async |count, waiting| {
        for _ in 0..waiting {
            bench.outbox.add("a", bench.now());
        }
        running.wake("a");
        bench.outbox.until(|state| state.claims.len() == count).await;
    };
    let places = || (0..2_000).map_while(|_| running.waker.reserve(&"a".into(), 0)).count();
    claims(2, 1).await;
    let limit = bench.outbox.state().claims[1];
    assert!(places() >= limit && places() > 0, "a claim leaves tickets for what comes meanwhile");
    bench.outbox.claim_gate.add_permits(1);
    tokio::task::yield_now().await;
    claims(3, 2_000).await;
    bench.outbox.claim_gate.add_permits(1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(places(), 0, "older ones come first");
}

#[tokio::test(start_paused = true)]
async fn places_that_are_not_used_do_not_count_against_the_rate() {
    let bench = Bench::new();
    let limits = Limits { rate: Some(config::Rate { count: 10, per: SECOND }), ..limits(16) };
    let running = bench.run_idle(vec![LaneParts { limits, ..lane("a", &FakeDestination::willing()) }]).await;
    tokio::task::yield_now().await;
    for _ in 0..100 {
        assert!(running.waker.reserve(&"a".into(), 0).is_some());
    }
    let place = running.waker.reserve(&"a".into(), 0).unwrap();
    let (row, delivery) = leased(&bench, "a");
    place.begin(delivery);
    assert!(running.waker.reserve(&"a".into(), 0).is_none(), "this one counts");
    bench.delivered(row).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_handed_over_to_a_lane_that_is_held_or_stops_and_what_was_goes_back() {
    let bench = Bench::new();
    bench.outbox.state().paused = true;
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    tokio::task::yield_now().await;
    assert!(running.waker.reserve(&"a".into(), 0).is_none());
    bench.outbox.state().paused = false;
    running.wake("a");
    bench.outbox.until(|state| state.claims.len() == 2).await;
    tokio::task::yield_now().await;
    let place = running.waker.reserve(&"a".into(), 0).unwrap();
    let (row, delivery) = leased(&bench, "a");
    bench.shutdown.cancel();
    place.begin(delivery);
    running.task.await.unwrap();
    assert!(running.waker.reserve(&"a".into(), 0).is_none());
    let state = bench.outbox.state();
    let row = &state.rows[row];
    assert_eq!((row.leased, row.attempt, row.status), (false, 0, DeliveryStatus::Pending), "handed back unbegun");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_fails_leaves_the_way_closed_until_one_succeeds() {
    let bench = Bench::new();
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    tokio::task::yield_now().await;
    assert!(running.waker.reserve(&"a".into(), 0).is_some());
    bench.outbox.state().failing_claims = 1;
    let row = bench.outbox.add("a", bench.now());
    running.wake("a");
    bench.outbox.until(|state| state.claims.len() == 2).await;
    tokio::task::yield_now().await;
    assert!(running.waker.reserve(&"a".into(), 0).is_none(), "what is due is still there");
    bench.delivered(row).await;
    tokio::task::yield_now().await;
    assert!(running.waker.reserve(&"a".into(), 0).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_falls_due_closes_the_way_until_it_is_claimed() {
    let bench = Bench::new();
    close(&bench.outbox.finish_gate);
    let destination = FakeDestination::willing();
    let rows = lane::UNCOMMITTED + 1;
    for _ in 0..rows {
        bench.outbox.add("a", bench.now());
    }
    let running = bench.run(vec![LaneParts { limits: limits(1), ..lane("a", &destination) }]);
    destination.begun(rows as u32).await;
    tokio::time::sleep(SECOND).await;
    // So many ends are not committed that nothing can be claimed, though there is a place.
    assert!(running.waker.reserve(&"a".into(), 0).is_some());
    tokio::time::sleep(5 * SECOND).await;
    assert!(running.waker.reserve(&"a".into(), 0).is_none(), "it is time to look, and that comes first");
}

#[tokio::test(start_paused = true)]
async fn bodies_count_from_the_moment_at_which_a_place_is_kept_for_them() {
    let bench = Bench::new();
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    tokio::task::yield_now().await;
    let large = running.waker.reserve(&"a".into(), 5 << 20);
    assert!(large.is_some(), "one is let in however large it is");
    assert!(running.waker.reserve(&"a".into(), 1).is_none());
    drop(large);
    assert!(running.waker.reserve(&"a".into(), 1).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_was_handed_over_goes_back_when_a_claim_finds_the_destination_held() {
    let bench = Bench::new();
    // Ten that end at once have the lane take as many ahead; the rest take longer than anybody waits here.
    let destination = FakeDestination::new(|delivery| async move {
        tokio::time::sleep(if delivery.lease.delivery.0 < 10 { Duration::ZERO } else { 60 * SECOND }).await;
        Outcome::Delivered
    });
    let early: Vec<_> = (0..10).map(|_| bench.outbox.add("a", bench.now())).collect();
    let running = bench.run(vec![LaneParts { limits: limits(1), ..lane("a", &destination) }]);
    for row in early {
        bench.delivered(row).await;
    }
    tokio::task::yield_now().await;
    close(&bench.outbox.claim_gate);
    bench.outbox.state().paused = true;
    let claims = bench.outbox.state().claims.len();
    running.wake("a");
    bench.outbox.until(|state| state.claims.len() > claims).await;
    let rows: Vec<_> = (0..3)
        .map(|_| {
            let place = running.waker.reserve(&"a".into(), 0).unwrap();
            let (row, delivery) = leased(&bench, "a");
            place.begin(delivery);
            row
        })
        .collect();
    destination.begun(11).await;
    bench.outbox.claim_gate.add_permits(1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(bench.outbox.state().released.len(), 2, "what is under way is not broken off");
    assert!(rows[1..].iter().all(|row| !bench.outbox.state().rows[*row].leased));
}
