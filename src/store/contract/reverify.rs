//! Refused requests that are verified again.

use futures_util::future::join_all;

use super::*;
use crate::domain::{CredentialPlace, RejectionStatus, ReplayGuard, SealedCredential, SealedCredentials};
use crate::store::{DeliveryFilter, EventFilter, RejectionFilter};

async fn refused(store: &(impl Inbox + History), source: &str, diagnosis: &str, second: i64) -> i64 {
    store.refuse(rejection(source, diagnosis, Code::SignatureMismatch, at(second), 9)).await.unwrap();
    store.rejections(RejectionFilter::default(), all()).await.unwrap()[0].id
}

pub(crate) async fn a_refused_request_comes_back_whole<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let credential = |place| SealedCredential { place, value: "ab".to_owned(), basic: Some("cd".to_owned()) };
    let places = [CredentialPlace::Header("authorization".to_owned()), CredentialPlace::Query("Token".to_owned())];
    let whole = NewRejection {
        subpath: "/eu%20x".to_owned(),
        query: "a=b%20c".to_owned(),
        headers: [("content-type", &b"text/x"[..]), ("x-raw", b"\xff\0"), ("x-raw", b"again")].into_iter().collect(),
        sealed: SealedCredentials(places.map(credential).into()),
        body: Bytes::from_static(b"\0\xff body"),
        ..rejection("hub", "why", Code::SignatureMismatch, at(5), 0)
    };
    store.refuse(whole.clone()).await.unwrap();
    let id = store.rejections(RejectionFilter::default(), all()).await.unwrap()[0].id;
    let found = store.refused(id).await.unwrap().unwrap();
    assert_eq!((&*found.source, found.accepted, &found.sealed), ("hub", false, &whole.sealed));
    let request = &found.request;
    assert_eq!((&*request.method, &*request.path, &request.subpath), ("POST", "/hooks/hub/eu%20x", &whole.subpath));
    assert_eq!((&request.query, &request.headers, &request.body, request.received_at), (&whole.query, &whole.headers, &whole.body, at(5)));
    let row = store.rejection(id).await.unwrap().unwrap();
    let kept = row.request.unwrap();
    assert_eq!((&*row.diagnosis, row.code, row.event_id, kept.size), ("why", Code::SignatureMismatch, None, 7));
    assert_eq!((&kept.method, &kept.subpath, &kept.query, &kept.headers), (&whole.method, &whole.subpath, &whole.query, &whole.headers));
    let body = store.rejection_body(id).await.unwrap().unwrap();
    assert_eq!((body.content_type.as_deref(), body.bytes), (Some("text/x"), whole.body));
    for unknown in [id + 1, 0, -1, i64::MAX] {
        assert!(store.refused(unknown).await.unwrap().is_none());
        assert!(store.rejection(unknown).await.unwrap().is_none());
        assert!(store.rejection_body(unknown).await.unwrap().is_none());
    }
}

pub(crate) async fn what_is_let_in_is_recorded_and_marked_together_and_once<H: Harness>() {
    let harness = H::new();
    let (store, other) = (harness.open().await, harness.open().await);
    let id = refused(&store, "hub", "why", 0).await;
    let tries = (0..20).map(|n| {
        let store = if n % 2 == 0 { store.clone() } else { other.clone() };
        tokio::spawn(async move { store.readmit(id, event("hub", "evt", at(0)), names(&["app"]), at(100)).await.unwrap() })
    });
    let outcomes: Vec<_> = join_all(tries).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Some(Recorded::Fresh)).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 19, "the others are no duplicates");
    harness.crash(store).await;
    harness.crash(other).await;

    let store = harness.open().await;
    assert_eq!(store.rejection(id).await.unwrap().unwrap().event_id.as_deref(), Some("evt"));
    assert!(store.refused(id).await.unwrap().unwrap().accepted);
    let row = store.event(key("hub", "evt")).await.unwrap().unwrap();
    assert_eq!((row.received_at, row.duplicates), (at(0), 0), "received when it arrived");
    let deliveries = store.deliveries(DeliveryFilter::default(), all()).await.unwrap();
    assert_eq!((deliveries.len(), deliveries[0].created_at), (1, at(100)), "due from now on");
    assert!(claim(&store, "app", 9, at(99)).await.deliveries.is_empty());
    assert_eq!(claimed(&claim(&store, "app", 9, at(100)).await), ["evt"]);
}

