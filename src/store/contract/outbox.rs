//! Handing out: claims, leases, ends, and what becomes of the dead's.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::domain::{Backlog, DeliveryStatus, OwnEvent};
use crate::store::DeliveryFilter;

async fn only_delivery(store: &impl History) -> crate::store::DeliveryRow {
    let rows = store.deliveries(DeliveryFilter::default(), all()).await.unwrap();
    assert_eq!(rows.len(), 1);
    store.delivery(rows[0].id).await.unwrap().unwrap()
}

pub(crate) async fn a_claimed_delivery_is_hidden_until_its_lease_ends<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    assert!(claim(&store, "app", 9, at(-1)).await.deliveries.is_empty(), "not due yet");
    let first = claim_one(&store, "app", at(0)).await;
    assert!(claim(&store, "app", 9, at(59)).await.deliveries.is_empty());
    assert_eq!(only_delivery(&store).await.next_attempt_at, None, "an attempt runs");
    let second = claim_one(&store, "app", at(60)).await;
    assert_eq!((first.attempt, second.attempt, first.delivery), (1, 2, second.delivery));
}

pub(crate) async fn an_end_under_an_old_lease_changes_nothing<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    let old = claim_one(&store, "app", at(0)).await;
    let new = claim_one(&store, "app", at(60)).await;
    for verdict in [Verdict::Delivered, Verdict::RetryAt(at(0)), Verdict::Dead] {
        assert!(!store.finish(ended(old, at(0), verdict)).await.unwrap(), "{verdict:?}");
    }
    store.release(vec![old], at(0), true).await.unwrap();
    assert!(claim(&store, "app", 9, at(61)).await.deliveries.is_empty(), "the new lease holds");
    let row = only_delivery(&store).await;
    assert_eq!((row.status, row.attempts, row.history.len()), (DeliveryStatus::Pending, 2, 0));
    assert!(store.finish(ended(new, at(60), Verdict::Delivered)).await.unwrap());
    let unknown = Lease { delivery: crate::domain::DeliveryId(999), attempt: 1, ordered: false };
    assert!(!store.finish(ended(unknown, at(0), Verdict::Dead)).await.unwrap());
}

pub(crate) async fn a_delivered_attempt_ends_the_delivery_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    let lease = claim_one(&store, "app", at(1)).await;
    assert!(store.finish(ended(lease, at(1), Verdict::Delivered)).await.unwrap());
    assert!(!store.finish(ended(lease, at(1), Verdict::Delivered)).await.unwrap(), "safe to repeat");
    store.release(vec![lease], at(1), true).await.unwrap();
    assert!(claim(&store, "app", 9, at(999)).await.deliveries.is_empty());
    let row = only_delivery(&store).await;
    assert_eq!((row.status, row.attempts, row.finished_at, row.next_attempt_at), (DeliveryStatus::Delivered, 1, Some(at(3)), None));
    assert_eq!((row.created_at, row.replay, row.last_error, &*row.destination), (at(0), false, None, "app"));
    assert_eq!(row.history.len(), 1);
    assert_eq!((row.history[0].number, &row.history[0].attempt), (1, &ended(lease, at(1), Verdict::Delivered).attempt));
}

pub(crate) async fn a_failed_attempt_waits_for_its_retry_and_is_counted<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::RetryAt(at(10))).await;
    let row = only_delivery(&store).await;
    assert_eq!((row.next_attempt_at, row.last_error.as_deref(), row.finished_at), (Some(at(10)), Some("it answered 503"), None));
    let early = claim(&store, "app", 9, at(9)).await;
    assert_eq!((early.deliveries.len(), early.next_due), (0, Some(at(10))));
    let second = claim(&store, "app", 9, at(10)).await;
    assert_eq!((second.deliveries[0].failures, second.deliveries[0].lease.attempt), (1, 2));
    assert!(store.finish(ended(second.deliveries[0].lease, at(10), Verdict::Delivered)).await.unwrap());
    let row = only_delivery(&store).await;
    assert_eq!(row.history.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(row.last_error.as_deref(), Some("it answered 503"), "the last failure stays known");
}

pub(crate) async fn a_dead_delivery_is_never_claimed_again<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::Dead).await;
    let claim = claim(&store, "app", 9, at(999)).await;
    assert_eq!((claim.deliveries.len(), claim.next_due), (0, None));
    let row = only_delivery(&store).await;
    assert_eq!((row.status, row.finished_at, row.last_error.as_deref()), (DeliveryStatus::Dead, Some(at(2)), Some("it answered 503")));
}

