//! Events that are delivered again, one or many.

use std::sync::Arc;

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::*;
use crate::domain::{DeliveryId, DeliveryStatus, EventStatus, JobStatus, Line};
use crate::store::{Chunk, DeliveryFilter, ENDED_KEPT, EventFilter, JobRow, MOST_RUNNING, NewJob, Prune, Step, Work};

/// Every event, to where the routes say.
fn everything() -> Work {
    Work::Replay { filter: EventFilter::default(), destinations: None }
}

fn every_dead() -> Work {
    Work::Retry { filter: DeliveryFilter::default() }
}

fn new_job(work: Work, last: i64) -> NewJob {
    NewJob { work, rate: 10, last, total: 7, created_at: at(0), claim: None }
}

async fn begin(store: &impl Jobs, work: Work, last: i64) -> i64 {
    store.begin(new_job(work, last)).await.unwrap().unwrap().id
}

fn step(job: i64, from: i64, reached: i64, chunk: Chunk) -> Step {
    Step { job, from, reached, chunk, failed: 0, now: at(50), due_at: at(51) }
}

async fn job(store: &impl Jobs, id: i64) -> JobRow {
    store.job(id).await.unwrap().unwrap()
}

async fn deliveries(store: &impl History) -> Vec<crate::store::DeliveryRow> {
    store.deliveries(DeliveryFilter::default(), page(Order::Oldest, 1_000, None)).await.unwrap()
}

pub(crate) async fn a_recorded_event_comes_back_as_a_destination_gets_it<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(3), &["app"]).await;
    let claimed = claim(&store, "app", 1, at(3)).await.deliveries.remove(0).event;
    let found = store.find(key("hub", "evt")).await.unwrap();
    assert_eq!((found, store.find(key("hub", "other")).await.unwrap()), (Some(1), None));
    let event = store.recorded(1).await.unwrap().unwrap();
    assert_eq!((&event.key, &event.provider, &event.event_type), (&claimed.key, &claimed.provider, &claimed.event_type));
    assert_eq!((&event.method, &event.subpath, &event.query), (&claimed.method, &claimed.subpath, &claimed.query));
    assert_eq!((&event.headers, &event.body, event.received_at), (&claimed.headers, &claimed.body, at(3)));
    for unknown in [0, 2, -1, i64::MAX] {
        assert!(store.recorded(unknown).await.unwrap().is_none());
        assert!(store.replay(unknown, names(&["app"]), at(4)).await.unwrap().is_none());
    }
}

pub(crate) async fn a_replay_makes_deliveries_of_its_own_behind_what_stands_in_line<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let in_line = |name: &str| Due { line: Some(Line(7)), ..Due::to(name.into()) };
    let (first, second) = (event("hub", "first", at(0)), event("hub", "second", at(1)));
    assert_eq!(store.record(first, vec![in_line("app")]).await.unwrap(), Recorded::Fresh);
    assert_eq!(store.record(second, vec![in_line("app")]).await.unwrap(), Recorded::Fresh);
    let made = store.replay(1, vec![in_line("app"), Due::to("mail".into())], at(9)).await.unwrap().unwrap();
    assert_eq!(made.iter().map(|row| row.id).collect::<Vec<_>>(), [DeliveryId(3), DeliveryId(4)]);
    assert_eq!(format!("{made:?}"), format!("{:?}", store.deliveries_of(vec![1], false).await.unwrap().split_off(1)));
    let shown: Vec<_> = made.iter().map(|row| (&*row.destination, row.status, row.replay, row.waits_in_line, row.created_at)).collect();
    assert_eq!(shown, [("app", DeliveryStatus::Pending, true, true, at(9)), ("mail", DeliveryStatus::Pending, true, false, at(9))]);
    let mail = claim(&store, "mail", 9, at(9)).await;
    assert_eq!((claimed(&mail), mail.deliveries[0].replay, mail.deliveries[0].failures), (vec!["first"], true, 0));
    for (expected, replay) in [("first", false), ("second", false), ("first", true)] {
        let next = claim(&store, "app", 9, at(10)).await;
        assert_eq!((claimed(&next), next.deliveries[0].replay), (vec![expected], replay));
        assert!(store.finish(ended(next.deliveries[0].lease, at(8), Verdict::Delivered)).await.unwrap());
    }
}

