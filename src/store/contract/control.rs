//! What an operator asks for, leases that are prolonged, and turns of sources.

use futures_util::future::join_all;

use super::lines::{delivery_of, lined};
use super::*;
use crate::domain::{DeliveryId, DeliveryStatus};
use crate::store::{Asked, AuditFilter, Change, Prune};

fn done() -> Change {
    Change::Done { destination: "app".into() }
}

pub(crate) async fn a_dead_delivery_that_is_retried_begins_its_schedule_anew<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::RetryAt(at(5))).await;
    attempt(&store, "app", at(5), Verdict::Dead).await;
    let id = delivery_of(&store, "evt").await.id;
    assert_eq!(store.retry(id, at(50)).await.unwrap(), done());
    assert_eq!(store.retry(id, at(50)).await.unwrap(), done(), "safe to repeat");
    let row = delivery_of(&store, "evt").await;
    assert_eq!((row.status, row.next_attempt_at, row.finished_at), (DeliveryStatus::Pending, Some(at(50)), None));
    assert_eq!((row.attempts, row.history.len(), row.last_error.as_deref()), (2, 2, Some("it answered 503")));
    assert!(claim(&store, "app", 9, at(49)).await.deliveries.is_empty());
    let again = claim(&store, "app", 9, at(50)).await;
    assert_eq!((again.deliveries[0].failures, again.deliveries[0].lease.attempt), (0, 3), "attempts go on being numbered");
    assert!(store.finish(ended(again.deliveries[0].lease, at(50), Verdict::Delivered)).await.unwrap());
    assert_eq!(delivery_of(&store, "evt").await.history.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
}

pub(crate) async fn a_delivery_that_was_called_off_can_be_retried_and_its_old_lease_is_void<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    let old = claim_one(&store, "app", at(0)).await;
    assert_eq!(store.cancel(old.delivery, at(1)).await.unwrap(), done());
    assert_eq!(store.cancel(old.delivery, at(2)).await.unwrap(), done(), "safe to repeat");
    let row = delivery_of(&store, "evt").await;
    assert_eq!((row.status, row.finished_at), (DeliveryStatus::Cancelled, Some(at(1))), "as it was called off first");
    assert!(claim(&store, "app", 9, at(999)).await.deliveries.is_empty());

    assert_eq!(store.retry(old.delivery, at(3)).await.unwrap(), done());
    assert!(!store.finish(ended(old, at(0), Verdict::Delivered)).await.unwrap());
    let new = claim_one(&store, "app", at(3)).await;
    assert!(!store.finish(ended(old, at(0), Verdict::Dead)).await.unwrap());
    store.release(vec![old], at(0), true).await.unwrap();
    assert_eq!(store.renew(vec![old, new], at(90)).await.unwrap(), [old]);
    assert!(store.finish(ended(new, at(3), Verdict::Delivered)).await.unwrap());
}

pub(crate) async fn a_retry_hastens_what_waits_and_leaves_what_runs<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::RetryAt(at(900))).await;
    let id = delivery_of(&store, "evt").await.id;
    assert_eq!(store.retry(id, at(5)).await.unwrap(), done());
    let running = claim(&store, "app", 9, at(5)).await;
    assert_eq!(running.deliveries[0].failures, 1, "its schedule goes on");
    assert_eq!(store.retry(id, at(6)).await.unwrap(), done());
    assert!(claim(&store, "app", 9, at(7)).await.deliveries.is_empty(), "the lease holds");
    assert!(store.finish(ended(running.deliveries[0].lease, at(5), Verdict::Delivered)).await.unwrap());
}

pub(crate) async fn what_is_delivered_stays_so<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::Delivered).await;
    let before = delivery_of(&store, "evt").await;
    let conflict = Change::Conflict(DeliveryStatus::Delivered);
    assert_eq!((store.retry(before.id, at(5)).await.unwrap(), store.cancel(before.id, at(5)).await.unwrap()), (conflict.clone(), conflict));
    let after = delivery_of(&store, "evt").await;
    assert_eq!((after.status, after.finished_at, after.attempts), (before.status, before.finished_at, before.attempts));
    assert!(claim(&store, "app", 9, at(999)).await.deliveries.is_empty());
}

