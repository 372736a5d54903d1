//! Questions that take too long, or that nobody waits for any more.

use super::*;
use crate::store::contract::{at, fresh, key};
use crate::store::{History as _, Prune};

/// Never comes to an end.
const ENDLESS: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n";

fn endless(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row(ENDLESS, (), |row| row.get(0))
}

/// Asks it, and returns once it is being worked on.
fn occupy(store: &SqliteStore) -> Pending<'_, i64> {
    let (began, beginning) = channel();
    let question = move |conn: &Connection| {
        began.send(()).unwrap();
        endless(conn)
    };
    let asked = begin(store.0.readers.ask(question));
    beginning.recv().unwrap();
    asked
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_cut_off() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { question_timeout: Duration::ZERO, ..options() });
    fresh(&store, "evt", at(0), &["app"]).await;
    assert!(store.0.readers.ask(endless).await.unwrap_err().to_string().contains("the question took too long"));
    assert!(store.event(key("hub", "evt")).await.unwrap().is_some(), "others are answered");
    assert!(store.prune(Prune { bodies_before: at(9), ids_before: at(9), chunk: 9 }).await.unwrap().nothing());
}

#[tokio::test]
async fn a_question_whose_asker_has_gone_makes_room_for_others() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { question_timeout: Duration::MAX, ..options() });
    fresh(&store, "evt", at(0), &["app"]).await;
    drop((occupy(&store), occupy(&store)));
    assert!(store.event(key("hub", "evt")).await.unwrap().is_some());
}
