//! Deliveries that go one at a time and in order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;

use super::*;
use crate::domain::{DeliveryId, DeliveryStatus, Line};
use crate::store::{DeliveryFilter, DeliveryRow, Prune};

/// Records a fresh event of the source `hub` for `app`, in this line.
pub(crate) async fn lined(store: &impl Inbox, event_id: &str, line: i64, received_at: Timestamp) {
    let due = Due { line: Some(Line(line)), ..Due::to("app".into()) };
    let recorded = store.record(event("hub", event_id, received_at), vec![due]).await.unwrap();
    assert_eq!(recorded, Recorded::Fresh, "{event_id}");
}

/// Records `a`, `b` and `c` in one line.
async fn three(store: &impl Inbox) {
    for (second, id) in ["a", "b", "c"].into_iter().enumerate() {
        lined(store, id, 1, at(second as i64)).await;
    }
}

/// The one delivery of an event of `hub`.
pub(crate) async fn delivery_of(store: &impl History, event_id: &str) -> DeliveryRow {
    let row = store.event(key("hub", event_id)).await.unwrap().unwrap();
    store.deliveries_of(vec![row.seq], true).await.unwrap().remove(0)
}

/// What can be claimed for `app`.
async fn due(store: &impl Outbox, now: Timestamp) -> Vec<String> {
    claimed(&claim(store, "app", 99, now).await).into_iter().map(str::to_owned).collect()
}

/// Claims the one delivery to `app` that must be due, and ends it.
async fn ends(store: &impl Outbox, event_id: &str, now: Timestamp, verdict: Verdict, on_dead: OnDead) {
    let claim = claim(store, "app", 99, now).await;
    assert_eq!(claimed(&claim), [event_id]);
    let end = FinishedAttempt { on_dead, ..ended(claim.deliveries[0].lease, now, verdict) };
    assert!(store.finish(end).await.unwrap());
}

pub(crate) async fn of_a_line_one_goes_at_a_time_and_in_order_while_others_go_beside_it<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    lined(&store, "x", 2, at(3)).await;
    fresh(&store, "free", at(4), &["app", "mail"]).await;
    let first = claim(&store, "app", 99, at(10)).await;
    assert_eq!((claimed(&first), first.next_due), (vec!["a", "x", "free"], None), "the others of the line are due never");
    assert_eq!(first.deliveries.iter().map(|delivery| delivery.lease.ordered).collect::<Vec<_>>(), [true, true, false]);
    assert!(store.finish(ended(first.deliveries[1].lease, at(10), Verdict::Delivered)).await.unwrap());
    assert!(due(&store, at(20)).await.is_empty(), "the end of another line");
    let row = delivery_of(&store, "b").await;
    assert_eq!((row.waits_in_line, row.next_attempt_at, row.holds_line), (true, None, false));

    assert!(store.finish(ended(first.deliveries[0].lease, at(20), Verdict::Delivered)).await.unwrap());
    let row = delivery_of(&store, "b").await;
    assert_eq!((row.waits_in_line, row.next_attempt_at), (false, Some(at(22))), "at the end of the one before");
    ends(&store, "b", at(22), Verdict::Delivered, OnDead::Skip).await;
    lined(&store, "d", 1, at(30)).await;
    ends(&store, "c", at(30), Verdict::Delivered, OnDead::Skip).await;
    ends(&store, "d", at(32), Verdict::Delivered, OnDead::Skip).await;
    lined(&store, "e", 1, at(33)).await;
    assert_eq!(due(&store, at(33)).await, ["e"], "the line was empty");
}

pub(crate) async fn one_that_waits_for_its_retry_holds_up_its_own_line_alone<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    ends(&store, "a", at(10), Verdict::RetryAt(at(90)), OnDead::Skip).await;
    lined(&store, "x", 2, at(11)).await;
    let claim = claim(&store, "app", 99, at(89)).await;
    assert_eq!((claimed(&claim), claim.next_due), (vec!["x"], Some(at(90))));
    ends(&store, "a", at(90), Verdict::Delivered, OnDead::Skip).await;
    ends(&store, "b", at(92), Verdict::Delivered, OnDead::Skip).await;
}

pub(crate) async fn behind_a_dead_one_the_next_goes_on_where_the_dead_are_skipped<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    ends(&store, "a", at(10), Verdict::Dead, OnDead::Skip).await;
    assert!(!delivery_of(&store, "a").await.holds_line);
    ends(&store, "b", at(12), Verdict::Delivered, OnDead::Skip).await;
    ends(&store, "c", at(14), Verdict::Delivered, OnDead::Skip).await;
}