pub(crate) async fn what_is_unknown_or_has_lost_its_content_is_not_retried<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let unknown = DeliveryId(999);
    assert_eq!(
        (store.retry(unknown, at(5)).await.unwrap(), store.cancel(unknown, at(5)).await.unwrap()),
        (Change::Unknown, Change::Unknown)
    );

    fresh(&store, "dead", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::Dead).await;
    fresh(&store, "off", at(1), &["app"]).await;
    let [dead, off] = [delivery_of(&store, "dead").await.id, delivery_of(&store, "off").await.id];
    let _ = store.cancel(off, at(2)).await.unwrap();
    while !store.prune(Prune { bodies_before: at(9), ids_before: at(0), chunk: 9 }).await.unwrap().nothing() {}
    for (id, status) in [(dead, DeliveryStatus::Dead), (off, DeliveryStatus::Cancelled)] {
        assert_eq!(store.retry(id, at(10)).await.unwrap(), Change::Gone);
        assert_eq!(store.delivery(id).await.unwrap().unwrap().status, status);
    }
    assert_eq!(store.cancel(dead, at(11)).await.unwrap(), done(), "calling off needs no content");
}

pub(crate) async fn a_held_destination_gives_nothing_out_until_it_is_released_also_after_reopening<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for id in ["one", "two"] {
        fresh(&store, id, at(0), &["app", "mail"]).await;
    }
    let running = claim_one(&store, "app", at(0)).await;
    for _ in 0..2 {
        store.pause("app".into(), true).await.unwrap();
        store.pause("not seen yet".into(), true).await.unwrap();
    }
    assert!(store.finish(ended(running, at(0), Verdict::Delivered)).await.unwrap(), "what runs may end");
    harness.crash(store).await;

    let store = harness.open().await;
    let mut paused = store.paused().await.unwrap();
    paused.sort();
    assert_eq!(paused, ["app", "not seen yet"]);
    let held = claim(&store, "app", 9, at(999)).await;
    assert_eq!((held.deliveries.len(), held.next_due, held.paused), (0, None, true));
    let mail = claim(&store, "mail", 9, at(1)).await;
    assert_eq!((mail.deliveries.len(), mail.paused), (2, false), "others go on");
    fresh(&store, "three", at(2), &["app"]).await;
    store.pause("app".into(), false).await.unwrap();
    store.pause("app".into(), false).await.unwrap();
    let released = claim(&store, "app", 9, at(2)).await;
    assert_eq!((claimed(&released), released.paused), (vec!["two", "three"], false));
    assert_eq!(store.paused().await.unwrap(), ["not seen yet"]);
}

pub(crate) async fn a_lease_that_is_renewed_lasts_beyond_its_end<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    fresh(&one, "evt", at(0), &["app"]).await;
    let lease = claim_one(&one, "app", at(0)).await;
    assert!(one.renew(vec![lease], at(100)).await.unwrap().is_empty());
    assert!(claim(&other, "app", 9, at(99)).await.deliveries.is_empty());
    assert!(one.renew(vec![lease], at(200)).await.unwrap().is_empty());
    assert!(claim(&other, "app", 9, at(199)).await.deliveries.is_empty());
    assert!(one.renew(vec![lease], at(300)).await.unwrap().is_empty(), "one that has run out is prolonged, too");
    assert!(one.finish(ended(lease, at(0), Verdict::Delivered)).await.unwrap());
}

