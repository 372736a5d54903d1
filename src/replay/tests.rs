//! How jobs go on: how fast, through trouble, and side by side.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::testing::Bench;
use super::*;
use crate::domain::{JobStatus, Timestamp};
use crate::store::{DeliveryFilter, EventFilter};

fn everything() -> Work {
    Work::Replay { filter: EventFilter::default(), destinations: None }
}

/// What was done of a job, in order, with when.
fn done(bench: &Bench, job: i64) -> Vec<(u64, i64)> {
    bench.fake.state().done.iter().filter(|(_, id, _)| *id == job).map(|(at, _, number)| (*at, *number)).collect()
}

fn numbers(done: &[(u64, i64)]) -> Vec<i64> {
    done.iter().map(|(_, number)| *number).collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_spreads_its_events_evenly_over_time() {
    for (rate, events) in [(100, 250), (1, 4), (7, 21), (1_000, 2_000), (10_000, 20_000)] {
        let bench = Bench::new(events);
        let _running = bench.run();
        let job = bench.replays.begin(everything(), rate, None).await.unwrap();
        assert_eq!((job.total, job.rate, job.status), (events as u64, rate, "running"));
        bench.ended(1).await;
        let done = done(&bench, 1);
        assert_eq!(numbers(&done), (1..=events).collect::<Vec<_>>());
        for (at, _) in &done {
            let within = done.iter().filter(|(other, _)| other >= at && *other < at + 1_000).count();
            assert!(within <= rate as usize + rate.div_ceil(10) as usize, "{within} within a second, at {rate} a second");
        }
        let ideal = (events as u64 * 1_000) / u64::from(rate);
        let took = done.last().unwrap().0;
        assert!(took >= ideal * 8 / 10 - 1_000 / u64::from(rate) && took <= ideal + ideal / 20 + 50, "{took} ms at {rate} a second");
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_wakes_the_destinations_and_tells_of_its_beginning_and_its_end() {
    let bench = Bench::new(3);
    let _running = bench.run();
    // Nothing has been looked for since the last look: it begins at once all the same.
    sleep(Duration::from_millis(700)).await;
    bench.fake.state().rows.insert(2, Some("{\"some\":2}"));
    bench.replays.begin(everything(), 100, None).await.unwrap();
    let job = bench.ended(1).await;
    assert_eq!((job.done, job.failed, job.finished_at), (3, 0, Some(Timestamp::from_millis(1_000_000_700))));
    assert_eq!(done(&bench, 1).iter().map(|(at, _)| *at).max(), Some(700));
    let state = bench.fake.state();
    assert_eq!(state.woken.iter().map(|name| &**name).collect::<Vec<_>>(), ["app", "app", "some", "app"]);
    assert_eq!(state.told, ["job 1 running: 0 0", "job 1 done: 3 0"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_any_more_and_what_nobody_takes_is_counted_as_failed() {
    let bench = Bench::new(4);
    bench.fake.state().rows.extend([(2, None), (3, Some("{\"nobody\":1}")), (4, Some("{\"some\":\"x\"}"))]);
    let _running = bench.run();
    bench.replays.begin(everything(), 100, None).await.unwrap();
    let job = bench.ended(1).await;
    assert_eq!((job.total, job.done, job.failed), (4, 2, 2));
    assert_eq!(numbers(&done(&bench, 1)), [1, 4]);
    assert!(bench.fake.state().told.contains(&"filter failed, quiet: true".to_owned()));
    let named = Work::Replay { filter: EventFilter::default(), destinations: Some(vec!["some".into()]) };
    bench.replays.begin(named, 100, None).await.unwrap();
    let job = bench.ended(2).await;
    assert_eq!((job.done, job.failed), (3, 1), "whether or not it would take them");
}

#[tokio::test(start_paused = true)]
async fn a_job_waits_while_the_store_fails_and_goes_on() {
    let bench = Bench::new(30);
    let _running = bench.run();
    bench.replays.begin(everything(), 100, None).await.unwrap();
    while bench.fake.state().steps == 0 {
        sleep(Duration::from_millis(1)).await;
    }
    {
        let mut state = bench.fake.state();
        (state.failing_steps, state.failing_questions) = (2, 3);
    }
    let job = bench.ended(1).await;
    let done = done(&bench, 1);
    assert_eq!((numbers(&done), job.done), ((1..=30).collect(), 30));
    let pause = done.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
    assert!((3_000..=6_500).contains(&pause), "it neither gives up nor runs hot: {pause} ms");
    assert!(bench.fake.state().steps < 6);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_called_off_stops_within_a_chunk() {
    let bench = Bench::new(1_000);
    let _running = bench.run();
    bench.replays.begin(everything(), 100, None).await.unwrap();
    sleep(Duration::from_millis(1_050)).await;
    for _ in 0..2 {
        assert_eq!(bench.replays.call_off(1).await.unwrap().unwrap().status, "cancelled");
        sleep(Duration::from_millis(10)).await;
    }
    let before = done(&bench, 1).len();
    assert!((100..=120).contains(&before), "{before}");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(done(&bench, 1).len(), before);
    assert_eq!(bench.fake.state().told, ["job 1 running: 0 0", &format!("job 1 cancelled: {before} 0")]);
    assert!(bench.replays.call_off(2).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn jobs_go_on_side_by_side_each_at_its_own_rate() {
    let bench = Bench::new(50);
    let _running = bench.run();
    for rate in [10, 50, 100] {
        bench.replays.begin(everything(), rate, None).await.unwrap();
    }
    for (id, least, most) in [(3, 350, 520), (2, 800, 1_020), (1, 4_800, 5_020)] {
        bench.ended(id).await;
        let took = done(&bench, id).last().unwrap().0;
        assert!((least..=most).contains(&took), "job {id}: {took} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn events_that_are_slow_to_read_hold_up_no_other_job() {
    let bench = Bench::new(1_000);
    bench.fake.state().reading = Duration::from_millis(60);
    let _running = bench.run();
    bench.replays.begin(everything(), 1_000, None).await.unwrap();
    let begun = Instant::now();
    bench.replays.begin(Work::Retry { filter: DeliveryFilter::default() }, 10_000, None).await.unwrap();
    bench.ended(2).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(bench.fake.state().jobs[0].status, JobStatus::Running);
}

#[tokio::test(start_paused = true)]
async fn two_processes_do_a_job_together_at_its_rate_and_nothing_twice() {
    let bench = Bench::new(200);
    let another = bench.another();
    let _running = (bench.run(), Bench::started(&another));
    bench.replays.begin(everything(), 100, None).await.unwrap();
    bench.ended(1).await;
    let done = done(&bench, 1);
    assert_eq!(numbers(&done), (1..=200).collect::<Vec<_>>());
    assert!(done.last().unwrap().0 >= 1_800, "twice as fast: {:?}", done.last());
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_stopped_and_does_not_make_up_for_the_time() {
    let bench = Bench::new(100);
    let running = bench.run();
    bench.replays.begin(everything(), 10, None).await.unwrap();
    sleep(Duration::from_millis(2_050)).await;
    drop(running);
    sleep(Duration::from_secs(3_600)).await;
    assert_eq!(done(&bench, 1).len(), 21);
    let _running = Bench::started(&bench.another());
    bench.ended(1).await;
    let done = done(&bench, 1);
    assert_eq!(numbers(&done), (1..=100).collect::<Vec<_>>());
    assert!(done.last().unwrap().0 - done[21].0 >= 7_700, "{done:?}");
}

#[tokio::test(start_paused = true)]
async fn what_matches_nowhere_near_is_looked_for_part_by_part() {
    let bench = Bench::new(0);
    bench.fake.state().rows.extend([(70_000, Some("{}")), (99_999, Some("{}"))]);
    bench.fake.state().window = 1_000;
    let _running = bench.run();
    assert_eq!(bench.replays.begin(everything(), 100, None).await.unwrap().total, 2);
    let job = bench.ended(1).await;
    assert_eq!((job.done, numbers(&done(&bench, 1))), (2, vec![70_000, 99_999]));
    assert!(bench.fake.state().steps <= 3, "nothing is written for parts without any");
}

#[tokio::test(start_paused = true)]
async fn dead_deliveries_are_retried_by_the_same_kind_of_job() {
    let bench = Bench::new(25);
    let _running = bench.run();
    let job = bench.replays.begin(Work::Retry { filter: DeliveryFilter::default() }, 100, None).await.unwrap();
    assert_eq!((job.kind, job.total), ("retry", 25));
    bench.ended(1).await;
    assert_eq!(numbers(&done(&bench, 1)), (1..=25).collect::<Vec<_>>());
    assert!(bench.fake.state().woken.iter().all(|name| &**name == "retried"));
}

#[tokio::test]
async fn one_event_is_replayed_to_those_that_take_it_or_to_those_that_are_named() {
    let bench = Bench::new(2);
    bench.fake.state().rows.extend([(2, Some("{\"nobody\":1}")), (3, None)]);
    let key = |id: &str| EventKey { source: "hub".into(), event_id: id.into() };
    let names = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect::<Vec<Arc<str>>>();
    let made = bench.replays.one(&key("1"), None, None).await.unwrap();
    assert_eq!(made.iter().map(|delivery| &*delivery.destination).collect::<Vec<_>>(), ["app"]);
    let made = bench.replays.one(&key("2"), Some(&names(&["some", "some"])), None).await.unwrap();
    assert_eq!(made.iter().map(|delivery| &*delivery.destination).collect::<Vec<_>>(), ["some"]);
    assert_eq!(bench.fake.state().woken.iter().map(|name| &**name).collect::<Vec<_>>(), ["app", "some"]);
    assert_eq!(bench.fake.state().told, ["replayed 1", "replayed 1"]);
    assert!(matches!(bench.replays.one(&key("2"), None, None).await, Err(ReplayError::Unrouted)));
    assert!(matches!(bench.replays.one(&key("3"), None, None).await, Err(ReplayError::Gone)));
    assert!(matches!(bench.replays.one(&key("4"), None, None).await, Err(ReplayError::UnknownEvent)));
    assert!(matches!(bench.replays.one(&key("1"), Some(&[]), None).await, Err(ReplayError::NoDestinations)));
    let unknown = bench.replays.one(&key("1"), Some(&names(&["app", "ap"])), None).await;
    assert!(matches!(unknown, Err(ReplayError::UnknownDestination { name, known }) if name == "ap" && known.len() == 2));
    let job = Work::Replay { filter: EventFilter::default(), destinations: Some(names(&["nowhere"])) };
    assert!(matches!(bench.replays.begin(job, 1, None).await, Err(ReplayError::UnknownDestination { .. })));
    assert!(bench.fake.state().jobs.is_empty());
}
