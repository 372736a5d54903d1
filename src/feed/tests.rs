use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::domain::{Code, EventKey, ManualClock, Timestamp};

fn feed(second: i64) -> Arc<Feed> {
    Arc::new(Feed::new(Arc::new(ManualClock::at(Timestamp::from_secs(second)))))
}

fn happen(feed: &Feed, id: usize) {
    let event = EventKey { source: "hub".into(), event_id: id.to_string().into() };
    feed.happened(&Happening::Accepted { event: &event, event_type: "push", deliveries: 1 });
}

fn id(entry: &Entry) -> &str {
    let What::Event { event_id, .. } = &entry.what else { panic!("{entry:?}") };
    event_id
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_what_happens_from_its_position_on_in_order() {
    let feed = feed(1);
    happen(&feed, 0);
    let mut now = feed.watch(feed.end()).unwrap();
    happen(&feed, 1);
    happen(&feed, 2);
    let (first, behind) = now.next().await.unwrap();
    assert_eq!((id(&first), id(&now.next().await.unwrap().0)), ("1", "2"));
    let mut again = feed.watch(behind.to_string().parse().unwrap()).unwrap();
    assert_eq!(id(&again.next().await.unwrap().0), "2");
    let waiting = tokio::spawn(async move { id(&now.next().await.unwrap().0).to_owned() });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waiting.is_finished());
    happen(&feed, 3);
    assert_eq!(waiting.await.unwrap(), "3");
}

#[tokio::test]
async fn who_is_too_slow_or_comes_from_another_process_has_lost_its_place_and_can_go_on() {
    let feed = feed(1);
    let mut slow = feed.watch(feed.end()).unwrap();
    (0..=KEPT).for_each(|n| happen(&feed, n));
    assert!(slow.is_lost());
    assert_eq!(slow.next().await.unwrap_err(), Lost);
    slow.skip();
    happen(&feed, 9_999);
    assert_eq!(id(&slow.next().await.unwrap().0), "9999");
    assert_eq!(feed.lock().entries.len(), KEPT, "it is bounded");
    let mut foreign = feed.watch(super::Position { era: 7, number: 0, at: Timestamp::from_secs(0) }).unwrap();
    assert!(foreign.is_lost() && foreign.next().await.is_err());
    let beyond = Position { number: 1 << 40, ..feed.end() };
    assert!(feed.watch(beyond).unwrap().is_lost(), "a number that was never given out");
}

#[test]
fn what_floods_is_not_told_and_what_is_told_has_a_kind() {
    let feed = feed(1);
    let refused = |quiet| feed.happened(&Happening::Refused { source: "hub", code: Code::SignatureMismatch, diagnosis: "d", quiet });
    refused(true);
    refused(false);
    let ring = feed.lock();
    assert_eq!(ring.entries.iter().map(|entry| (entry.what.kind(), entry.what.source())).collect::<Vec<_>>(), [(Kind::Rejection, "hub")]);
    assert_eq!(serde_json::to_value(&*ring.entries[0]).unwrap()["code"], "signature-mismatch");
}

#[test]
fn watchers_are_bounded() {
    let feed = feed(1);
    let mut watchers: Vec<_> = (0..MOST_WATCHERS).map(|_| feed.watch(feed.end()).unwrap()).collect();
    assert!(feed.watch(feed.end()).is_none());
    watchers.pop();
    assert!(feed.watch(feed.end()).is_some());
}

proptest! {
    #[test]
    fn a_position_reads_back_and_foreign_text_is_an_error_or_a_position(text in "[0-9a-f-]{0,40}", era: u64, number: u64, at in 0i64..) {
        let position = Position { era, number, at: Timestamp::from_millis(at) };
        prop_assert_eq!(position.to_string().parse::<Position>(), Ok(position));
        let _ = text.parse::<Position>();
    }
}