pub(crate) async fn what_has_no_payload_is_not_replayed<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &["app"]).await;
    attempt(&store, "app", at(0), Verdict::Dead).await;
    let _ = store.prune(Prune { bodies_before: at(1), ids_before: at(0), chunk: 9 }).await.unwrap();
    assert!(store.recorded(1).await.unwrap().is_none());
    assert!(store.replay(1, names(&["app"]), at(2)).await.unwrap().is_none());
    assert_eq!(deliveries(&store).await.len(), 1);
}

/// Everything that matches, gone through in parts of so many.
async fn found(store: &impl Jobs, work: &Work, last: i64, limit: usize) -> Vec<i64> {
    let (mut found, mut after) = (Vec::new(), 0);
    while after < last {
        let matching = store.matching(work.clone(), after, last, limit).await.unwrap();
        assert!(matching.numbers.len() <= limit && matching.reached > after && matching.reached <= last, "{matching:?} after {after}");
        assert!(matching.numbers.iter().all(|number| *number > after && *number <= matching.reached), "{matching:?}");
        found.extend(matching.numbers);
        after = matching.reached;
    }
    assert!(found.is_sorted());
    found
}

/// Events in every status, of two sources and types, four seconds apart.
async fn of_all_kinds(store: &(impl Inbox + Outbox + Control + History)) {
    let verdicts = [Some(Verdict::Dead), Some(Verdict::Delivered), Some(Verdict::RetryAt(at(900))), None];
    for n in 0..24 {
        let (source, event_type) = (["hub", "pay"][n % 2], ["push", "ping"][n / 2 % 2].to_owned());
        let received_at = at(40 * n as i64);
        let event = VerifiedEvent::attest(VerifiedParts { event_type, ..parts(source, &format!("evt_{}", n / 2), received_at) });
        let destinations = if n % 5 == 4 { names(&[]) } else { names(&[["app", "mail"][n / 4 % 2]]) };
        assert_eq!(store.record(event, destinations.clone()).await.unwrap(), Recorded::Fresh);
        if let (Some(due), Some(verdict)) = (destinations.first(), verdicts[n / 3 % 4]) {
            attempt(store, &due.destination, received_at, verdict).await;
        }
    }
    let pending = DeliveryFilter { status: Some(DeliveryStatus::Pending), ..DeliveryFilter::default() };
    let last = store.deliveries(pending, all()).await.unwrap().remove(0);
    assert!(matches!(store.cancel(last.id, at(999)).await.unwrap(), crate::store::Change::Done { .. }));
}

pub(crate) async fn what_matches_is_found_in_parts_by_every_filter<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    of_all_kinds(&store).await;
    let (none, text) = (EventFilter::default, |text: &str| Some(text.to_owned()));
    let mut filters = vec![
        none(),
        EventFilter { source: text("pay"), ..none() },
        EventFilter { source: text("nobody"), ..none() },
        EventFilter { event_type: text("ping"), ..none() },
        EventFilter { source: text("hub"), event_type: text("push"), ..none() },
        EventFilter { event_id: text("evt_3"), ..none() },
        EventFilter { event_id: text("evt_3"), source: text("pay"), ..none() },
        EventFilter { since: Some(at(400)), ..none() },
        EventFilter { until: Some(at(400)), ..none() },
        EventFilter { since: Some(at(200)), until: Some(at(601)), source: text("hub"), ..none() },
        EventFilter { since: Some(at(90_000)), ..none() },
        EventFilter { until: Some(at(-90_000)), ..none() },
    ];
    filters.extend(EventStatus::ALL.map(|status| EventFilter { status: Some(status), ..none() }));
    let whole = EventStatus::ALL.map(|status| EventFilter { status: Some(status), source: text("hub"), since: Some(at(90)), ..none() });
    filters.extend(whole);
    for filter in filters {
        let rows = store.events(filter.clone(), page(Order::Oldest, 1_000, None)).await.unwrap();
        let work = Work::Replay { filter, destinations: None };
        for limit in [1, 3, 1_000] {
            assert_eq!(found(&store, &work, 24, limit).await, rows.iter().map(|row| row.seq).collect::<Vec<_>>(), "{work:?}");
        }
        let some: Vec<_> = rows.iter().map(|row| row.seq).filter(|seq| *seq <= 12).collect();
        assert_eq!(found(&store, &work, 12, 4).await, some, "up to the last row: {work:?}");
    }
    assert_eq!(store.newest(everything()).await.unwrap(), 24);
}