pub(crate) async fn leases_that_are_lost_are_told_and_not_prolonged<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    for id in ["kept", "taken over", "called off", "over"] {
        fresh(&one, id, at(0), &["app"]).await;
    }
    let leases: Vec<Lease> = claim(&one, "app", 9, at(0)).await.deliveries.iter().map(|delivery| delivery.lease).collect();
    assert!(one.renew(vec![leases[0]], at(500)).await.unwrap().is_empty());
    let _ = one.cancel(leases[2].delivery, at(1)).await.unwrap();
    assert!(one.finish(ended(leases[3], at(1), Verdict::Delivered)).await.unwrap());
    let theirs = claim_one(&other, "app", at(60)).await;
    assert_eq!(theirs.delivery, leases[1].delivery);
    assert_eq!(one.renew(leases.clone(), at(900)).await.unwrap(), leases[1..]);
    assert_eq!(other.renew(vec![leases[0]], at(900)).await.unwrap(), [leases[0]], "not its own");
    let again = claim(&one, "app", 9, at(120)).await;
    assert_eq!(claimed(&again), ["taken over"], "the lease of the other process was not prolonged");
}

pub(crate) async fn sources_take_turns<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for (source, ids) in [("hub", ["1", "2", "3"]), ("pay", ["4", "5", "6"]), ("chat", ["7", "8", "9"])] {
        for id in ids {
            let _ = store.record(event(source, id, at(0)), names(&["app"])).await.unwrap();
        }
    }
    let after = async |source: &str, limit: usize| {
        let request = ClaimRequest { after: Some(source.into()), ..wanted("app", limit, at(1)) };
        claimed(&store.claim(request).await.unwrap()).into_iter().map(|id| id.parse::<u8>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(after("hub", 2).await, [4, 7], "behind the one that had its turn last");
    assert_eq!(after("chat", 4).await, [1, 5, 8, 2]);
    assert_eq!(after("unknown", 9).await, [3, 6, 9]);
}

pub(crate) async fn a_crowd_of_one_source_does_not_keep_another_waiting<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let ids: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    join_all(ids.iter().map(|id| fresh(&store, id, at(0), &["app"]))).await;
    lined(&store, "in line", 1, at(0)).await;
    let _ = store.record(event("pay", "late", at(50)), names(&["app"])).await.unwrap();
    assert_eq!(claim(&store, "app", 2, at(50)).await.deliveries[1].event.key, key("pay", "late"));
}

pub(crate) async fn the_trail_tells_who_asked_and_what_became_of_it<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let asked = |actor: &str, second| Asked {
        at: at(second),
        actor: actor.to_owned(),
        client: Some("127.0.0.1".to_owned()),
        method: "PUT".to_owned(),
        path: format!("/{second}"),
    };
    let first = store.ask(asked("a", 1)).await.unwrap();
    store.ask(asked("b", 2)).await.unwrap();
    for _ in 0..2 {
        store.answer(first, 200).await.unwrap();
    }
    let found = async |filter: AuditFilter, window| {
        let rows = store.trail(filter, window).await.unwrap();
        rows.into_iter().map(|row| (row.asked, row.status)).collect::<Vec<_>>()
    };
    let (one, two) = ((asked("a", 1), Some(200)), (asked("b", 2), None));
    let none = AuditFilter::default;
    assert_eq!(found(none(), all()).await, [two.clone(), one.clone()]);
    assert_eq!(found(AuditFilter { actor: Some("a".into()), ..none() }, all()).await, std::slice::from_ref(&one));
    assert_eq!(found(AuditFilter { since: Some(at(2)), ..none() }, all()).await, std::slice::from_ref(&two));
    assert_eq!(found(AuditFilter { until: Some(at(2)), ..none() }, all()).await, std::slice::from_ref(&one));
    assert_eq!(found(none(), page(Order::Oldest, 9, Some(first))).await, std::slice::from_ref(&two));
    assert_eq!(store.forget_trail(at(2), 9).await.unwrap(), 1);
    assert_eq!(store.forget_trail(at(2), 9).await.unwrap(), 0);
    assert_eq!(found(none(), all()).await, [two]);
}
