//! What questions cost: the work of each page stays small whatever the filter finds, also when it finds nothing.

use rusqlite::{StatementStatus, params_from_iter};

use super::*;
use crate::domain::{DeliveryStatus, EventStatus, Verdict, VerifiedEvent, VerifiedParts};
use crate::store::contract::{at, attempt, fresh, names, page, parts};
use crate::store::sqlite::conditions::Conditions;
use crate::store::sqlite::jobs::plans as jobs;
use crate::store::sqlite::{claim, deliveries, events, keyed, keys, lines, prune, record, reverify, stored, tally};
use crate::store::{DeliveryFilter, EventFilter, Inbox as _, Order, Page};

/// Events in the database.
const EVENTS: i64 = 3_000;
/// A page costs less; a walk over all events or deliveries costs at least five times as much.
const STEPS: i32 = 4_000;

/// One rare source, type and destination at the old end; all but the newest delivered.
async fn filled() -> (InAFolder, Connection) {
    let folder = InAFolder::new();
    let store = folder.open().await;
    let record = |n: i64| {
        let rare = n < 3;
        let (source, destination) = if rare { ("rare", "seldom") } else { ("hub", "app") };
        let event_type = if rare { "odd" } else { "push" }.to_owned();
        let event = VerifiedParts { event_type, ..parts(source, &n.to_string(), at(n)) };
        store.record(VerifiedEvent::attest(event), names(&[destination]))
    };
    let recorded = futures_util::future::join_all((0..EVENTS).map(record)).await;
    assert!(recorded.iter().all(Result::is_ok));
    store.write(Run("UPDATE delivery SET state = 1 WHERE id < 2900")).await.unwrap();
    attempt(&store, "app", at(EVENTS), Verdict::Dead).await;
    store.close().await;
    let conn = folder.connect();
    (folder, conn)
}

/// Steps of SQLite's machine, and whether it had to sort.
fn cost(conn: &Connection, sql: &str, values: Vec<rusqlite::types::Value>) -> (i32, bool) {
    let mut statement = conn.prepare(sql).unwrap();
    let mut rows = statement.query(params_from_iter(values)).unwrap();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    (statement.get_status(StatementStatus::VmStep), statement.get_status(StatementStatus::Sort) > 0)
}

fn plan(conn: &Connection, sql: &str, values: Vec<rusqlite::types::Value>) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let lines = statement.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

fn windows() -> [Page; 4] {
    let middle = Some(EVENTS / 2);
    [page(Order::Newest, 10, None), page(Order::Oldest, 10, None), page(Order::Newest, 10, middle), page(Order::Oldest, 10, middle)]
}

fn check(conn: &Connection, what: &str, select: &str, number: &str, conditions: impl Fn() -> Option<Conditions>) {
    for window in windows() {
        let Some(conditions) = conditions() else { continue };
        let (sql, values) = conditions.query(select, number, window);
        let (steps, sorted) = cost(conn, &sql, values.clone());
        assert!(steps < STEPS && !sorted, "{what}, {window:?}: {steps} steps, sorted: {sorted}\n{}", plan(conn, &sql, values));
    }
}

#[tokio::test]
async fn pages_of_events_cost_little_whatever_the_filter() {
    let (_folder, conn) = filled().await;
    let text = |text: &str| Some(text.to_owned());
    let none = EventFilter::default;
    let filters = [
        none(),
        EventFilter { source: text("hub"), ..none() },
        EventFilter { source: text("rare"), ..none() },
        EventFilter { event_type: text("push"), ..none() },
        EventFilter { event_type: text("odd"), ..none() },
        EventFilter { source: text("rare"), event_type: text("push"), ..none() },
        EventFilter { source: text("hub"), event_type: text("odd"), ..none() },
        EventFilter { since: Some(at(EVENTS - 5)), ..none() },
        EventFilter { until: Some(at(5)), ..none() },
        EventFilter { since: Some(at(EVENTS / 2)), until: Some(at(EVENTS / 2 + 5)), ..none() },
        EventFilter { status: Some(EventStatus::Dead), ..none() },
        EventFilter { status: Some(EventStatus::Failing), ..none() },
        EventFilter { status: Some(EventStatus::Cancelled), ..none() },
    ];
    for filter in filters {
        check(&conn, &format!("{filter:?}"), events::SELECT, "e.seq", || events::conditions(&conn, &filter).unwrap());
    }
}

