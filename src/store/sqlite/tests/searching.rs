//! Looking for words: answers are the same whatever of them is indexed, and what is erased leaves nothing behind.

use std::collections::BTreeMap;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::domain::{EventStatus, VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, fresh, key, names, page, parts};
use crate::store::sqlite::find;
use crate::store::sqlite::search::testing;
use crate::store::{Control as _, EventFilter, EventRow, Found, History as _, Inbox as _, Order, Page, Prune, Sought};

const VOCABULARY: [&str; 6] = ["apple", "plum", "applet", "Pear_tree", "1999", "z\u{fc}rich"];
const BODIES: Duration = Duration::from_secs(30 * 24 * 3_600);

fn q(text: &str) -> EventFilter {
    EventFilter { q: Some(Sought::parse(text).unwrap()), ..EventFilter::default() }
}

/// Some words of the vocabulary, by their bits.
fn body(bits: usize) -> String {
    let words = VOCABULARY.iter().enumerate().filter(|(place, _)| bits >> place & 1 == 1);
    serde_json::json!({ "note": words.map(|(_, word)| *word).collect::<Vec<_>>().join(" ") }).to_string()
}

async fn record(store: &SqliteStore, source: &str, event_type: &str, id: impl Into<String>, second: i64, body: String) {
    let id = &id.into();
    let event = VerifiedParts { event_type: event_type.to_owned(), body: Bytes::from(body), ..parts(source, id, at(second)) };
    assert!(store.record(VerifiedEvent::attest(event), names(&["app"])).await.unwrap().is_fresh());
}

/// All pages, one after the other, and how many there were.
fn pages(conn: &Connection, filter: &EventFilter, limit: usize, order: Order) -> (Vec<i64>, usize) {
    let (mut after, mut seqs, mut count) = (None, Vec::new(), 0);
    loop {
        let Found { rows, reached } = find::find(conn, filter, &[], Page { limit, after, order }).unwrap();
        seqs.extend(rows.iter().map(|row: &EventRow| row.seq));
        count += 1;
        after = reached.or(rows.last().filter(|_| rows.len() == limit).map(|row| row.seq));
        if after.is_none() {
            return (seqs, count);
        }
    }
}

/// Events of two sources and three types over three days, without words, and what is in them.
async fn filled(folder: &InAFolder, events: usize) -> BTreeMap<i64, (String, String, String, i64)> {
    let mut random = StdRng::seed_from_u64(7);
    let store = folder.open().await;
    let (mut all, mut recorded) = (BTreeMap::new(), Vec::new());
    for n in 0..events {
        let source = ["hub", "pay"][random.random_range(0..2)];
        let event_type = ["push", "apple.push", "plum"][random.random_range(0..3)];
        let (second, body) = ((n * 3 * 86_400 / events) as i64, body(random.random_range(0..64)));
        let id = format!("evt_{n}");
        recorded.push(record(&store, source, event_type, id.clone(), second, body.clone()));
        all.insert(n as i64 + 1, (source.to_owned(), event_type.to_owned(), format!("{id} {event_type} {body}"), second));
    }
    futures_util::future::join_all(recorded).await;
    store.close().await;
    testing::forget(&folder.path());
    all
}