pub(crate) async fn behind_a_dead_one_that_holds_nobody_goes_until_it_is_retried_with_success<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    ends(&store, "a", at(10), Verdict::Dead, OnDead::Hold).await;
    let dead = delivery_of(&store, "a").await;
    assert_eq!((dead.status, dead.holds_line, dead.waits_in_line), (DeliveryStatus::Dead, true, false));
    lined(&store, "d", 1, at(11)).await;
    let nothing = claim(&store, "app", 99, at(999)).await;
    assert_eq!((nothing.deliveries.len(), nothing.next_due), (0, None));
    assert_eq!(store.backlog().await.unwrap()[0].pending, 3, "they are not forgotten");

    let _ = store.retry(dead.id, at(1_000)).await.unwrap();
    ends(&store, "a", at(1_000), Verdict::Dead, OnDead::Hold).await;
    assert!(due(&store, at(1_999)).await.is_empty(), "without success");
    let _ = store.retry(dead.id, at(2_000)).await.unwrap();
    ends(&store, "a", at(2_000), Verdict::Delivered, OnDead::Hold).await;
    for (id, second) in [("b", 2_002), ("c", 2_004), ("d", 2_006)] {
        ends(&store, id, at(second), Verdict::Delivered, OnDead::Hold).await;
    }
}

pub(crate) async fn a_crash_keeps_the_order_of_a_line<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    three(&one).await;
    claim_one(&one, "app", at(10)).await;
    harness.crash(one).await;
    assert!(due(&other, at(11)).await.is_empty(), "leased until recovered");
    assert_eq!(other.recover(at(12)).await.unwrap(), 1);
    for (id, second) in [("a", 12), ("b", 14), ("c", 16)] {
        ends(&other, id, at(second), Verdict::Delivered, OnDead::Skip).await;
    }
}

pub(crate) async fn a_lease_that_has_run_out_keeps_the_order_of_a_line<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    let old = claim_one(&store, "app", at(10)).await;
    let again = claim(&store, "app", 99, at(70)).await;
    assert_eq!(claimed(&again), ["a"]);
    assert!(!store.finish(ended(old, at(10), Verdict::Delivered)).await.unwrap());
    assert!(due(&store, at(71)).await.is_empty(), "a late end lets nobody go on");
    store.release(vec![again.deliveries[0].lease], at(80), true).await.unwrap();
    ends(&store, "a", at(80), Verdict::Delivered, OnDead::Skip).await;
    ends(&store, "b", at(82), Verdict::Delivered, OnDead::Skip).await;
}

pub(crate) async fn calling_off_the_first_has_the_next_one_step_forward<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    let _ = store.cancel(delivery_of(&store, "a").await.id, at(5)).await.unwrap();
    assert_eq!(delivery_of(&store, "b").await.next_attempt_at, Some(at(5)));
    ends(&store, "b", at(5), Verdict::Delivered, OnDead::Skip).await;
    ends(&store, "c", at(7), Verdict::Delivered, OnDead::Skip).await;
}

pub(crate) async fn calling_off_one_that_waits_lets_nobody_overtake<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    let first = claim_one(&store, "app", at(5)).await;
    let _ = store.cancel(delivery_of(&store, "b").await.id, at(6)).await.unwrap();
    assert!(due(&store, at(7)).await.is_empty());
    assert!(store.finish(ended(first, at(6), Verdict::Delivered)).await.unwrap());
    ends(&store, "c", at(8), Verdict::Delivered, OnDead::Skip).await;
}

pub(crate) async fn an_older_one_that_was_retried_stays_behind_the_first_when_others_are_called_off<H: Harness>() {
    for on_dead in [OnDead::Skip, OnDead::Hold] {
        let harness = H::new();
        let store = harness.open().await;
        three(&store).await;
        let [a, c] = [delivery_of(&store, "a").await.id, delivery_of(&store, "c").await.id];
        let _ = store.cancel(a, at(5)).await.unwrap();
        let first = claim(&store, "app", 99, at(5)).await;
        assert_eq!(claimed(&first), ["b"]);
        if on_dead == OnDead::Hold {
            let end = FinishedAttempt { on_dead, ..ended(first.deliveries[0].lease, at(5), Verdict::Dead) };
            assert!(store.finish(end).await.unwrap());
        }
        let _ = store.retry(a, at(8)).await.unwrap();
        assert!(delivery_of(&store, "a").await.waits_in_line);
        let _ = store.cancel(c, at(9)).await.unwrap();
        let _ = store.cancel(c, at(9)).await.unwrap();
        assert!(due(&store, at(10)).await.is_empty(), "{on_dead:?}: the first place is still taken");
        let _ = store.cancel(first.deliveries[0].lease.delivery, at(11)).await.unwrap();
        assert_eq!(due(&store, at(11)).await, ["a"], "{on_dead:?}");
    }
}