pub(crate) async fn the_dead_alone_match_a_retry_by_every_filter<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    assert_eq!((store.newest(every_dead()).await.unwrap(), store.newest(everything()).await.unwrap()), (0, 0));
    of_all_kinds(&store).await;
    let (none, text) = (DeliveryFilter::default, |text: &str| Some(text.to_owned()));
    let filters = [
        none(),
        DeliveryFilter { destination: text("mail"), ..none() },
        DeliveryFilter { source: text("pay"), ..none() },
        DeliveryFilter { source: text("hub"), destination: text("app"), ..none() },
        DeliveryFilter { destination: text("nowhere"), ..none() },
        DeliveryFilter { since: Some(at(100)), until: Some(at(500)), ..none() },
    ];
    let last = store.newest(every_dead()).await.unwrap();
    for filter in filters {
        let dead = DeliveryFilter { status: Some(DeliveryStatus::Dead), ..filter.clone() };
        let rows = store.deliveries(dead, page(Order::Oldest, 1_000, None)).await.unwrap();
        let work = Work::Retry { filter };
        for limit in [1, 2, 1_000] {
            assert_eq!(found(&store, &work, last, limit).await, rows.iter().map(|row| row.id.0).collect::<Vec<_>>(), "{work:?}");
        }
    }
}

pub(crate) async fn a_job_comes_back_as_it_was_begun<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let filter = EventFilter {
        q: Some(crate::store::Sought::parse("any thing*").unwrap()),
        source: Some("hub \"1\"".to_owned()),
        event_type: Some("push".to_owned()),
        status: Some(EventStatus::Dead),
        event_id: Some("é".to_owned()),
        since: Some(at(1)),
        until: Some(at(2)),
    };
    let works = [
        Work::Replay { filter, destinations: Some(vec!["app".into(), "mail".into()]) },
        Work::Replay { filter: EventFilter::default(), destinations: Some(Vec::new()) },
        everything(),
        Work::Retry {
            filter: DeliveryFilter {
                source: Some("hub".to_owned()),
                destination: Some("app".to_owned()),
                since: Some(at(3)),
                until: Some(at(4)),
                status: None,
            },
        },
        every_dead(),
    ];
    let mut ids = Vec::new();
    for work in &works {
        ids.push(begin(&store, work.clone(), 9).await);
    }
    assert!(ids.is_sorted());
    harness.crash(store).await;
    let store = harness.open().await;
    for (id, work) in ids.iter().zip(&works) {
        let row = job(&store, *id).await;
        assert_eq!(format!("{:?}", row.work), format!("{work:?}"));
        assert_eq!((row.id, row.status, row.rate, row.last, row.reached), (*id, JobStatus::Running, 10, 9, 0));
        assert_eq!((row.total, row.done, row.failed), (7, 0, 0));
        assert_eq!((row.created_at, row.due_at, row.finished_at), (at(0), at(0), None));
    }
    let listed = |rows: Vec<JobRow>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!(listed(store.running().await.unwrap()), ids);
    assert_eq!(listed(store.jobs(page(Order::Newest, 2, Some(ids[3]))).await.unwrap()), [ids[2], ids[1]]);
    assert_eq!(listed(store.jobs(page(Order::Oldest, 2, None)).await.unwrap()), ids[..2]);
    assert!(store.job(999).await.unwrap().is_none() && store.call_off(999, at(1)).await.unwrap().is_none());
    let row = job(&store, begin(&store, everything(), 0).await).await;
    assert_eq!((row.status, row.finished_at), (JobStatus::Done, Some(at(0))), "there is nothing to go through");
}

