//! Requests that come with a key.

use bytes::Bytes;
use futures_util::future::join_all;

use super::*;
use crate::store::{Answer, EventFilter, Idempotency, KeyClaim, KeyId, KeyedRequest, NewJob, NextAction, Work};

/// A request of that content under that key, at a second; its answer is kept for 100 s.
fn asked(key: u8, content: u8, second: i64) -> KeyedRequest {
    let (key, fingerprint) = (KeyId([key; 16]), [content; 32]);
    KeyedRequest { key, fingerprint, now: at(second), expires_at: at(second + 100), alone: true }
}

/// As [`asked`], while something else in this process works under the key.
fn beside(key: u8, content: u8, second: i64) -> KeyedRequest {
    KeyedRequest { alone: false, ..asked(key, content, second) }
}

fn answer(body: &'static [u8]) -> Answer {
    let headers = [("content-type", &b"application/json"[..]), ("location", b"\xff/x")].into_iter().collect();
    Answer { status: 201, headers, body: Bytes::from_static(body) }
}

async fn claimed(store: &impl Idempotency, request: KeyedRequest) -> KeyClaim {
    match store.claim_key(request).await.unwrap() {
        NextAction::Start(claim) => claim,
        other => panic!("the key is not free: {other:?}"),
    }
}

async fn next(store: &impl Idempotency, request: KeyedRequest) -> NextAction {
    store.claim_key(request).await.unwrap()
}

pub(crate) async fn an_answer_comes_back_as_it_was_given_also_after_a_crash<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let large = Answer { body: vec![7; 100_000].into(), ..answer(b"") };
    for (key, kept) in [(1, answer(b"\0\xff{}")), (2, answer(b"")), (3, large.clone())] {
        let claim = claimed(&store, asked(key, 0, 0)).await;
        assert!(store.complete(claim, Some(kept.clone())).await.unwrap());
        assert_eq!(next(&store, asked(key, 0, 1)).await, NextAction::Replay(kept));
    }
    harness.crash(store).await;
    let store = harness.open().await;
    assert_eq!(next(&store, asked(1, 0, 2)).await, NextAction::Replay(answer(b"\0\xff{}")));
    assert_eq!(next(&store, asked(3, 0, 2)).await, NextAction::Replay(large));
}

pub(crate) async fn of_many_at_once_one_begins<H: Harness>() {
    let harness = H::new();
    let (store, other) = (harness.open().await, harness.open().await);
    let stores = (0..50).map(|n| if n % 2 == 0 { &store } else { &other });
    let all = join_all(stores.map(|store| store.claim_key(beside(1, 0, 0)))).await;
    let begun = all.iter().filter(|next| matches!(next, Ok(NextAction::Start(_)))).count();
    let in_flight = all.iter().filter(|next| matches!(next, Ok(NextAction::InFlight))).count();
    assert_eq!((begun, in_flight), (1, 49));
}

pub(crate) async fn a_key_is_for_one_request_alone<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let claim = claimed(&store, asked(1, 1, 0)).await;
    assert_eq!(next(&store, beside(1, 2, 0)).await, NextAction::Reused, "in flight");
    assert!(store.complete(claim, Some(answer(b"one"))).await.unwrap());
    assert_eq!(next(&store, asked(1, 2, 0)).await, NextAction::Reused);
    assert_eq!(next(&store, asked(1, 1, 0)).await, NextAction::Replay(answer(b"one")));
    let _other = claimed(&store, asked(2, 2, 0)).await;
}

pub(crate) async fn a_claim_that_is_given_up_leaves_the_key_free<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let first = claimed(&store, asked(1, 1, 0)).await;
    store.abandon(first).await.unwrap();
    let second = claimed(&store, beside(1, 2, 0)).await;
    assert!(!store.complete(first, Some(answer(b"late"))).await.unwrap());
    store.abandon(first).await.unwrap();
    assert_eq!(next(&store, beside(1, 2, 0)).await, NextAction::InFlight, "what is late changes nothing");
    let third = claimed(&store, asked(1, 3, 0)).await;
    assert!(!store.complete(second, Some(answer(b"late"))).await.unwrap(), "nobody of this process held it any more");
    assert!(store.complete(third, Some(answer(b"third"))).await.unwrap());
}