pub(crate) async fn a_released_delivery_is_due_again_without_a_failure<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    let lease = claim_one(&store, "app", at(0)).await;
    store.release(vec![lease], at(5), true).await.unwrap();
    assert_eq!(only_delivery(&store).await.next_attempt_at, Some(at(5)));
    assert!(claim(&store, "app", 9, at(4)).await.deliveries.is_empty());
    assert!(!store.finish(ended(lease, at(0), Verdict::Delivered)).await.unwrap(), "it has been handed back");
    let again = claim(&store, "app", 9, at(5)).await;
    assert_eq!((again.deliveries[0].failures, again.deliveries[0].lease.attempt), (0, 2));
}

pub(crate) async fn the_oldest_due_comes_first_and_no_more_than_asked_for<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for (id, second) in [("c", 3), ("a", 1), ("b1", 2), ("b2", 2), ("later", 50)] {
        fresh(&store, id, at(second), &["app"]).await;
    }
    attempt(&store, "app", at(10), Verdict::RetryAt(at(20))).await;
    assert_eq!(claimed(&claim(&store, "app", 2, at(30)).await), ["b1", "b2"]);
    assert_eq!(claimed(&claim(&store, "app", 9, at(30)).await), ["c", "a"]);
    assert!(claim(&store, "app", 0, at(99)).await.deliveries.is_empty());
}

pub(crate) async fn next_due_tells_of_what_was_not_claimed<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!(claim(&store, "app", 9, at(0)).await.next_due, None, "an unknown destination");
    for (id, second) in [("a", 1), ("b", 2), ("c", 30)] {
        fresh(&store, id, at(second), &["app"]).await;
    }
    let first = claim(&store, "app", 1, at(5)).await;
    assert_eq!((claimed(&first), first.next_due), (vec!["a"], Some(at(2))));
    let second = claim(&store, "app", 9, at(5)).await;
    assert_eq!((claimed(&second), second.next_due), (vec!["b"], Some(at(30))));
    assert_eq!(claim(&store, "app", 9, at(30)).await.next_due, None, "all are claimed");
}

pub(crate) async fn destinations_do_not_see_each_other<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "one", at(0), &["app", "mail"]).await;
    fresh(&store, "two", at(0), &["mail"]).await;
    assert_eq!(claimed(&claim(&store, "app", 9, at(0)).await), ["one"]);
    let mail = claim(&store, "mail", 9, at(0)).await;
    assert_eq!(claimed(&mail), ["one", "two"]);
    assert!(mail.deliveries.iter().all(|delivery| &*delivery.destination == "mail"));
}

pub(crate) async fn leases_of_a_crashed_process_are_void_at_once<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app", "mail"]).await;
    let lost = claim_one(&store, "app", at(0)).await;
    attempt(&store, "mail", at(0), Verdict::Delivered).await;
    harness.crash(store).await;

    let store = harness.open().await;
    assert!(claim(&store, "app", 9, at(1)).await.deliveries.is_empty(), "leased until recovered");
    assert!(!store.finish(ended(lost, at(0), Verdict::Delivered)).await.unwrap(), "not this process's lease");
    assert_eq!(store.recover(at(1)).await.unwrap(), 1);
    assert_eq!(store.recover(at(1)).await.unwrap(), 0);
    let again = claim(&store, "app", 9, at(1)).await;
    assert_eq!((again.deliveries[0].lease.attempt, again.deliveries[0].failures), (2, 0));
}

pub(crate) async fn leases_of_a_closed_process_are_void_too<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    claim_one(&store, "app", at(0)).await;
    harness.close(store).await;
    let store = harness.open().await;
    assert_eq!(store.recover(at(1)).await.unwrap(), 1);
    assert_eq!(claimed(&claim(&store, "app", 9, at(1)).await), ["evt"]);
}

pub(crate) async fn leases_of_the_living_stay<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    fresh(&one, "evt", at(0), &["app"]).await;
    let lease = claim_one(&one, "app", at(0)).await;
    assert_eq!((one.recover(at(1)).await.unwrap(), other.recover(at(1)).await.unwrap()), (0, 0));
    assert!(claim(&other, "app", 9, at(1)).await.deliveries.is_empty());
    for verdict in [Verdict::Delivered, Verdict::RetryAt(at(0)), Verdict::Dead] {
        assert!(!other.finish(ended(lease, at(0), verdict)).await.unwrap(), "not its own lease");
    }
    other.release(vec![lease], at(0), true).await.unwrap();
    assert!(one.finish(ended(lease, at(0), Verdict::Delivered)).await.unwrap());
}

