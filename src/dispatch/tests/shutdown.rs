//! What becomes of attempts and leases when the dispatcher is told to stop.

use super::*;

#[tokio::test(start_paused = true)]
async fn shutdown_lets_attempts_in_flight_end_and_claims_no_more() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    let destination = FakeDestination::new(|_| async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        Outcome::Delivered
    });
    let running = bench.run(vec![LaneParts { limits: limits(1), ..lane("a", &destination) }]);
    destination.begun(1).await;
    let late = bench.outbox.add("a", bench.now());
    running.wake("a");
    bench.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(bench.elapsed(), Duration::from_secs(5));
    let state = bench.outbox.state();
    assert_eq!(state.rows[row].status, DeliveryStatus::Delivered);
    assert_eq!((state.rows[late].attempt, state.released.len()), (0, 0));
    assert_eq!(bench.told.so_far().attempts[&0], [Verdict::Delivered]);
}

#[tokio::test(start_paused = true)]
async fn shutdown_hands_back_in_time_what_hangs() {
    let bench = Bench::new();
    let rows: Vec<_> = (0..3).map(|_| bench.outbox.add("a", bench.now())).collect();
    let destination = FakeDestination::new(|delivery| async move {
        if delivery.lease.delivery.0 == 1 { Outcome::Delivered } else { std::future::pending().await }
    });
    let running = bench.run(vec![lane("a", &destination)]);
    bench.delivered(rows[1]).await;
    bench.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(bench.elapsed(), GRACE);
    let state = bench.outbox.state();
    assert_eq!(state.released.len(), 2);
    for row in [rows[0], rows[2]] {
        let row = &state.rows[row];
        assert_eq!((row.status, row.leased, row.history.len()), (DeliveryStatus::Pending, false, 0));
        assert_eq!(row.due, bench.now(), "due at once");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_an_end_that_the_store_refuses_at_first() {
    let bench = Bench::new();
    let row = bench.outbox.add("a", bench.now());
    bench.outbox.state().failing_finishes = 3;
    let destination = FakeDestination::willing();
    let running = bench.run(vec![lane("a", &destination)]);
    destination.begun(1).await;
    bench.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(bench.outbox.state().rows[row].status, DeliveryStatus::Delivered);
    assert_eq!(bench.elapsed(), Duration::from_millis(700));
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_beyond_the_grace_period_for_a_claim_that_never_comes_back() {
    let bench = Bench::new();
    close(&bench.outbox.claim_gate);
    let running = bench.run_idle(vec![lane("a", &FakeDestination::willing())]).await;
    bench.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(bench.elapsed(), GRACE);
}

#[tokio::test(start_paused = true)]
async fn shutdown_of_an_idle_or_failing_dispatcher_is_immediate() {
    let bench = Bench::new();
    bench.outbox.state().failing_claims = 1;
    let lanes = vec![lane("a", &FakeDestination::willing()), lane("b", &FakeDestination::willing())];
    let running = bench.run_idle(lanes).await;
    bench.shutdown.cancel();
    running.task.await.unwrap();
    assert_eq!(bench.elapsed(), Duration::ZERO);
}

proptest::proptest! {
    #[test]
    fn whatever_fails_every_delivery_ends_and_each_end_is_told_once(
        failures in proptest::collection::vec(0_u32..4, 1..30),
        concurrency in 1_usize..5,
        failing_claims in 0_usize..6,
        failing_finishes in 0_usize..12,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            let rows: Vec<_> = failures.iter().map(|_| bench.outbox.add("a", bench.now())).collect();
            (bench.outbox.state().failing_claims, bench.outbox.state().failing_finishes) = (failing_claims, failing_finishes);
            let pattern = failures.clone();
            let destination = FakeDestination::new(move |delivery| {
                let fails = delivery.failures < pattern[delivery.lease.delivery.0 as usize];
                async move { if fails { Outcome::Retry { reason: "not yet".to_owned(), after: None } } else { Outcome::Delivered } }
            });
            let running = bench.run(vec![LaneParts { limits: limits(concurrency), ..lane("a", &destination) }]);
            for (row, failures) in rows.into_iter().zip(&failures) {
                let status = if *failures < 3 { DeliveryStatus::Delivered } else { DeliveryStatus::Dead };
                let row = bench.outbox.ended(row, status).await;
                assert_eq!(row.history.len() as u32, (failures + 1).min(3));
                assert_eq!(row.history.len() as u32, row.attempt);
            }
            bench.shutdown.cancel();
            running.task.await.unwrap();
            let told: usize = bench.told.so_far().attempts.values().map(Vec::len).sum();
            let recorded: usize = bench.outbox.state().rows.iter().map(|row| row.history.len()).sum();
            assert_eq!((told, bench.outbox.state().stale, destination.most() <= concurrency), (recorded, 0, true));
        });
    }
}