#[tokio::test]
async fn answers_are_the_same_whatever_is_indexed() {
    let folder = InAFolder::new();
    let all = filled(&folder, 1_000).await;
    for steps in [0, 2, usize::MAX] {
        testing::fill(&folder.path(), steps, BODIES);
        let conn = testing::reader(&folder.path());
        assert_eq!(
            testing::count_parts(&folder.path()),
            if steps == 0 {
                0
            } else if steps == 2 {
                2
            } else {
                3
            },
            "a day each"
        );
        for text in
            ["apple", "appl*", "APPLE plum", "pear", "pear_tree", "1999 z\u{fc}rich", "evt_77", "nowhere", "note apple 1999 pear", "!"]
        {
            let sought = Sought::parse(text).unwrap();
            for narrow in [
                q(text),
                EventFilter { source: Some("pay".to_owned()), ..q(text) },
                EventFilter { source: Some("hub".to_owned()), event_type: Some("plum".to_owned()), ..q(text) },
                EventFilter { event_type: Some("unheard of".to_owned()), ..q(text) },
                EventFilter { since: Some(at(90_000)), until: Some(at(200_000)), ..q(text) },
                EventFilter { status: Some(EventStatus::Pending), ..q(text) },
                EventFilter { status: Some(EventStatus::Dead), ..q(text) },
            ] {
                let matches = |(source, event_type, text, second): &(String, String, String, i64)| {
                    narrow.source.as_ref().is_none_or(|name| name == source)
                        && narrow.event_type.as_ref().is_none_or(|name| name == event_type)
                        && narrow.since.is_none_or(|since| at(*second) >= since)
                        && narrow.until.is_none_or(|until| at(*second) < until)
                        && narrow.status != Some(EventStatus::Dead)
                        && sought.is_in(&testing::plain_words(text))
                };
                let expected: Vec<_> = all.iter().filter(|(_, event)| matches(event)).map(|(seq, _)| *seq).collect();
                for limit in [7, 1_000] {
                    let (oldest, _) = pages(&conn, &narrow, limit, Order::Oldest);
                    assert_eq!(oldest, expected, "{narrow:?}, {steps} steps, pages of {limit}");
                    let (mut newest, _) = pages(&conn, &narrow, limit, Order::Newest);
                    newest.reverse();
                    assert_eq!(newest, expected, "{narrow:?}, {steps} steps, pages of {limit}, newest first");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_question_does_a_bounded_amount_of_work_and_goes_on_from_there() {
    let folder = InAFolder::new();
    filled(&folder, 700).await;
    testing::fill(&folder.path(), 0, BODIES);
    let conn = testing::reader(&folder.path());
    let Found { rows, reached } = find::find(&conn, &q("nowhere"), &[], page(Order::Newest, 50, None)).unwrap();
    assert!(rows.is_empty());
    assert_eq!(reached, Some(401), "300 are looked through");
    assert_eq!(pages(&conn, &q("nowhere"), 50, Order::Newest), (vec![], 3));
    testing::fill(&folder.path(), usize::MAX, BODIES);
    assert_eq!(pages(&testing::reader(&folder.path()), &q("nowhere"), 50, Order::Newest), (vec![], 1));
}

#[tokio::test]
async fn a_word_is_found_in_an_event_of_that_id() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    record(&store, "hub", "push", "evt", 0, body(1)).await;
    for (text, found) in [("apple", 1), ("plum", 0)] {
        let filter = EventFilter { event_id: Some("evt".to_owned()), ..q(text) };
        assert_eq!(store.events(filter, contract::all()).await.unwrap().len(), found, "{text}");
    }
}

/// Waits until the thread has come to the last event.
async fn caught_up(folder: &InAFolder) {
    let begun = std::time::Instant::now();
    while !testing::is_caught_up(&folder.path()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the words are never taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn holds(folder: &InAFolder, text: &str) -> Vec<String> {
    let holds = |name: &String| {
        let bytes = std::fs::read(folder.path().with_file_name(name)).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    folder.files().into_iter().filter(holds).collect()
}

#[tokio::test]
async fn what_is_erased_leaves_no_word_behind() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    // One among many: terms are kept by what they share with the one before, and pages are copied while they are merged.
    let secret = r#"{"a":"qqxylophonist","b":"apple qxmarmalade"}"#;
    let content = |n: i64| if n == 100 { ("secret".to_owned(), secret.to_owned()) } else { (format!("evt{n}"), body(n as usize)) };
    let all = (0..3_000).map(|n| record(&store, "hub", "push", content(n).0, n, content(n).1));
    futures_util::future::join_all(all).await;
    caught_up(&folder).await;
    assert!(holds(&folder, "qqxylophonist").contains(&"store.db-search-wal".to_owned()), "the words are somewhere before");
    assert_eq!(store.events(q("qqxylophonist qxmarmalade"), contract::all()).await.unwrap().len(), 1);
    let all = || Page { limit: 9_999, ..contract::all() };
    let apples = store.events(q("apple"), all()).await.unwrap().len();
    for _ in 0..2 {
        store.erase(key("hub", "secret"), at(9)).await.unwrap().unwrap();
        assert!(store.events(q("qqxylophonist"), contract::all()).await.unwrap().is_empty());
        assert_eq!(store.events(q("apple"), all()).await.unwrap().len(), apples - 1);
        // While others go on, too.
        for word in ["qqxylophonist", "xylophonist", "lophonist", "xmarmalade", "marmalade"] {
            assert_eq!(holds(&folder, word), Vec::<String>::new(), "{word}");
        }
    }
    store.close().await;
    let (_, terms) = testing::terms(&folder.path());
    assert!(terms.iter().all(|term| !term.contains("xylo") && !term.contains("marma")), "{terms:?}");
    assert!(terms.iter().any(|term| term == "apple"));
}

#[tokio::test]
async fn what_is_erased_before_its_words_were_taken_gets_none() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    fresh(&store, "evt", at(0), &[]).await;
    store.close().await;
    testing::forget(&folder.path());
    assert!(testing::erase(&folder.path(), 1));
    // The process that erased died here: the event is still whole.
    testing::fill(&folder.path(), usize::MAX, BODIES);
    assert_eq!(testing::terms(&folder.path()).1, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_erased_goes_from_what_is_on_its_way_out_as_well() {
    let folder = InAFolder::new();
    filled(&folder, 10).await;
    testing::fill(&folder.path(), usize::MAX, BODIES);
    testing::run(&folder.path(), "UPDATE part SET is_going = 1");
    assert!(testing::erase(&folder.path(), 5));
    assert!(testing::terms(&folder.path()).1.iter().all(|term| term != "4"), "the fifth is evt_4");
}

#[tokio::test]
async fn what_is_erased_after_it_was_pruned_has_no_words_either() {
    let folder = InAFolder::new();
    filled(&folder, 10).await;
    testing::fill(&folder.path(), usize::MAX, BODIES);
    let before = testing::terms(&folder.path()).1;
    folder.connect().execute("DELETE FROM payload WHERE seq = 5", ()).unwrap();
    assert!(testing::erase(&folder.path(), 5));
    let after = testing::terms(&folder.path()).1;
    assert!(before.contains(&"4".to_owned()) && !after.contains(&"4".to_owned()), "the fifth is evt_4");
    assert!(["3", "note"].iter().all(|word| after.contains(&(*word).to_owned())), "the others stay: {after:?}");
}

#[tokio::test]
async fn whoever_cannot_read_the_database_cannot_read_its_words() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = InAFolder::new();
    fresh(&folder.open().await, "evt", at(0), &[]).await;
    testing::forget(&folder.path());
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    let store = folder.open().await;
    caught_up(&folder).await;
    for name in folder.files().iter().filter(|name| name.contains("-search")) {
        let mode = std::fs::metadata(folder.path().with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    store.close().await;
}

#[tokio::test]
async fn what_is_old_goes_also_while_there_is_something_new() {
    let folder = InAFolder::new();
    filled(&folder, 600).await;
    testing::fill(&folder.path(), 2, BODIES);
    folder.connect().execute("DELETE FROM payload WHERE seq <= 200", ()).unwrap();
    assert_eq!(testing::count_parts(&folder.path()), 3);
    testing::step(&folder.path());
    assert!(testing::is_caught_up(&folder.path()), "it took the last few");
    assert_eq!(testing::count_parts(&folder.path()), 2, "the first day goes");
}

#[tokio::test]
async fn a_question_for_a_status_does_a_bounded_amount_of_work_too() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    let many = (0..5_300).map(|n| record(&store, if n == 0 { "rare" } else { "hub" }, "push", format!("evt{n}"), n, body(0)));
    futures_util::future::join_all(many).await;
    let filter = EventFilter { source: Some("rare".to_owned()), status: Some(EventStatus::Pending), ..EventFilter::default() };
    let first = store.find_events(filter.clone(), page(Order::Newest, 50, None)).await.unwrap();
    assert!(first.rows.is_empty() && first.reached.is_some_and(|reached| reached > 1), "{first:?}");
    assert_eq!(store.events(filter, page(Order::Newest, 50, None)).await.unwrap().len(), 1);
    store.close().await;
}

#[tokio::test]
async fn what_nobody_can_find_any_more_is_dropped_part_by_part() {
    let folder = InAFolder::new();
    filled(&folder, 600).await;
    testing::fill(&folder.path(), usize::MAX, BODIES);
    let store = folder.open().await;
    store.write(Run("UPDATE delivery SET state = 1")).await.unwrap();
    let prune = Prune { bodies_before: at(86_400 * 2), ids_before: at(0), chunk: 1_000 };
    while !store.prune(prune).await.unwrap().nothing() {}
    assert_eq!(store.events(EventFilter { until: Some(at(86_400 * 2)), ..q("note") }, contract::all()).await.unwrap().len(), 0);
    let left = store.events(q("note"), contract::all()).await.unwrap().len();
    assert_eq!(left, 200);
    store.close().await;
    testing::sweep(&folder.path());
    assert_eq!(testing::count_parts(&folder.path()), 1);
    assert_eq!(testing::terms(&folder.path()).0, 1, "no table is left behind");
    assert_eq!(pages(&testing::reader(&folder.path()), &q("note"), 1_000, Order::Oldest).0.len(), 200);
}

#[tokio::test]
async fn sources_that_are_not_searched_have_no_words() {
    let folder = InAFolder::new();
    let options = Options { unsearched: vec!["pay".to_owned()], ..options() };
    let (store, _) = folder.open_with(&options);
    record(&store, "hub", "push", "1", 0, body(1)).await;
    record(&store, "pay", "push", "2", 0, body(1)).await;
    let found = async || store.events(q("apple"), contract::all()).await.unwrap().len();
    assert_eq!(found().await, 1, "looked through");
    caught_up(&folder).await;
    assert_eq!(found().await, 1, "indexed");
    store.close().await;
    assert!(!testing::terms(&folder.path()).1.contains(&"2".to_owned()));
}

#[tokio::test]
async fn words_of_another_database_or_by_other_rules_or_damaged_are_taken_anew() {
    let folder = InAFolder::new();
    filled(&folder, 300).await;
    testing::fill(&folder.path(), usize::MAX, BODIES);
    type Spoil = fn(&InAFolder);
    let spoil: [(&str, Spoil); 4] = [
        ("an older database", |folder| testing::run(&folder.path(), "UPDATE reached SET seq = seq + 1")),
        ("another database", |folder| testing::run(&folder.path(), "UPDATE reached SET received_at = 1")),
        ("other rules", |folder| testing::run(&folder.path(), "UPDATE reached SET rules = 99")),
        ("damaged", |folder| std::fs::write(folder.path().with_file_name("store.db-search"), vec![b'x'; 9_999]).unwrap()),
    ];
    for (what, spoil) in spoil {
        spoil(&folder);
        let reading = SqliteStore::open_read_only(&folder.path()).unwrap();
        assert_eq!(reading.events(q("note"), contract::all()).await.unwrap().len(), 300, "{what}: looked through");
        reading.close().await;
        let store = folder.open().await;
        assert_eq!(store.events(q("note"), contract::all()).await.unwrap().len(), 300, "{what}");
        caught_up(&folder).await;
        store.close().await;
        testing::sweep(&folder.path());
        assert_eq!(testing::count_parts(&folder.path()), 3, "{what}");
    }
}

#[tokio::test]
async fn events_are_looked_up_by_their_numbers_and_no_part_is_scanned() {
    let folder = InAFolder::new();
    filled(&folder, 300).await;
    testing::fill(&folder.path(), usize::MAX, BODIES);
    let conn = testing::reader(&folder.path());
    let filter = EventFilter { source: Some("hub".to_owned()), event_type: Some("plum".to_owned()), since: Some(at(1)), ..q("apple") };
    for sql in testing::queries(&conn, &filter) {
        let plan: Vec<String> = {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
            statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap().map(Result::unwrap).collect()
        };
        let reads = plan.iter().filter(|line| line.contains(" e ") || line.contains(" e\n") || line.contains("words_"));
        for line in reads {
            assert!(line.contains("SEARCH e USING INTEGER PRIMARY KEY") || line.contains("VIRTUAL TABLE INDEX"), "{plan:#?}");
        }
        assert!(!plan.iter().any(|line| line.contains("SCAN delivery")), "{plan:#?}");
        assert!(!plan.iter().any(|line| line.contains("TEMP B-TREE FOR ORDER BY")), "{plan:#?}");
    }
}
