//! Leases: kept while an attempt runs, lost, and left behind by the dead.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_a_lane_has_itself_is_not_claimed_again_whatever_the_clock_does() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    let hanging = FakeDestination::hanging();
    let running = bench.run(vec![LaneParts { timeout: Duration::from_secs(9_999), ..lane("a", &hanging) }]);
    hanging.begun(1).await;
    bench.clock.jump(Duration::from_secs(3_600));
    bench.outbox.add("a", bench.now());
    running.wake("a");
    hanging.begun(1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((bench.outbox.state().rows[row].attempt, hanging.in_flight()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn what_ended_while_the_store_was_in_trouble_is_not_attempted_again() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    let destination = FakeDestination::willing();
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing()), lane("b", &destination)]).await;
    let other = bench.outbox.add("b", bench.now());
    (bench.outbox.state().failing_finishes, bench.outbox.state().failing_renewals) = (60, 60);
    running.wake("b");
    destination.begun(1).await;
    tokio::time::sleep(Duration::from_secs(100)).await;
    running.wake("b");
    bench.delivered(other).await;
    assert_eq!((bench.outbox.state().rows[other].attempt, destination.begun.available_permits()), (1, 0));
    bench.delivered(row).await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_long_attempt_is_renewed_until_it_ends() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.outbox.state().failing_renewals = 3;
    let destination = FakeDestination::new(|_| async {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Outcome::Delivered
    });
    bench.run(vec![LaneParts { timeout: Duration::from_secs(9_999), ..lane("a", &destination) }]);
    let delivered = bench.delivered(row).await;
    assert_eq!((delivered.attempt, bench.elapsed(), destination.most()), (1, Duration::from_secs(3_600), 1));
    let state = bench.outbox.state();
    assert_eq!(state.renewals.len(), 359, "every 10 s, after three failures in the first three");
    assert!(state.renewals.windows(2).all(|pair| pair[1].since(pair[0]) <= Duration::from_secs(10)));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_lease_is_lost_is_broken_off() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    let hanging = FakeDestination::hanging();
    bench.run(vec![LaneParts { timeout: Duration::from_secs(9_999), ..lane("a", &hanging) }]);
    hanging.begun(1).await;
    bench.outbox.state().rows[row].status = DeliveryStatus::Cancelled;
    bench.outbox.state().rows[row].leased = false;
    bench.outbox.until(|state| !state.renewals.is_empty()).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let state = bench.outbox.state();
    assert_eq!((hanging.in_flight(), state.renewals.len(), state.stale), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn leases_of_dead_processes_are_void_before_the_first_look_and_found_out_later() {
    let bench = Bench::new();
    let held = |row: usize| {
        let mut state = bench.outbox.state();
        let due = bench.now().plus(Duration::from_secs(3_600));
        (state.rows[row].orphaned, state.rows[row].leased, state.rows[row].due) = (true, true, due);
    };
    let first = bench.outbox.add("a", bench.now());
    held(first);
    bench.run(vec![lane("a", &FakeDestination::willing())]);
    bench.delivered(first).await;
    assert_eq!((bench.elapsed(), bench.outbox.state().recoveries), (Duration::ZERO, 1));
    let second = bench.outbox.add("a", bench.now());
    held(second);
    bench.delivered(second).await;
    assert_eq!(bench.elapsed(), RECOVER_EVERY);
}