pub(crate) async fn calling_off_a_dead_one_that_holds_lets_the_line_go_on<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    ends(&store, "a", at(10), Verdict::Dead, OnDead::Hold).await;
    let id = delivery_of(&store, "a").await.id;
    let _ = store.cancel(id, at(20)).await.unwrap();
    let row = delivery_of(&store, "a").await;
    assert_eq!((row.status, row.holds_line), (DeliveryStatus::Cancelled, false));
    ends(&store, "b", at(20), Verdict::Delivered, OnDead::Hold).await;
    // It goes back into its line, behind the one that is first there now.
    let _ = store.retry(id, at(23)).await.unwrap();
    assert!(delivery_of(&store, "a").await.waits_in_line);
    ends(&store, "c", at(23), Verdict::Delivered, OnDead::Hold).await;
    ends(&store, "a", at(25), Verdict::Delivered, OnDead::Hold).await;
}

pub(crate) async fn calling_off_one_that_runs_lets_the_next_go_and_its_end_does_not_count<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    let running = claim_one(&store, "app", at(5)).await;
    let _ = store.cancel(running.delivery, at(6)).await.unwrap();
    assert_eq!(store.renew(vec![running], at(99)).await.unwrap(), [running], "the process learns of it");
    assert_eq!(due(&store, at(6)).await, ["b"]);
    for verdict in [Verdict::Delivered, Verdict::RetryAt(at(7)), Verdict::Dead] {
        assert!(!store.finish(ended(running, at(6), verdict)).await.unwrap());
    }
    let row = delivery_of(&store, "a").await;
    assert_eq!((row.status, row.history.len()), (DeliveryStatus::Cancelled, 0));
    assert!(due(&store, at(8)).await.is_empty(), "and lets nobody else go");
}

pub(crate) async fn a_dead_one_that_holds_its_line_is_not_forgotten<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    three(&store).await;
    ends(&store, "a", at(10), Verdict::Dead, OnDead::Hold).await;
    lined(&store, "x", 2, at(11)).await;
    ends(&store, "x", at(11), Verdict::Dead, OnDead::Skip).await;
    let everything = Prune { bodies_before: at(999), ids_before: at(999), chunk: 100 };
    let mut forgotten = 0;
    loop {
        let pruned = store.prune(everything).await.unwrap();
        if pruned.nothing() {
            break;
        }
        forgotten += pruned.events;
    }
    assert_eq!(forgotten, 1, "the other dead one");
    let dead = delivery_of(&store, "a").await;
    assert!(dead.holds_line && due(&store, at(1_000)).await.is_empty());
    let _ = store.retry(dead.id, at(1_000)).await.unwrap();
    ends(&store, "a", at(1_000), Verdict::Delivered, OnDead::Hold).await;
    ends(&store, "b", at(1_002), Verdict::Delivered, OnDead::Hold).await;
}

/// Records so many in one line, all at once.
async fn crowd(store: &impl Inbox, count: usize) {
    lined(store, "first", 1, at(0)).await;
    let ids: Vec<String> = (1..count).map(|n| n.to_string()).collect();
    join_all(ids.iter().map(|id| lined(store, id, 1, at(0)))).await;
}

pub(crate) async fn without_an_order_nobody_stands_behind_another_any_more<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    crowd(&store, 1_200).await;
    ends(&store, "first", at(1), Verdict::Dead, OnDead::Hold).await;
    assert!(!store.straighten("unknown".into(), None, at(5)).await.unwrap());
    let mut steps = 0;
    while store.straighten("app".into(), None, at(5)).await.unwrap() {
        steps += 1;
    }
    assert!(steps > 1, "in steps, so that others can write meanwhile");
    assert!(!delivery_of(&store, "first").await.holds_line);
    let claim = claim(&store, "app", 5_000, at(5)).await;
    assert_eq!(claim.deliveries.len(), 1_199);
    assert!(claim.deliveries.iter().all(|delivery| !delivery.lease.ordered));
}

