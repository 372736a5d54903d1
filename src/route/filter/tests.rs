//! What filters say of events, and what is said of filters.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const BODY: &str = r#"{"ref":"refs/heads/main","n":1,"f":1.5,"big":18446744073709551615,"huge":1e300,"none":null,"flag":true,
    "repository":{"id":42,"name":"a","topics":["x","y"]},"commits":[{"id":"1","files":["a.rs"]},{"id":"2","message":"fix: b"}],
    "pages":[],"b":2,"text":"Grüße"}"#;

fn asked(content_type: &str, body: impl Into<crate::domain::Body>) -> Asked {
    let headers = [("Content-Type", content_type.as_bytes()), ("X-GitHub-Event", b"push"), ("x-twice", b"1"), ("x-twice", b"2")];
    Asked { source: "github".into(), event_type: "push".into(), headers: headers.into_iter().collect(), body: body.into() }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn decide_on(asked: &Asked, text: &str) -> Result<bool, Fault> {
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    filter.decide(&Facts::of(asked, filter.reads_body()), far())
}

fn decide(text: &str) -> Result<bool, Fault> {
    decide_on(&asked("application/json", BODY), text)
}

#[test]
fn a_filter_holds_or_not() {
    let holding = [
        r#"body.ref == "refs/heads/main""#,
        r#"body.ref == "refs/heads/main" && !("x-test" in headers)"#,
        r#"body.ref.startsWith("refs/heads/") && body.ref.endsWith("main") && body.ref.contains("heads")"#,
        r#"body["ref"] == "refs/heads/main""#,
        r#"headers["x-github-event"] == type && type == "push" && source == "github""#,
        r#"headers["x-twice"] == "1, 2""#,
        r#""x-github-event" in headers"#,
        "body.repository.id == 42 && body.repository.id > 41 && body.repository.id in [1, 42]",
        "body.n == 1.0 && body.f > 1 && body.big > 9223372036854775807 && body.huge > 1.0e299",
        "body.none == null && body.flag",
        "has(body.ref) && !has(body.absent) && !has(body.repository.absent)",
        "body.absent == 1 || body.b == 2",
        "body.b == 2 || body.absent == 1",
        "!(body.absent == 1 && body.b == 3)",
        "body.b == 2 ? body.n == 1 : body.absent == 1",
        r#"body.commits.exists(c, c.message.startsWith("fix"))"#,
        r#"body.commits.exists(c, c.files.exists(f, f.endsWith(".rs")))"#,
        "body.commits.all(c, size(c.id) == 1) && body.commits.exists_one(c, has(c.message))",
        r#"body.commits.map(c, c.id) == ["1", "2"] && body.commits.filter(c, c.id > "1").size() == 1"#,
        r#"body.commits.map(c, c.id == "2", c.message)[0] == "fix: b""#,
        r#"["x", "y"] == body.repository.topics && "x" in body.repository.topics"#,
        r#"{"id": 42, "name": "a"}.name == body.repository.name"#,
        r#"body.repository.all(name, name in ["id", "name", "topics"])"#,
        r#"body.ref.matches("^refs/heads/(main|release-.*)$") && matches(body.ref, "main")"#,
        "type(body.n) == int && type(body.ref) == string && type(type) == string",
        "string(body.n) == \"1\" && int(\"7\") == 7 && double(body.n) == 1.0 && bool(\"true\")",
        "size(body.text) == 5 && body.text + \"!\" == \"Grüße!\"",
        "[[1, 2], [3]].all(list, list.all(number, number > 0))",
        "true",
    ];
    for text in holding {
        assert_eq!(decide(text), Ok(true), "{text}");
    }
    for text in [r#"body.ref == "refs/heads/other""#, "type == \"pull\"", "!has(body.ref)", "body.pages.exists(p, true)", "false"] {
        assert_eq!(decide(text), Ok(false), "{text}");
    }
}

/// What is asked of what is not there, in as many ways as there are.
const ABSENT: &[&str] = &[
    "body.x == 1",
    "body.x != 1",
    "!(body.x == 1)",
    "body.x",
    "body.x.y.z == 1",
    "body[\"x\"] == 1",
    "body.x[0] == 1",
    "headers[\"x-none\"] == \"1\"",
    "body.x.startsWith(\"a\")",
    "size(body.x) == 1",
    "1 in body.x",
    "body.x.exists(item, true)",
    "body.x.all(item, true)",
    "has(body.x.y)",
    "body.x == 1 || body.y == 1",
    "body.x == 1 && body.y == 1",
    "body.x > 1 ? true : true",
];

#[test]
fn what_is_not_there_makes_a_filter_false() {
    for text in ABSENT {
        assert_eq!(decide(text), Ok(false), "{text}");
    }
    for text in ["body.ref.x == 1", "body.n.x == 1", "body.none.x == 1", "body.pages[0] == 1", "body.pages.x == 1", "body.commits[-1] == 1"]
    {
        assert_eq!(decide(text), Ok(false), "{text}");
    }
}

#[test]
fn whatever_a_body_is_its_absent_fields_make_a_filter_false() {
    for body in ["", "no json", "7", "null", "[]", "\"text\"", "true", "1.5", "{}"] {
        for text in ABSENT {
            assert_eq!(decide_on(&asked("application/json", body), text), Ok(false), "{text} on {body}");
        }
    }
    assert_eq!(decide_on(&asked("", &b"\xff"[..]), "body.x == 1"), Ok(false));
}

#[test]
fn forms_and_other_bodies_can_be_asked() {
    let form = asked("application/x-www-form-urlencoded", "payload=%7B%7D&action=opened&action=closed");
    assert_eq!(decide_on(&form, r#"body.action == "opened" && body.payload == "{}" && !has(body.x)"#), Ok(true));
    assert_eq!(decide_on(&asked("text/plain", "deploy now"), r#"body.contains("now") && body == "deploy now""#), Ok(true));
    assert_eq!(decide_on(&asked("text/plain", r#"{"Type":"Notification"}"#), r#"body.Type == "Notification""#), Ok(true));
    assert_eq!(decide_on(&asked("", &b"\xff\x00"[..]), "size(body) == 2 && type(body) == bytes"), Ok(true));
}

#[test]
fn what_goes_wrong_otherwise_is_a_fault_that_shows_nothing_of_the_event() {
    let cases = [
        ("body.n.startsWith(\"a\")", "applied to 'int.(string)'"),
        ("body.ref > 1", "applied to '(string, int)'"),
        ("body.ref + 1 == 2", "cannot add string and int"),
        ("body.ref", "came to string"),
        ("body", "came to map"),
        ("body.n && true", "'(int, bool)'"),
        ("!body.n", "'(int)'"),
        ("body.n / 0 == 1", "division by zero"),
        ("body.n + 9223372036854775807 == 1", "too large"),
        ("int(body.ref) == 1", "`int` failed"),
        ("body.ref.all(c, true)", "iterable"),
        ("body.n.matches(\"a\")", "'matches'"),
        ("body.n in body.ref", "'(int, string)'"),
        ("{body.n: 1, 1: 2} == {}", "twice"),
        ("body.n ? true : false", "bool was needed"),
    ];
    for (text, said) in cases {
        let fault = decide(text).expect_err(text).to_string();
        assert!(fault.contains(said), "{text}: {fault}");
        assert!(!fault.contains("refs/heads") && !fault.contains("42"), "{text}: {fault}");
    }
}

#[test]
fn what_is_wrong_with_a_filter_is_said_before_any_event() {
    let cases = [
        ("", "is empty"),
        ("  ", "is empty"),
        ("body.ref ==", "is no CEL expression, at 1:"),
        ("body.ref = \"x\"", "is no CEL expression, at 1:"),
        ("body.ref == 'x", "is no CEL expression, at 1:13"),
        ("body.?ref == 1", "is no CEL expression"),
        ("boddy.ref == 1", "there is no variable `boddy`; did you mean `body`?"),
        ("event.x == 1", "there is no variable `event`; there are body, headers, type, source"),
        ("body.all(x, y == 1)", "there is no variable `y`"),
        ("body.exists(x, true) && x == 1", "there is no variable `x`"),
        ("body.ref.startWith(\"x\")", "there is no function `startWith`; did you mean `startsWith`?"),
        ("_odd(body)", "there is no function `_odd`"),
        ("optional.none() == body", "there is no function `none`"),
        ("body.optMap(x, x + x) == 1", "there is no function `hasValue`"),
        ("timestamp(body.at) > 1", "there is no function `timestamp`"),
        ("Thing{a: 1} == body", "there is no type `Thing`"),
        ("size() == 1", "`size` is not called like that"),
        ("contains(body.ref, \"a\")", "`contains` is not called like that"),
        ("body.exists(true)", "`exists` is not called like that"),
        ("has(body)", "is no CEL expression"),
        ("body.ref.matches(body.pattern)", "in quotes"),
        ("body.ref.matches(\"(\")", "cannot be read"),
        ("body.ref.matches(\"(a{200}){200}\")", "too large"),
        ("\"push\"", "must be true or false, and is text"),
        ("type", "is text"),
        ("headers", "is a map"),
        ("string", "is a type"),
        ("size(body)", "is a number"),
        ("body.a + body.b", "is a number or text"),
        ("type == \"push\" && size(body)", "is a number"),
        ("!body.map(x, x)", "is a list"),
        ("body.a ? 1 : true", "is a number"),
        ("1 / 0 == 1", "always fails: division by zero"),
        ("\"a\" > 1", "always fails"),
        ("[1].all(a, [a].all(b, [b].all(c, true)))", "within each other"),
    ];
    for (text, said) in cases {
        let error = Filter::parse(text).expect_err(text);
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert_eq!(error.to_string().lines().count(), 1, "{text}: {error}");
        assert!(!error.without_text().contains("boddy") && !error.without_text().contains("Thing"), "{text}");
    }
}

#[test]
fn a_filter_is_bounded_in_text_depth_and_loops() {
    let deep = |depth: usize| format!("{}true{}", "(!".repeat(depth), ")".repeat(depth));
    let texts = [
        format!("body.x == \"{}\"", "a".repeat(MOST_TEXT)),
        deep(30),
        deep(900),
        format!("body.n{} == 1", " + 1".repeat(900)),
        format!("body{} == 1", ".a".repeat(1900)),
        format!("body{} == 1", "[0]".repeat(1300)),
        format!("{}true", "body.a ? true : ".repeat(250)),
        format!("{}[]{} == body", "[".repeat(1900), "]".repeat(1900)),
        "(".repeat(4000),
        "[".repeat(4000),
        "{".repeat(4000),
        "body.all(x, true) && ".repeat(20) + "true",
        "a.".repeat(2000),
    ];
    for text in texts {
        assert!(Filter::parse(&text).is_err(), "{}…", &text[..40]);
    }
    // Signs that take each other back are none.
    assert_eq!(decide(&format!("{}true", "!".repeat(4000))), Ok(true));
    let wide = vec!["body.ref == \"refs/heads/x\""; 120].join(" || ");
    assert_eq!(decide(&wide), Ok(false), "a long list of alternatives is not deep");
}

#[test]
fn the_deepest_filter_needs_no_more_stack_than_a_thread_has() {
    let sums = format!("body.n{} > 1", " + 1".repeat(20));
    let nested = format!("{}[body.n]{} != []", "[".repeat(20), "]".repeat(20));
    let (sums, nested) = (Filter::parse(&sums).unwrap(), Filter::parse(&nested).unwrap());
    // Less than what a thread gets by default, of which others need a part; without optimisation, which needs the most.
    let small = std::thread::Builder::new().stack_size(3 << 19);
    let thread = small.spawn(move || {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let facts = Facts::of(&asked("", deep), true);
        let same = Filter::parse("[body, body] == [body, body]").unwrap();
        assert_eq!(same.decide(&facts, far()), Ok(true));
        let facts = Facts::of(&asked("", BODY), true);
        assert_eq!((sums.decide(&facts, far()), nested.decide(&facts, far())), (Ok(true), Ok(true)));
    });
    thread.unwrap().join().unwrap();
}

#[test]
fn a_slow_filter_ends_soon_after_its_time() {
    let numbers = asked("", format!("[{}0]", "0,".repeat(20_000)));
    let facts = Facts::of(&numbers, true);
    let slow = [
        "body.all(x, body.all(y, x == y))",
        "body.exists(x, body.exists(y, x != y))",
        "body.exists_one(x, body.exists_one(y, x != y))",
        "body.map(x, body.filter(y, x != y)) == [1]",
        "body.filter(x, body.exists(y, x != y)) == [1]",
        "body.map(x, body.exists(y, x != y), 1) == [1]",
    ];
    for text in slow {
        let filter = Filter::parse(text).unwrap();
        let begin = Instant::now();
        assert_eq!(filter.decide(&facts, begin + Duration::from_millis(20)), Err(Fault::Late), "{text}");
        assert!(begin.elapsed() < Duration::from_secs(2), "{text}: {:?}", begin.elapsed());
    }
}

#[test]
fn what_a_filter_collects_is_bounded() {
    let body = format!(r#"{{"text":"{}","items":[{}0]}}"#, "a".repeat(1 << 20), "0,".repeat(100));
    let facts = Facts::of(&asked("", body), true);
    for text in ["body.items.map(x, body.text) == []", "body.items.map(x, [body.text]).size() == 101"] {
        assert_eq!(Filter::parse(text).unwrap().decide(&facts, far()), Err(Fault::Large), "{text}");
    }
}

#[test]
fn a_pattern_is_not_looked_for_in_a_text_of_any_length() {
    let long = asked("text/plain", "a".repeat(MOST_MATCHED + 1));
    assert_eq!(decide_on(&long, "body.matches(\"b\")"), Err(Fault::LongText));
}

#[test]
fn a_filter_that_asks_no_body_has_none_read() {
    let large = asked("", vec![b'x'; facts::MOST_BYTES + 1]);
    assert_eq!(decide_on(&large, "type == \"push\""), Ok(true));
    assert!(matches!(decide_on(&large, "body.x == 1"), Err(Fault::Unread(_))));
}

#[test]
fn every_function_that_is_allowed_is_there() {
    for text in ["bool(body.flag)", "bytes(body.ref) == b\"a\"", "uint(body.n) == 1u", "dyn(body.n) == 1", "body.ref.size() > 1"] {
        assert!(decide(text).is_ok(), "{text}: {:?}", decide(text));
    }
}

#[test]
fn the_filters_of_the_readme_are_filters() {
    let readme = include_str!("../../../README.md");
    let filters: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("filter = '")?.strip_suffix('\'')).collect();
    assert_eq!(filters.len(), 5, "{filters:?}");
    for filter in filters {
        assert!(decide(filter).is_ok(), "{filter}");
    }
}

#[test]
fn debug_shows_nothing_of_the_text() {
    assert!(!format!("{:?}", Filter::parse("body.x == \"hush\"").unwrap()).contains("hush"));
}

/// Texts that are nearly CEL.
fn likely() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "(body|headers|type|source|x|true|null|\\[|\\]|\\(|\\)|\\{|\\}|\\.|==|&&|\\|\\||!|\\?|:|,|\\+|-|/|%|<|in|has|all|exists|map)",
        "[0-9]{1,20}(\\.[0-9]{1,3})?(u|e[0-9]{1,3})?",
        "\"[a-z\\\\]{0,5}\"?",
        "r?'[^a]{0,3}'?",
        "[ -~é]{1,2}",
    ];
    prop_oneof![proptest::collection::vec(part, 0..20).prop_map(|parts| parts.join(" ")), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 300 } else { 5_000 }))]

    #[test]
    fn no_text_and_no_body_break_anything(text in likely(), body in proptest::collection::vec(any::<u8>(), 0..60)) {
        let asked = asked("", body);
        if let Ok(filter) = Filter::parse(&text) {
            prop_assert_ne!(filter.decide(&Facts::of(&asked, true), far()), Err(Fault::Broken));
        }
        let filter = Filter::parse("body.a == 1 || body.all(x, x == body[0])").unwrap();
        prop_assert_ne!(filter.decide(&Facts::of(&asked, true), far()), Err(Fault::Broken));
    }
}