pub(crate) async fn claims_of_the_dead_are_void_and_those_of_the_living_stay<H: Harness>() {
    let harness = H::new();
    let (living, dead, ended) = (harness.open().await, harness.open().await, harness.open().await);
    let held = claimed(&living, asked(1, 0, 0)).await;
    let late = claimed(&dead, asked(2, 0, 0)).await;
    let _ended = claimed(&ended, asked(3, 0, 0)).await;
    harness.crash(dead).await;
    harness.close(ended).await;
    let store = harness.open().await;
    assert_eq!(next(&store, asked(1, 0, 200)).await, NextAction::InFlight, "however long it takes");
    for key in [2, 3] {
        let claim = claimed(&store, asked(key, 9, 1)).await;
        assert!(store.complete(claim, Some(answer(b"again"))).await.unwrap());
    }
    assert!(!living.complete(late, Some(answer(b"late"))).await.unwrap(), "a claim is of its owner");
    store.recover(at(1)).await.unwrap();
    assert!(living.complete(held, Some(answer(b"held"))).await.unwrap());
    assert_eq!(next(&store, asked(1, 0, 1)).await, NextAction::Replay(answer(b"held")));
}

pub(crate) async fn what_is_done_under_a_claim_is_done_once_whatever_becomes_of_its_answer<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &[]).await;
    let work = Work::Replay { filter: EventFilter::default(), destinations: None };
    let job = |claim| NewJob { work: work.clone(), rate: 1, last: 1, total: 1, created_at: at(0), claim: Some(claim) };
    let (crashed, dropped) = (claimed(&store, asked(1, 0, 0)).await, claimed(&store, asked(2, 0, 0)).await);
    let (failed, kept) = (claimed(&store, asked(3, 0, 0)).await, claimed(&store, asked(4, 0, 0)).await);
    assert!(store.begin(job(crashed)).await.unwrap().is_some());
    for claim in [dropped, failed, kept] {
        assert_eq!(store.replay_claimed(1, names(&["app"]), at(0), Some(claim)).await.unwrap().unwrap().len(), 1);
    }
    assert_eq!(next(&store, asked(2, 0, 0)).await, NextAction::Lost, "nobody works under it any more");
    assert_eq!(next(&store, beside(1, 0, 0)).await, NextAction::InFlight);
    store.abandon(failed).await.unwrap();
    assert!(store.complete(kept, Some(answer(b"kept"))).await.unwrap());
    harness.crash(store).await;
    let store = harness.open().await;
    for key in [1, 2, 3] {
        assert_eq!(next(&store, asked(key, 0, 1)).await, NextAction::Lost, "{key}");
        assert_eq!(next(&store, asked(key, 7, 1)).await, NextAction::Reused, "{key}");
    }
    assert_eq!(next(&store, asked(4, 0, 1)).await, NextAction::Replay(answer(b"kept")));
    let _expired = claimed(&store, asked(1, 0, 100)).await;
}

pub(crate) async fn nothing_is_done_under_a_claim_that_is_lost<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    fresh(&store, "evt", at(0), &[]).await;
    let lost = claimed(&store, asked(1, 0, 0)).await;
    store.abandon(lost).await.unwrap();
    assert!(store.replay_claimed(1, names(&["app"]), at(0), Some(lost)).await.is_err());
    let work = Work::Replay { filter: EventFilter::default(), destinations: None };
    assert!(store.begin(NewJob { work, rate: 1, last: 1, total: 1, created_at: at(0), claim: Some(lost) }).await.is_err());
    assert!(store.backlog().await.unwrap().is_empty() && store.running().await.unwrap().is_empty());
}

pub(crate) async fn an_answer_that_is_not_kept_is_lost<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let claim = claimed(&store, asked(1, 0, 0)).await;
    assert!(store.complete(claim, None).await.unwrap());
    assert_eq!(next(&store, asked(1, 0, 1)).await, NextAction::Lost);
    assert_eq!(next(&store, asked(1, 2, 1)).await, NextAction::Reused);
}

pub(crate) async fn keys_are_free_when_their_time_is_over_and_are_forgotten_in_chunks<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    for key in 0..7 {
        let claim = claimed(&store, asked(key, 0, i64::from(key))).await;
        assert!(store.complete(claim, Some(answer(b"kept"))).await.unwrap());
    }
    assert_eq!(next(&store, asked(0, 0, 99)).await, NextAction::Replay(answer(b"kept")));
    let _free = claimed(&store, asked(0, 0, 100)).await;
    let dead = harness.open().await;
    let _void = claimed(&dead, asked(9, 0, 0)).await;
    harness.crash(dead).await;
    assert_eq!(store.prune_keys(at(105), 2).await.unwrap(), 2);
    assert_eq!(store.prune_keys(at(105), 9).await.unwrap(), 3);
    assert_eq!(store.prune_keys(at(105), 9).await.unwrap(), 0, "the dead one counts as living until it is recovered");
    store.recover(at(105)).await.unwrap();
    assert_eq!(store.prune_keys(at(105), 9).await.unwrap(), 1);
    assert_eq!(next(&store, asked(6, 0, 105)).await, NextAction::Replay(answer(b"kept")));
    assert_eq!(store.prune_keys(at(1_000), 9).await.unwrap(), 1, "what is under way stays");
    assert_eq!(next(&store, beside(0, 0, 1_000)).await, NextAction::InFlight);
}