pub(crate) async fn what_is_let_in_late_is_found_by_when_it_arrived<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let day = 86_400;
    for n in 0..10 {
        fresh(&store, &n.to_string(), at(n * day), &[]).await;
    }
    for (n, arrived) in [(2, 2 * day + 5), (5, 5 * day + 5), (9, 9 * day - 5)] {
        let id = refused(&store, "hub", "", arrived).await;
        let late = VerifiedEvent::attest(parts("hub", &format!("late {n}"), at(arrived)));
        assert_eq!(store.readmit(id, late, names(&["app"]), at(9 * day + 60)).await.unwrap(), Some(Recorded::Fresh));
    }
    fresh(&store, "after", at(9 * day + 61), &[]).await;
    let ids = async |since: Option<i64>, until: Option<i64>| {
        let filter = EventFilter { since: since.map(at), until: until.map(at), ..EventFilter::default() };
        let rows = store.events(filter, all()).await.unwrap();
        rows.into_iter().map(|row| row.key.event_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(ids(Some(9 * day), None).await, ["after", "9"]);
    assert_eq!(ids(Some(8 * day), None).await, ["after", "late 9", "9", "8"]);
    assert_eq!(ids(None, Some(3 * day)).await, ["late 2", "2", "1", "0"]);
    assert_eq!(ids(Some(2 * day), Some(3 * day)).await, ["late 2", "2"]);
    assert_eq!(ids(Some(3 * day), Some(5 * day)).await, ["4", "3"]);
    assert_eq!(ids(Some(5 * day + 1), Some(5 * day + 9)).await, ["late 5"]);
    let filter = DeliveryFilter { since: Some(at(9 * day + 60)), ..DeliveryFilter::default() };
    assert_eq!(store.deliveries(filter, all()).await.unwrap().len(), 3);
}

pub(crate) async fn a_duplicate_and_dropped_content_are_let_in_as_such<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let guarded = |id: &str| VerifiedEvent::attest(VerifiedParts { replay_guard: Some(ReplayGuard::Drop), ..parts("hub", id, at(9)) });
    let (first, second) = (refused(&store, "hub", "1", 0).await, refused(&store, "hub", "2", 0).await);
    assert_eq!(store.record(guarded("evt"), names(&["app"])).await.unwrap(), Recorded::Fresh);
    assert_eq!(store.readmit(first, guarded("evt"), names(&["app"]), at(9)).await.unwrap(), Some(Recorded::Duplicate));
    let dropped = Recorded::Dropped { earlier: "evt".into() };
    assert_eq!(store.readmit(second, guarded("other"), names(&["app"]), at(9)).await.unwrap(), Some(dropped));
    for id in [first, second] {
        assert_eq!(store.rejection(id).await.unwrap().unwrap().event_id.as_deref(), Some("evt"));
        assert_eq!(store.readmit(id, guarded("again"), names(&["app"]), at(9)).await.unwrap(), None);
    }
    assert_eq!(store.event(key("hub", "evt")).await.unwrap().unwrap().duplicates, 2);
    assert_eq!(store.deliveries(DeliveryFilter::default(), all()).await.unwrap().len(), 1);
}

pub(crate) async fn what_is_still_refused_says_why_by_what_was_judged_last<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let id = refused(&store, "hub", "first", 0).await;
    for (code, diagnosis) in [(Code::TimestampStale, "second"), (Code::EventIdMissing, "third"), (Code::EventIdMissing, "third")] {
        store.refuse_again(id, Rejection::new(code, diagnosis)).await.unwrap();
        let row = store.rejection(id).await.unwrap().unwrap();
        assert_eq!((row.code, &*row.diagnosis, row.event_id), (code, diagnosis, None));
        let filter = RejectionFilter { code: Some(code), ..RejectionFilter::default() };
        assert_eq!(store.rejections(filter, all()).await.unwrap().len(), 1);
    }
    let filter = RejectionFilter { code: Some(Code::SignatureMismatch), ..RejectionFilter::default() };
    assert!(store.rejections(filter, all()).await.unwrap().is_empty());
    assert_eq!(store.readmit(id, event("hub", "evt", at(0)), names(&[]), at(0)).await.unwrap(), Some(Recorded::Fresh));
    store.refuse_again(id, Rejection::new(Code::SignatureMissing, "too late")).await.unwrap();
    let row = store.rejection(id).await.unwrap().unwrap();
    assert_eq!((row.code, &*row.diagnosis, row.event_id.as_deref()), (Code::EventIdMissing, "third", Some("evt")));
    store.refuse_again(99, Rejection::new(Code::SignatureMissing, "of nothing")).await.unwrap();
    assert!(store.rejection(99).await.unwrap().is_none());
}