pub(crate) async fn a_lease_under_which_nothing_began_gives_its_number_back<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    let unused = claim_one(&store, "app", at(0)).await;
    store.release(vec![unused], at(1), false).await.unwrap();
    store.release(vec![unused], at(1), false).await.unwrap();
    let row = only_delivery(&store).await;
    assert_eq!((row.attempts, row.next_attempt_at), (0, Some(at(1))), "once");
    let first = claim_one(&store, "app", at(1)).await;
    assert_eq!(first, unused, "the first attempt after all");
    assert!(store.finish(ended(first, at(1), Verdict::Delivered)).await.unwrap());
}

pub(crate) async fn what_is_told_with_an_end_is_recorded_with_it_or_not_at_all<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    let told = || Some(OwnEvent { event: event("onceward", "dead", at(2)), deliveries: names(&["mail"]) });
    let (old, new) = (claim_one(&store, "app", at(0)).await, claim_one(&store, "app", at(60)).await);
    assert!(!store.finish_telling(ended(old, at(0), Verdict::Dead), told()).await.unwrap());
    assert!(store.event(key("onceward", "dead")).await.unwrap().is_none(), "an end that does not count tells nothing");
    assert!(store.finish_telling(ended(new, at(60), Verdict::Dead), told()).await.unwrap());
    assert!(!store.finish_telling(ended(new, at(60), Verdict::Dead), told()).await.unwrap(), "safe to repeat");
    assert_eq!(store.event(key("onceward", "dead")).await.unwrap().unwrap().duplicates, 0, "told once");
    assert_eq!(claimed(&claim(&store, "mail", 9, at(60)).await), ["dead"]);
}

pub(crate) async fn what_is_leased_while_it_is_recorded_is_nobody_elses<H: Harness>() {
    let harness = H::new();
    let (store, other) = (harness.open().await, harness.open().await);
    let leased = |name: &str| Due { lease: Some(LEASE), ..Due::to(name.into()) };
    store.pause("held".into(), true).await.unwrap();
    let due = vec![leased("app"), Due::to("mail".into()), leased("held")];
    let (recorded, leases) = store.record_leased(event("hub", "evt", at(0)), due.clone()).await.unwrap();
    let [Some(lease), None, None] = leases[..] else { panic!("{leases:?}") };
    assert_eq!((recorded, lease.attempt), (Recorded::Fresh, 1));
    assert!(claim(&other, "app", 9, at(59)).await.deliveries.is_empty());
    assert_eq!(store.record_leased(event("hub", "evt", at(1)), due).await.unwrap(), (Recorded::Duplicate, Vec::new()));
    assert!(store.finish(ended(lease, at(0), Verdict::Delivered)).await.unwrap());
    assert_eq!(claimed(&claim(&other, "mail", 9, at(1)).await), ["evt"]);
    let (_, leases) = store.record_leased(event("hub", "lost", at(2)), vec![leased("app")]).await.unwrap();
    harness.crash(store).await;
    assert_eq!((other.recover(at(3)).await.unwrap(), leases.len()), (1, 1));
    assert_eq!(claim_one(&other, "app", at(3)).await.attempt, 2);
}

pub(crate) async fn two_processes_never_claim_the_same_delivery<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    for n in 0..60 {
        fresh(&one, &n.to_string(), at(0), &["app"]).await;
    }
    let claims = [one.clone(), other, one].into_iter().cycle().take(24).map(|store| {
        tokio::spawn(
            async move { claim(&store, "app", 4, at(0)).await.deliveries.iter().map(|delivery| delivery.lease).collect::<Vec<_>>() },
        )
    });
    let leases: Vec<_> = join_all(claims).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(leases.len(), 60);
    assert_eq!(leases.iter().map(|lease| lease.delivery).collect::<BTreeSet<_>>().len(), 60);
    assert!(leases.iter().all(|lease| lease.attempt == 1));
}

pub(crate) async fn the_backlog_counts_what_is_unfinished<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert!(store.backlog().await.unwrap().is_empty());
    fresh(&store, "a", at(1), &["app", "mail"]).await;
    fresh(&store, "b", at(2), &["app", "mail"]).await;
    fresh(&store, "c", at(3), &["app"]).await;
    attempt(&store, "app", at(5), Verdict::Delivered).await;
    attempt(&store, "app", at(5), Verdict::RetryAt(at(99))).await;
    for _ in 0..2 {
        attempt(&store, "mail", at(5), Verdict::Dead).await;
    }
    claim_one(&store, "app", at(5)).await;
    let waiting = Backlog { destination: "app".into(), pending: 2, oldest: Some(at(2)) };
    assert_eq!(store.backlog().await.unwrap(), [waiting]);
}
