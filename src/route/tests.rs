//! What routes choose, and how long they take.

use std::time::{Duration, Instant};

use super::*;
use crate::domain::{Body, EventKey, Line, StoredEvent, Timestamp, VerifiedEvent, VerifiedParts};

/// The number of loops that no body of this size should ever have finished.
const SLOW: &str = "body.all(x, body.all(y, x == y))";

fn event(source: &str, event_type: &str, body: impl Into<Body>) -> VerifiedEvent {
    VerifiedEvent::attest(VerifiedParts {
        key: EventKey { source: source.into(), event_id: "e".into() },
        provider: "p".into(),
        event_type: event_type.to_owned(),
        method: "POST".into(),
        subpath: String::new(),
        query: String::new(),
        headers: [("x-kind", &b"a"[..])].into_iter().collect(),
        body: body.into(),
        content_digest: [0; 32],
        item_ids: Vec::new(),
        replay_guard: None,
        verified_by: "secret:1".into(),
        received_at: Timestamp::from_millis(0),
    })
}

fn route(destination: &str) -> Route {
    Route {
        destination: destination.into(),
        sources: vec!["hub".into(), "shop".into()],
        types: Vec::new(),
        filter: None,
        on_filter_error: OnFilterError::Deliver,
        order_by: None,
    }
}

fn filtered(destination: &str, filter: &str, on_filter_error: OnFilterError) -> Route {
    Route { filter: Some(Filter::parse(filter).unwrap()), on_filter_error, ..route(destination) }
}

fn names(routed: &Routed) -> Vec<&str> {
    routed.deliveries.iter().map(|due| &*due.destination).collect()
}

/// Large enough for a slow filter to be slow on it.
fn numbers() -> VerifiedEvent {
    event("hub", "push", format!("[{}0]", "0,".repeat(50_000)))
}

