//! Names as numbers: what is deleted with the last event of a type means the right thing when it comes back. And what goes with a body.

use super::*;
use crate::domain::{VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, key, names, parts};
use crate::store::{History as _, Inbox as _, Prune, Recorded};

async fn record(store: &SqliteStore, id: &str, event_type: &str) {
    let event = VerifiedParts { event_type: event_type.to_owned(), ..parts("hub", id, at(0)) };
    assert_eq!(store.record(VerifiedEvent::attest(event), names(&[])).await.unwrap(), Recorded::Fresh);
}

async fn event_type(store: &SqliteStore, id: &str) -> String {
    store.event(key("hub", id)).await.unwrap().unwrap().event_type
}

async fn prune(store: &SqliteStore) {
    while !store.prune(Prune { bodies_before: at(0), ids_before: at(99), chunk: 2 }).await.unwrap().nothing() {}
}

fn types(folder: &InAFolder) -> i64 {
    folder.connect().query_row("SELECT count(*) FROM name WHERE role = 3", (), |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn types_that_no_event_has_any_more_are_forgotten() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    for (n, event_type) in ["a", "b", "a", "c", "b"].into_iter().enumerate() {
        record(&store, &n.to_string(), event_type).await;
    }
    let stays = VerifiedParts { event_type: "b".to_owned(), ..parts("hub", "stays", at(999)) };
    assert_eq!(store.record(VerifiedEvent::attest(stays), names(&[])).await.unwrap(), Recorded::Fresh);
    prune(&store).await;
    assert_eq!((types(&folder), event_type(&store, "stays").await), (1, "b".to_owned()));
    for (id, name) in [("1", "new"), ("2", "a"), ("3", "c"), ("4", "b")] {
        record(&store, id, name).await;
        assert_eq!(event_type(&store, id).await, name);
    }
    assert_eq!(types(&folder), 4);
}

#[tokio::test]
async fn a_type_that_another_process_has_forgotten_is_named_anew() {
    let folder = InAFolder::new();
    let (one, other) = (folder.open().await, folder.open().await);
    record(&one, "1", "odd").await;
    prune(&other).await;
    assert_eq!(types(&folder), 0);
    // It may get the number that "odd" had.
    record(&other, "2", "new").await;
    record(&one, "3", "odd").await;
    assert_eq!((event_type(&one, "2").await, event_type(&one, "3").await), ("new".to_owned(), "odd".to_owned()));
}

#[tokio::test]
async fn path_and_query_go_with_the_body_and_the_id_stays() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    let event = VerifiedParts { subpath: "/jane".to_owned(), query: "mail=jane".to_owned(), ..parts("hub", "evt", at(0)) };
    assert_eq!(store.record(VerifiedEvent::attest(event), names(&[])).await.unwrap(), Recorded::Fresh);
    while !store.prune(Prune { bodies_before: at(9), ids_before: at(-9), chunk: 9 }).await.unwrap().nothing() {}
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
    let left = folder.connect().query_row("SELECT event_id, subpath, query FROM event", (), read).unwrap();
    assert_eq!(left, ("evt".to_owned(), String::new(), String::new()));
}