pub(crate) async fn a_step_is_done_once_by_whoever_is_first<H: Harness>() {
    let harness = H::new();
    let (store, other) = (harness.open().await, harness.open().await);
    for n in 0..3 {
        fresh(&store, &n.to_string(), at(0), &[]).await;
    }
    let id = begin(&store, everything(), 3).await;
    let chunk = || Chunk::Replay(vec![(1, names(&["app", "mail"])), (2, names(&["app"]))]);
    let tries = (0..20).map(|n| {
        let (store, step) = (if n % 2 == 0 { store.clone() } else { other.clone() }, step(id, 0, 2, chunk()));
        tokio::spawn(async move { store.step(step).await.unwrap() })
    });
    let outcomes: Vec<_> = join_all(tries).await.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(outcomes, [vec![Arc::from("app"), Arc::from("mail")]], "once, and it tells whom to wake");
    let rows = deliveries(&store).await;
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row.replay && row.created_at == at(50)));
    let row = job(&store, id).await;
    assert_eq!((row.status, row.reached, row.done, row.failed, row.due_at), (JobStatus::Running, 2, 2, 0, at(51)));
}

pub(crate) async fn a_job_goes_on_after_a_crash_and_ends_at_its_last_row<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for n in 0..3 {
        fresh(&store, &n.to_string(), at(0), &[]).await;
    }
    let id = begin(&store, everything(), 3).await;
    assert!(store.step(step(id, 0, 2, Chunk::Replay(vec![(2, names(&["app"]))]))).await.unwrap().is_some());
    harness.crash(store).await;
    let store = harness.open().await;
    let row = store.running().await.unwrap().remove(0);
    assert_eq!((row.id, row.reached), (id, 2));
    assert!(store.step(step(id, 0, 2, Chunk::Replay(vec![(2, names(&["app"]))]))).await.unwrap().is_none(), "done before the crash");
    assert!(store.step(step(id, 2, 3, Chunk::Replay(vec![(3, names(&["app"]))]))).await.unwrap().is_some());
    let row = job(&store, id).await;
    assert_eq!((row.status, row.done, row.finished_at), (JobStatus::Done, 2, Some(at(50))));
    assert!(store.running().await.unwrap().is_empty());
    assert!(store.step(step(id, 3, 4, Chunk::Replay(Vec::new()))).await.unwrap().is_none());
    let off = store.call_off(id, at(90)).await.unwrap().unwrap();
    assert_eq!((off.status, off.finished_at), (JobStatus::Done, Some(at(50))), "what is done stays done");
    assert_eq!(deliveries(&store).await.iter().map(|row| row.event_seq).collect::<Vec<_>>(), [2, 3]);
}

pub(crate) async fn a_job_that_is_called_off_goes_no_further<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &[]).await;
    let id = begin(&store, everything(), 9).await;
    for now in [60, 70] {
        let off = store.call_off(id, at(now)).await.unwrap().unwrap();
        assert_eq!((off.status, off.finished_at), (JobStatus::Cancelled, Some(at(60))));
    }
    assert!(store.step(step(id, 0, 2, Chunk::Replay(vec![(1, names(&["app"]))]))).await.unwrap().is_none());
    assert!(deliveries(&store).await.is_empty() && store.running().await.unwrap().is_empty());
}

