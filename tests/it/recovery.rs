//! What a killed process had in flight is attempted again by the next one, at once: its leases end with it.

use std::time::{Duration, Instant};

use crate::support::{Behaviour, Process, Receiver, stripe};

/// Well before a lease runs out by itself (30 s and more), and before the dead are looked for the next time (10 s).
const AT_ONCE: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn the_leases_of_a_killed_process_are_void_at_the_next_start() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let events = 5;
    receiver.next(vec![Behaviour::Hang; events]);
    let arguments = ["--source", "stripe=whsec_test_secret", "--forward", &receiver.url];
    let process = Process::serve(folder.path(), &arguments).await;
    for event in 0..events {
        assert_eq!(process.send(stripe(&format!("evt_{event}"))).await.status, 200);
    }
    receiver.got(events).await;
    let begun = Instant::now();
    process.kill().await;
    let process = Process::serve(folder.path(), &arguments).await;
    let seen = receiver.got(2 * events).await;
    process.settled().await;
    assert!(begun.elapsed() < AT_ONCE, "not at once: {:?}", begun.elapsed());
    for row in process.rows("/api/v1/deliveries").await {
        assert_eq!((&row["status"], &row["attempts"]), (&"delivered".into(), &2.into()), "{row}");
    }
    for (field, distinct) in [("idempotency-key", events), ("onceward-delivery", events), ("onceward-attempt", 2)] {
        let values: std::collections::BTreeSet<_> = seen.iter().map(|request| request.header(field)).collect();
        assert_eq!(values.len(), distinct, "{field}: {values:?}");
    }
    assert_eq!(process.terminate().await, Some(0));
}