pub(crate) async fn a_line_goes_on_when_its_order_comes_back_before_it_is_dissolved<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    crowd(&store, 1_200).await;
    assert!(store.straighten("app".into(), None, at(5)).await.unwrap(), "there is more to do");
    for order in [OnDead::Hold, OnDead::Skip] {
        assert!(!store.straighten("app".into(), Some(order), at(6)).await.unwrap());
    }
    let rows = store.deliveries(DeliveryFilter::default(), page(Order::Oldest, 5_000, None)).await.unwrap();
    let waiting: BTreeSet<DeliveryId> = rows.iter().filter(|row| row.waits_in_line).map(|row| row.id).collect();
    assert!(!waiting.is_empty());
    let claim = claim(&store, "app", 5_000, at(6)).await;
    let first: Vec<_> = claim.deliveries.iter().filter(|delivery| delivery.lease.ordered).collect();
    assert_eq!((first.len(), claim.deliveries.len() + waiting.len()), (1, 1_200), "one of those that are left is first");
    assert!(store.finish(ended(first[0].lease, at(6), Verdict::Delivered)).await.unwrap());
    assert_eq!(due(&store, at(8)).await.len(), 1);
}

pub(crate) async fn where_the_dead_are_skipped_from_now_on_they_leave_their_lines<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let lines: Vec<(i64, String)> = (0..600).map(|line| (line, format!("dead {line}"))).collect();
    join_all(lines.iter().map(|(line, id)| lined(&store, id, *line, at(0)))).await;
    let next: Vec<(i64, String)> = (0..600).map(|line| (line, format!("next {line}"))).collect();
    join_all(next.iter().map(|(line, id)| lined(&store, id, *line, at(1)))).await;
    let dead = claim(&store, "app", 600, at(1)).await;
    let ends =
        dead.deliveries.iter().map(|delivery| FinishedAttempt { on_dead: OnDead::Hold, ..ended(delivery.lease, at(1), Verdict::Dead) });
    assert!(join_all(ends.map(|end| store.finish(end))).await.into_iter().all(Result::unwrap));
    assert!(!store.straighten("app".into(), Some(OnDead::Hold), at(5)).await.unwrap());
    assert!(due(&store, at(5)).await.is_empty());

    let mut steps = 0;
    while store.straighten("app".into(), Some(OnDead::Skip), at(5)).await.unwrap() {
        steps += 1;
    }
    assert!(steps > 1, "in steps");
    let claim = claim(&store, "app", 5_000, at(5)).await;
    assert!(claim.deliveries.len() == 600 && claim.deliveries.iter().all(|delivery| delivery.event.key.event_id.starts_with("next")));
    assert_eq!(delivery_of(&store, "dead 0").await.status, DeliveryStatus::Dead);
}

pub(crate) async fn two_processes_never_have_two_of_one_line<H: Harness>() {
    let harness = H::new();
    let stores = [harness.open().await, harness.open().await];
    let ids: Vec<(i64, String)> = (0..60).map(|n| (n % 3, n.to_string())).collect();
    for (line, id) in &ids {
        lined(&stores[0], id, *line, at(0)).await;
    }
    let running = Arc::new(Mutex::new(BTreeSet::new()));
    let work = stores.iter().cycle().take(6).cloned().map(|store| {
        let running = Arc::clone(&running);
        tokio::spawn(async move {
            let mut done = Vec::new();
            // Whoever finds nothing looks again as long as anybody works.
            while !store.backlog().await.unwrap().is_empty() {
                for delivery in claim(&store, "app", 2, at(9)).await.deliveries {
                    let number: i64 = delivery.event.key.event_id.parse().unwrap();
                    assert!(running.lock().unwrap().insert(number % 3), "two of line {}", number % 3);
                    tokio::task::yield_now().await;
                    assert!(running.lock().unwrap().remove(&(number % 3)));
                    done.push((number, store.finish(ended(delivery.lease, at(1), Verdict::Delivered)).await.unwrap()));
                }
            }
            done
        })
    });
    let done: Vec<_> = join_all(work).await.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(done.len(), 60);
    assert!(done.iter().all(|(_, counted)| *counted), "each once");
}