pub(crate) async fn rejections_are_found_by_their_status<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let mut ids = Vec::new();
    for diagnosis in ["a", "b", "c"] {
        ids.push(refused(&store, "hub", diagnosis, 0).await);
    }
    assert!(store.readmit(ids[1], event("hub", "evt", at(0)), names(&[]), at(0)).await.unwrap().is_some());
    for (status, expected) in
        [(Some(RejectionStatus::Refused), vec!["c", "a"]), (Some(RejectionStatus::Accepted), vec!["b"]), (None, vec!["c", "b", "a"])]
    {
        let rows = store.rejections(RejectionFilter { status, ..RejectionFilter::default() }, all()).await.unwrap();
        assert_eq!(rows.iter().map(|row| &*row.diagnosis).collect::<Vec<_>>(), expected);
    }
}

pub(crate) async fn what_is_still_refused_is_told_oldest_first<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let mut ids = Vec::new();
    for (n, source) in ["hub", "pay", "hub", "hub"].into_iter().enumerate() {
        ids.push(refused(&store, source, "", n as i64).await);
    }
    let next = async |source: Option<&str>| store.still_refused(source.map(Into::into)).await.unwrap();
    assert_eq!(next(None).await, ids);
    assert_eq!(next(Some("pay")).await, ids[1..2]);
    assert!(next(Some("nobody")).await.is_empty());
    assert!(store.readmit(ids[2], event("hub", "evt", at(0)), names(&[]), at(0)).await.unwrap().is_some());
    assert_eq!(next(Some("hub")).await, [ids[0], ids[3]]);
    assert_eq!(next(None).await, [ids[0], ids[1], ids[3]]);
}

pub(crate) async fn what_is_cut_from_the_log_takes_its_verdict_along_and_can_still_be_let_in<H: Harness>() {
    let harness = H::new();
    let store = harness.open().await;
    let (first, second) = (refused(&store, "hub", "1", 0).await, refused(&store, "hub", "2", 0).await);
    store.refuse_again(first, Rejection::new(Code::TimestampStale, "again")).await.unwrap();
    for n in 0..=REJECTIONS {
        refused(&store, "hub", &n.to_string(), 0).await;
    }
    assert!(store.rejection(first).await.unwrap().is_none() && store.rejection(second).await.unwrap().is_none());
    // What was read before it was cut is not lost.
    assert_eq!(store.readmit(second, event("hub", "evt", at(0)), names(&["app"]), at(0)).await.unwrap(), Some(Recorded::Fresh));
    assert_eq!(store.readmit(second, event("hub", "evt", at(0)), names(&["app"]), at(0)).await.unwrap(), Some(Recorded::Duplicate));
    assert_eq!(store.events(EventFilter::default(), all()).await.unwrap().len(), 1);
    assert_eq!(store.rejections(RejectionFilter::default(), all()).await.unwrap().len(), REJECTIONS);
}

pub(crate) async fn the_key_of_credentials_is_one_for_all_processes_and_stays<H: Harness>() {
    let harness = H::new();
    let (one, other) = (harness.open().await, harness.open().await);
    let (mine, theirs) = tokio::join!(one.seal_key(), other.seal_key());
    let key = *mine.unwrap().bytes();
    assert_eq!(key, *theirs.unwrap().bytes());
    harness.crash(one).await;
    harness.close(other).await;
    assert_eq!(key, *harness.open().await.seal_key().await.unwrap().bytes());
    assert_ne!(key, *H::new().open().await.seal_key().await.unwrap().bytes(), "another database has another one");
}
