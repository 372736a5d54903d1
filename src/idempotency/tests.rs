//! Decisions about requests with keys, on a real store and by a clock that stands still.

use bytes::Bytes;
use futures_util::future::join_all;

use super::*;
use crate::domain::{ManualClock, Silent};
use crate::store::sqlite::{Options, SqliteStore};

const KEPT_FOR: Duration = Duration::from_secs(3_600);

struct Bench {
    keys: Idempotency,
    clock: Arc<ManualClock>,
    store: SqliteStore,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self::within(tempfile::tempdir().unwrap(), Timestamp::from_secs(1_000_000))
    }

    fn within(folder: tempfile::TempDir, now: Timestamp) -> Self {
        let store = SqliteStore::open(&folder.path().join("test.db"), &Options::default(), Arc::new(Silent)).unwrap();
        let clock = Arc::new(ManualClock::at(now));
        let keys = Idempotency::new(Arc::new(store.clone()), Arc::clone(&clock) as _, KEPT_FOR);
        Self { keys, clock, store, folder }
    }

    /// The next process.
    async fn restarted(self) -> Self {
        self.store.close().await;
        Self::within(self.folder, self.clock.now())
    }

    async fn asks(&self, key: &str, request: &str) -> NextAction<Begun> {
        self.keys.begin("api", &read(key), fingerprint(request)).await.unwrap()
    }

    async fn begins(&self, key: &str, request: &str) -> Begun {
        match self.asks(key, request).await {
            NextAction::Start(begun) => begun,
            other => panic!("{}", name(&other)),
        }
    }
}

fn read(key: &str) -> Key {
    Key::read([key.as_bytes()].into_iter()).unwrap().unwrap()
}

fn fingerprint(request: &str) -> Fingerprint {
    Fingerprint::of(&[b"POST", request.as_bytes()])
}

fn name(next: &NextAction<Begun>) -> String {
    match next {
        NextAction::Start(_) => "start".to_owned(),
        NextAction::Replay(answer) => format!("replay {} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        NextAction::InFlight => "in flight".to_owned(),
        NextAction::Reused => "reused".to_owned(),
        NextAction::Lost => "lost".to_owned(),
    }
}

fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let headers = [("content-type", &b"text/plain"[..]), ("date", b"today"), ("location", b"/x")].into_iter().collect();
    Answer { status, headers, body: body.into() }
}

#[tokio::test]
async fn the_first_request_is_carried_out_and_later_ones_get_its_answer_also_from_the_next_process() {
    let bench = Bench::new();
    let begun = bench.begins("k", "a").await;
    assert_eq!(name(&bench.asks("k", "a").await), "in flight");
    assert_eq!(name(&bench.asks("k", "b").await), "reused");
    begun.end(answer(201, "made")).await.unwrap();
    let bench = bench.restarted().await;
    let NextAction::Replay(kept) = bench.asks("\"k\"", "a").await else { panic!("it is not known any more") };
    assert_eq!((kept.status, &kept.body[..]), (201, &b"made"[..]));
    assert_eq!(kept.headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["content-type", "location"]);
    assert_eq!(name(&bench.asks("k", "b").await), "reused");
    let other = bench.keys.begin("orders", &read("k"), fingerprint("b")).await.unwrap();
    assert_eq!(name(&other), "start", "another namespace has keys of its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_at_once_one_is_carried_out() {
    let bench = Arc::new(Bench::new());
    let asking = (0..50).map(|_| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move { bench.asks("k", "a").await })
    });
    let all: Vec<_> = join_all(asking).await.into_iter().map(Result::unwrap).collect();
    let mut names: Vec<_> = all.iter().map(name).collect();
    names.sort();
    assert_eq!((names.iter().filter(|name| *name == "in flight").count(), names[49].as_str()), (49, "start"));
}

#[tokio::test]
async fn an_answer_that_asks_to_try_again_is_not_kept() {
    let bench = Bench::new();
    for status in [500, 502, 503, 504, 429, 401] {
        bench.begins("k", "a").await.end(answer(status, "")).await.unwrap();
    }
    let headers = [("retry-after", &b"5"[..])].into_iter().collect();
    bench.begins("k", "a").await.end(Answer { headers, ..answer(409, "") }).await.unwrap();
    bench.begins("k", "b").await.end(answer(409, "no")).await.unwrap();
    assert_eq!(name(&bench.asks("k", "b").await), "replay 409 no");
}

#[tokio::test]
async fn an_answer_beyond_the_bound_is_not_kept_and_nothing_is_done_twice() {
    let bench = Bench::new();
    bench.begins("most", "a").await.end(answer(200, vec![b'x'; MAX_BODY])).await.unwrap();
    bench.begins("more", "a").await.end(answer(200, vec![b'x'; MAX_BODY + 1])).await.unwrap();
    assert!(name(&bench.asks("most", "a").await).starts_with("replay 200 xxx"));
    assert_eq!(name(&bench.asks("more", "a").await), "lost");
}

#[tokio::test]
async fn what_was_given_up_without_an_end_can_begin_again() {
    let bench = Bench::new();
    let begun = bench.begins("k", "a").await;
    let asking = tokio::spawn(async move {
        let _begun = begun;
        panic!("a test's panic");
    });
    assert!(asking.await.unwrap_err().is_panic());
    drop(bench.begins("k", "b").await);
    let _begun = bench.begins("k", "c").await;
    let bench = bench.restarted().await;
    bench.begins("k", "d").await.end(answer(200, "d")).await.unwrap();
}

#[tokio::test]
async fn a_key_is_known_as_long_as_it_was_said_and_then_forgotten() {
    let bench = Bench::new();
    bench.begins("k", "a").await.end(answer(200, "first")).await.unwrap();
    bench.clock.advance(KEPT_FOR - Duration::from_millis(1));
    assert_eq!(name(&bench.asks("k", "a").await), "replay 200 first");
    assert_eq!(bench.keys.prune(bench.clock.now(), 9).await.unwrap(), 0);
    bench.clock.advance(Duration::from_millis(1));
    bench.begins("k", "b").await.end(answer(200, "second")).await.unwrap();
    assert_eq!(name(&bench.asks("k", "b").await), "replay 200 second");
    bench.clock.advance(KEPT_FOR);
    assert_eq!(bench.keys.prune(bench.clock.now(), 9).await.unwrap(), 1);
}

#[test]
fn no_two_requests_have_the_same_fingerprint() {
    let parts: [&[&[u8]]; 6] = [&[b"ab", b"c"], &[b"a", b"bc"], &[b"abc", b""], &[b"", b"abc"], &[b"abc"], &[b"abc", b"", b""]];
    let distinct: std::collections::BTreeSet<_> = parts.iter().map(|parts| Fingerprint::of(parts).0).collect();
    assert_eq!(distinct.len(), parts.len());
}