#[tokio::test]
async fn pages_of_deliveries_cost_little_whatever_the_filter() {
    let (_folder, conn) = filled().await;
    let text = |text: &str| Some(text.to_owned());
    let none = DeliveryFilter::default;
    let filters = [
        none(),
        DeliveryFilter { destination: text("app"), ..none() },
        DeliveryFilter { destination: text("seldom"), ..none() },
        DeliveryFilter { source: text("hub"), ..none() },
        DeliveryFilter { source: text("rare"), ..none() },
        DeliveryFilter { source: text("rare"), destination: text("app"), ..none() },
        DeliveryFilter { source: text("hub"), destination: text("seldom"), ..none() },
        DeliveryFilter { since: Some(at(EVENTS / 2)), until: Some(at(EVENTS / 2 + 5)), ..none() },
    ];
    for filter in filters {
        check(&conn, &format!("{filter:?}"), deliveries::SELECT, "d.id", || deliveries::conditions(&conn, &filter).unwrap());
    }
    // These sort what a small index holds.
    for status in [DeliveryStatus::Dead, DeliveryStatus::Cancelled, DeliveryStatus::Pending] {
        let filter = DeliveryFilter { status: Some(status), ..none() };
        let conditions = deliveries::conditions(&conn, &filter).unwrap().unwrap();
        let (sql, values) = conditions.query(deliveries::SELECT, "d.id", page(Order::Newest, 10, None));
        let (steps, _) = cost(&conn, &sql, values.clone());
        assert!(steps < STEPS, "{status:?}: {steps} steps\n{}", plan(&conn, &sql, values));
    }
}

/// What one question of a job may cost, for each row of its window.
const STEPS_A_ROW: i64 = 40;

#[tokio::test]
async fn a_job_looks_at_a_window_of_rows_whatever_the_filter() {
    let (_folder, conn) = filled().await;
    let text = |text: &str| Some(text.to_owned());
    let none = EventFilter::default;
    let mut filters = vec![
        none(),
        EventFilter { source: text("hub"), ..none() },
        EventFilter { event_type: text("odd"), ..none() },
        EventFilter { source: text("rare"), event_type: text("push"), ..none() },
        EventFilter { since: Some(at(EVENTS / 2)), ..none() },
    ];
    filters.extend(EventStatus::ALL.map(|status| EventFilter { status: Some(status), ..none() }));
    filters.extend(EventStatus::ALL.map(|status| EventFilter { status: Some(status), source: text("hub"), ..none() }));
    // The last window of all: it must not matter how much lies before it.
    let (after, rows) = (EVENTS - 20, 20);
    let within = |what: &str, sql: &str, values: Vec<rusqlite::types::Value>| {
        let (steps, sorted) = cost(&conn, sql, values.clone());
        assert!(i64::from(steps) < STEPS_A_ROW * rows && !sorted, "{what}: {steps} steps, sorted: {sorted}\n{}", plan(&conn, sql, values));
    };
    for filter in filters {
        let Some((window, conditions)) = jobs::events_within(&conn, &filter, after, EVENTS).unwrap() else { continue };
        let (sql, values) = conditions.query(jobs::EVENTS, "e.seq", page(Order::Oldest, 5_000, Some(window.after)));
        within(&format!("{filter:?}"), &sql, values);
    }
    let none = DeliveryFilter::default;
    let filters = [
        none(),
        DeliveryFilter { destination: text("app"), ..none() },
        DeliveryFilter { destination: text("app"), source: text("hub"), ..none() },
        DeliveryFilter { source: text("rare"), ..none() },
    ];
    for filter in filters {
        let (window, conditions) = jobs::deliveries_within(&conn, &filter, after, EVENTS).unwrap().unwrap();
        let (sql, values) = conditions.query(jobs::DELIVERIES, "d.id", page(Order::Oldest, 5_000, Some(window.after)));
        within(&format!("{filter:?}"), &sql, values);
    }
    let (window, _) = jobs::events_within(&conn, &EventFilter::default(), 0, i64::MAX).unwrap().unwrap();
    assert_eq!((window.after, window.to), (0, jobs::WINDOW));
}