#[tokio::test]
async fn an_event_goes_where_source_type_and_filter_fit() {
    let push =
        Route { types: vec![TypePattern::parse("push").unwrap()], ..filtered("main", "body.ref == \"main\"", OnFilterError::Deliver) };
    let shop = Route { sources: vec!["shop".into()], ..route("shop") };
    let other = filtered("other", "body.ref != \"main\" && headers[\"x-kind\"] == \"a\"", OnFilterError::Deliver);
    let routes = Routes::new(vec![push, shop, other, route("all")]);
    let cases = [
        ("hub", "push.tag", r#"{"ref":"main"}"#, vec!["main", "all"]),
        ("hub", "push", r#"{"ref":"side"}"#, vec!["other", "all"]),
        ("hub", "ping", r#"{"ref":"main"}"#, vec!["all"]),
        ("shop", "ping", "{}", vec!["shop", "all"]),
        ("none", "push", r#"{"ref":"main"}"#, vec![]),
    ];
    for (source, event_type, body, expected) in cases {
        let routed = routes.choose(&event(source, event_type, body)).await;
        assert_eq!(names(&routed), expected, "{source} {event_type} {body}");
        assert_eq!(routed.failures, []);
    }
}

#[tokio::test]
async fn where_a_filter_fails_the_configuration_decides_and_the_failure_is_told() {
    let fails = "body.n.startsWith(\"a\")";
    let routes = Routes::new(vec![
        filtered("deliver", fails, OnFilterError::Deliver),
        filtered("skip", fails, OnFilterError::Skip),
        filtered("fine", "body.n == 1", OnFilterError::Skip),
    ]);
    let routed = routes.choose(&event("hub", "push", r#"{"n":1}"#)).await;
    assert_eq!(names(&routed), ["deliver", "fine"]);
    let failed: Vec<_> = routed.failures.iter().map(|failure| &*failure.destination).collect();
    assert_eq!(failed, ["deliver", "skip"]);
    assert!(routed.failures[0].cause.contains("startsWith"), "{routed:?}");
}

#[tokio::test]
async fn each_value_of_the_order_key_is_a_line_of_its_own() {
    let ordered = |order_by| Routes::new(vec![Route { order_by: Some(order_by), ..route("d") }]);
    let line = async |routes: &Routes, source: &str, body: &str| -> Option<Line> {
        routes.choose(&event(source, "push", body.to_owned())).await.deliveries[0].line
    };
    let by_source = ordered(OrderBy::Source);
    assert_eq!(line(&by_source, "hub", "{}").await, line(&by_source, "hub", "no json").await);
    assert_ne!(line(&by_source, "hub", "{}").await, line(&by_source, "shop", "{}").await);
    let by_value = ordered(OrderBy::Pointer(Pointer::parse("/a/id").unwrap()));
    let one = line(&by_value, "hub", r#"{"a":{"id":1}}"#).await;
    assert!(one.is_some());
    assert_eq!(line(&by_value, "hub", r#"{"b":0, "a": {"id" : 1}}"#).await, one);
    for (source, body) in
        [("hub", r#"{"a":{"id":2}}"#), ("hub", r#"{"a":{"id":"1"}}"#), ("hub", r#"{"a":{"id":[1]}}"#), ("shop", r#"{"a":{"id":1}}"#)]
    {
        let other = line(&by_value, source, body).await;
        assert!(other.is_some() && other != one, "{source} {body}");
    }
    for body in ["", "{}", "no json", r#"{"a":1}"#, r#"{"a":{"id":1}"#] {
        assert_eq!(line(&by_value, "hub", body).await, None, "{body}");
    }
}

/// The event as it is read back.
fn stored(event: VerifiedEvent) -> StoredEvent {
    let VerifiedParts { key, provider, event_type, method, subpath, query, headers, body, received_at, .. } = event.into_parts();
    StoredEvent { key, provider, event_type, method, subpath, query, headers, body, received_at }
}

#[tokio::test]
async fn a_stored_event_goes_where_it_would_if_it_came_now() {
    let push = Route { types: vec![TypePattern::parse("push").unwrap()], ..route("push") };
    let main = filtered("main", "body.ref == \"main\" && headers[\"x-kind\"] == \"a\"", OnFilterError::Deliver);
    let routes = Routes::new(vec![push, main, Route { order_by: Some(OrderBy::Source), ..route("ordered") }]);
    for (event_type, body) in [("push", r#"{"ref":"main"}"#), ("ping", r#"{"ref":"main"}"#), ("push", r#"{"ref":"side"}"#)] {
        let came = event("hub", event_type, body);
        assert_eq!(routes.choose(&came).await, routes.choose(&stored(came.clone())).await, "{event_type} {body}");
    }
}

#[tokio::test]
async fn named_destinations_need_not_take_the_event_and_keep_their_orders() {
    let never = Route { sources: vec![], ..filtered("never", "false", OnFilterError::Skip) };
    let by_value = OrderBy::Pointer(Pointer::parse("/id").unwrap());
    let routes = Routes::new(vec![Route { order_by: Some(by_value), ..route("ordered") }, never, route("other")]);
    let event = event("hub", "push", r#"{"id":1}"#);
    let due = routes.at(&["never".into(), "ordered".into(), "unknown".into(), "never".into()], &event);
    assert_eq!(due.iter().map(|due| &*due.destination).collect::<Vec<_>>(), ["ordered", "never"], "each once");
    assert_eq!(due[0].line, routes.choose(&event).await.deliveries[0].line);
    assert!(due[0].line.is_some() && due[1].line.is_none());
    assert_eq!(routes.destinations().map(|name| &**name).collect::<Vec<_>>(), ["ordered", "never", "other"]);
}

#[tokio::test]
async fn a_large_body_is_read_apart_and_asked_like_any_other() {
    let body = format!(r#"{{"text":"{}","ref":"main","items":[1,2]}}"#, "a".repeat(200 << 10));
    let routes = Routes::new(vec![
        filtered("yes", "body.ref == \"main\" && body.items.exists(i, i == 2)", OnFilterError::Skip),
        filtered("no", "body.ref == \"side\"", OnFilterError::Deliver),
        Route { order_by: Some(OrderBy::Pointer(Pointer::parse("/ref").unwrap())), ..route("ordered") },
    ]);
    let routed = routes.choose(&event("hub", "push", body)).await;
    assert_eq!((names(&routed), &routed.failures[..]), (vec!["yes", "ordered"], &[][..]));
    assert!(routed.deliveries[1].line.is_some());
}

#[tokio::test]
async fn a_slow_filter_ends_at_its_time_as_configured_and_holds_up_nobody() {
    let routes = Routes::new(vec![
        filtered("deliver", SLOW, OnFilterError::Deliver),
        filtered("skip", SLOW, OnFilterError::Skip),
        filtered("quick", "type == \"push\" && source == \"hub\"", OnFilterError::Skip),
    ]);
    let (event, begin) = (numbers(), Instant::now());
    // One thread for everything that waits: it turns meanwhile.
    let turns = async {
        for turn in 0_u64.. {
            tokio::task::yield_now().await;
            assert!(turn < u64::MAX);
        }
    };
    let routed = tokio::select! {
        routed = routes.choose(&event) => routed,
        () = turns => unreachable!("it turns for ever"),
    };
    let took = begin.elapsed();
    assert_eq!(names(&routed), ["deliver", "quick"]);
    assert_eq!(routed.failures.len(), 2);
    assert!(routed.failures.iter().all(|failure| failure.cause.contains("took more than 100 ms")), "{routed:?}");
    assert!(took >= Duration::from_millis(90) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn however_many_slow_filters_there_are_an_event_waits_for_its_turn_and_not_for_ever() {
    let slow = Routes::new(vec![filtered("slow", SLOW, OnFilterError::Skip)]);
    let (event, begin) = (numbers(), Instant::now());
    let many = futures_util::future::join_all((0..200).map(|_| slow.choose(&event))).await;
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(many.iter().all(|routed| routed.deliveries.is_empty() && routed.failures.len() == 1));
    assert!(many.iter().any(|routed| routed.failures[0].cause.contains("no thread was free")), "{many:?}");
    // What needs no body does not wait for one that nobody could read in time.
    let mixed = Routes { routes: vec![filtered("quick", "type == \"push\"", OnFilterError::Skip)], ..slow.clone() };
    let mixed = Routes { routes: [slow.routes.clone(), mixed.routes].concat(), ..mixed };
    let large = self::event("hub", "push", format!("[{}0]", "0,".repeat(100_000)));
    for routed in futures_util::future::join_all((0..40).map(|_| mixed.choose(&large))).await {
        assert_eq!(names(&routed), ["quick"]);
    }
    // The threads have ended by themselves, or will: what comes later finds a place.
    let small = self::event("hub", "push", "[0,0]");
    while !slow.choose(&small).await.failures.is_empty() {}
}
