//! Questions that take too long, or that nobody waits for any more.

use super::*;
use crate::store::contract::{at, fresh, key};
use crate::store::{History as _, Prune};

/// Never comes to an end.
const ENDLESS: &str = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n) SELECT max(n) FROM n";

/// Asks it; tells when it begins.
fn endless(store: &SqliteStore) -> (Pending<'_, i64>, Receiver<()>) {
    let (began, beginning) = channel();
    let question = move |conn: &Connection| {
        began.send(()).unwrap();
        conn.query_row(ENDLESS, (), |row| row.get(0))
    };
    (begin(store.0.readers.ask(question)), beginning)
}

#[tokio::test]
async fn a_question_that_takes_too_long_is_cut_off() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { question_timeout: Duration::ZERO, ..options() });
    fresh(&store, "evt", at(0), &["app"]).await;
    let asked = store.0.readers.ask(|conn: &Connection| conn.query_row(ENDLESS, (), |row| row.get::<_, i64>(0)));
    assert!(asked.await.unwrap_err().to_string().contains("the question took too long"));
    assert!(store.event(key("hub", "evt")).await.unwrap().is_some(), "others are answered");
    assert!(store.prune(Prune { bodies_before: at(9), ids_before: at(9), chunk: 9 }).await.unwrap().nothing());
}

#[tokio::test]
async fn a_question_whose_asker_has_gone_makes_room_for_others() {
    let folder = InAFolder::new();
    let (store, _) = folder.open_with(&Options { question_timeout: Duration::MAX, ..options() });
    fresh(&store, "evt", at(0), &["app"]).await;
    let ((one, began_one), (two, began_two)) = (endless(&store), endless(&store));
    began_one.recv().unwrap();
    began_two.recv().unwrap();
    drop((one, two));
    assert!(store.event(key("hub", "evt")).await.unwrap().is_some());
}