#[tokio::test]
async fn what_is_looked_up_by_key_is_searched_and_never_scanned() {
    let (_folder, conn) = filled().await;
    let by_event = format!("{} WHERE d.event_seq = ?1", deliveries::SELECT);
    let by_id = format!("{} WHERE e.seq = ?1", events::SELECT);
    let queries: [(&str, &str); 21] = [
        (claim::DUE, "delivery_due"),
        (claim::NEXT_DUE, "delivery_due"),
        (claim::NEXT_SOURCE, "delivery_due"),
        (lines::TAKEN, "delivery_line"),
        (lines::STEP_FORWARD, "delivery_line"),
        (lines::STANDING, "delivery_line"),
        (lines::HOLDING, "delivery_line"),
        (deliveries::BACKLOG, "delivery_due"),
        (&by_event, "delivery_event"),
        (&by_id, "INTEGER PRIMARY KEY"),
        ("SELECT id, size FROM rejection WHERE source = ?1 ORDER BY id DESC", "COVERING INDEX rejection_source"),
        (reverify::REFUSED_OF, "SEARCH r USING COVERING INDEX rejection_source (source=?)"),
        (tally::SELECT, "SEARCH t USING PRIMARY KEY (source=?)"),
        (tally::COUNT_DEAD, "COVERING INDEX delivery_undelivered"),
        (prune::DELETE_TYPE, "COVERING INDEX event_type"),
        (prune::OLD_EVENTS, "INTEGER PRIMARY KEY"),
        (stored::EVENT, "INTEGER PRIMARY KEY"),
        (jobs::SOURCE, "INTEGER PRIMARY KEY"),
        (jobs::GO_ON, "INTEGER PRIMARY KEY"),
        (keyed::FIND, "sqlite_autoindex_keyed_1"),
        (keyed::PRUNE, "keyed_expiry"),
    ];
    for (sql, index) in queries {
        let parameters = conn.prepare(sql).unwrap().parameter_count();
        let plan = plan(&conn, sql, vec![rusqlite::types::Value::Null; parameters]);
        let scans = plan.lines().any(|line| line.contains("SCAN") && !line.contains("INDEX") && !line.starts_with("SCAN b"));
        let sorts = plan.contains("FOR ORDER BY") && !sql.contains("GROUP BY");
        assert!(!scans && !sorts && plan.contains(index), "{sql}\n{plan}");
    }
    assert!(plan(&conn, reverify::REFUSED, Vec::new()).contains("SCAN r USING COVERING INDEX rejection_source"), "no body is read");
}

#[tokio::test]
async fn the_length_of_a_line_costs_nothing() {
    let (_folder, conn) = filled().await;
    conn.execute_batch(&format!("UPDATE delivery SET state = 0, standing = 1, line = 7, due_at = {} WHERE id > 3", lines::NEVER)).unwrap();
    let number = |sql: &str| conn.query_row(sql, (), |row| row.get::<_, i64>(0)).unwrap();
    let destination = number("SELECT destination FROM delivery WHERE id = 9");
    let integers = |values: &[i64]| values.iter().map(|value| (*value).into()).collect();
    for (sql, values) in [
        (lines::STEP_FORWARD, integers(&[9, 0, lines::NEVER])),
        (lines::TAKEN, integers(&[destination, 7])),
        (lines::STANDING, integers(&[destination, 10])),
    ] {
        let (steps, sorted) = cost(&conn, sql, values);
        assert!(steps < 200 && !sorted, "{steps} steps: {sql}");
    }
    assert_eq!(number("SELECT id FROM delivery WHERE due_at = 0"), number("SELECT min(id) FROM delivery WHERE standing = 1"));
}

#[tokio::test]
async fn a_key_is_searched_in_every_level_and_ranges_of_keys_are_never_sorted() {
    let (_folder, conn) = filled().await;
    let plan = |sql: &str| plan(&conn, sql, vec![rusqlite::types::Value::Null; conn.prepare(sql).unwrap().parameter_count()]);
    for (sql, levels) in [(keys::FIND, 0..3), (record::STORED, 0..3), (keys::INSERT, 1..3)] {
        let plan = plan(sql);
        let searched = |level| plan.contains(&format!("SEARCH key_{level} USING PRIMARY KEY (key=?)"));
        assert!(levels.clone().all(searched) && plan.matches("key_").count() == levels.len(), "{sql}\n{plan}");
    }
    for keys::Statements { last, copy, delete } in keys::STATEMENTS {
        for sql in [last, copy, delete] {
            let plan = plan(sql);
            assert!(plan.contains("USING PRIMARY KEY (key>?") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    }
}

/// How often SQLite compiled the statements of a claim anew since they were first prepared.
struct Recompiled;

impl Operation for Recompiled {
    type Output = i32;

    fn run(&self, unit: &mut Unit<'_>) -> Result<i32, Fault> {
        let count = |sql| Ok::<_, Fault>(unit.conn.prepare_cached(sql)?.get_status(StatementStatus::RePrepare));
        Ok(count(claim::DUE)? + count(claim::NEXT_DUE)?)
    }
}

#[tokio::test]
async fn statements_are_compiled_once() {
    let folder = InAFolder::new();
    let store = folder.open().await;
    for n in 0..5 {
        fresh(&store, &n.to_string(), at(n), &["app"]).await;
        attempt(&store, "app", at(n), Verdict::Delivered).await;
    }
    assert_eq!(store.write(Recompiled).await.unwrap(), 0);
}