pub(crate) async fn the_dead_are_due_again_and_what_is_not_dead_any_more_is_left_alone<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for (n, verdict) in [Verdict::Dead, Verdict::Delivered, Verdict::RetryAt(at(900)), Verdict::Dead].into_iter().enumerate() {
        fresh(&store, &n.to_string(), at(n as i64), &["app"]).await;
        attempt(&store, "app", at(n as i64), verdict).await;
    }
    let id = begin(&store, every_dead(), 4).await;
    let all = (1..=5).map(DeliveryId).collect();
    assert_eq!(store.step(step(id, 0, 4, Chunk::Retry(all))).await.unwrap(), Some(vec!["app".into()]));
    let again = claim(&store, "app", 9, at(50)).await;
    assert_eq!(claimed(&again), ["0", "3"]);
    assert!(again.deliveries.iter().all(|delivery| !delivery.replay && delivery.lease.attempt == 2 && delivery.failures == 0));
    let row = job(&store, id).await;
    assert_eq!((row.status, row.done, row.failed), (JobStatus::Done, 2, 0));
    for delivery in again.deliveries {
        assert!(store.finish(ended(delivery.lease, at(51), Verdict::Delivered)).await.unwrap());
    }
    let dead = EventFilter { status: Some(EventStatus::Dead), ..EventFilter::default() };
    assert!(store.events(dead, super::all()).await.unwrap().is_empty(), "what is delivered at last is dead no more");
}

pub(crate) async fn what_cannot_be_done_is_counted_and_the_rest_goes_on<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for n in 0..2 {
        fresh(&store, &n.to_string(), at(n), &["app"]).await;
        attempt(&store, "app", at(n), Verdict::Dead).await;
    }
    let _ = store.prune(Prune { bodies_before: at(1), ids_before: at(0), chunk: 9 }).await.unwrap();
    let id = begin(&store, everything(), 9).await;
    let chunk = Chunk::Replay(vec![(1, names(&["app"])), (2, names(&["app"])), (3, names(&["mail"]))]);
    let step = Step { failed: 4, ..step(id, 0, 5, chunk) };
    assert_eq!(store.step(step).await.unwrap(), Some(vec!["app".into()]), "what is not made wakes nobody");
    let row = job(&store, id).await;
    assert_eq!((row.status, row.done, row.failed), (JobStatus::Running, 1, 6));
    let retry = begin(&store, every_dead(), 2).await;
    assert!(store.step(self::step(retry, 0, 2, Chunk::Retry(vec![DeliveryId(1), DeliveryId(2)]))).await.unwrap().is_some());
    let row = job(&store, retry).await;
    assert_eq!((row.status, row.done, row.failed), (JobStatus::Done, 1, 1));
}

pub(crate) async fn jobs_that_run_are_bounded_and_so_are_those_that_have_ended<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let ids: Vec<_> = join_all((0..MOST_RUNNING).map(|_| begin(&store, everything(), 9))).await;
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), MOST_RUNNING);
    assert!(store.begin(new_job(everything(), 9)).await.unwrap().is_none());
    let _ = store.call_off(ids[5], at(1)).await.unwrap();
    assert!(store.begin(new_job(everything(), 9)).await.unwrap().is_some());
    assert!(store.begin(new_job(everything(), 9)).await.unwrap().is_none());
    let _ = store.call_off(ids[6], at(1)).await.unwrap();
    // Those have ended as soon as they have begun.
    join_all((0..ENDED_KEPT + 20).map(|_| begin(&store, everything(), 0))).await;
    let rows = store.jobs(page(Order::Newest, 5_000, None)).await.unwrap();
    let running = rows.iter().filter(|row| row.status == JobStatus::Running).count();
    assert_eq!((rows.len(), running), (ENDED_KEPT + 1 + MOST_RUNNING - 1, MOST_RUNNING - 1), "one more until the next");
    assert!(store.job(ids[5]).await.unwrap().is_none() && store.job(ids[0]).await.unwrap().is_some());
}
