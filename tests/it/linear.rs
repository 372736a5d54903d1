//! Work on a request grows with its size and no faster, whatever it holds: sixteen times as much takes about sixteen times as
//! long. Times on a shared machine scatter, so the best of several runs counts, and what is caught is the square.

use std::time::{Duration, Instant};

use onceward::domain::{RawRequest, Timestamp};
use onceward::fuzzing;
use onceward::provider::{Provider, Table};

/// How much more the large request has.
const FACTOR: usize = 16;
/// Linear work would take 16 times as long, and the square of it 256 times.
const MOST: f64 = 90.0;
/// The most runs of which the best counts.
const RUNS: usize = 20;
/// Below this, the clock tells more of itself than of the work.
const LEAST: Duration = Duration::from_micros(60);

/// A kind of request that grows with a number.
type Kind = (&'static str, usize, fn(&Provider, usize) -> RawRequest);

const KINDS: &[Kind] = &[
    ("a long list in every signature header", 200, |row, n| request(&signature_headers(row, &"v1=00,t=1 v1,AA== ".repeat(n)), "{}")),
    ("deep arrays", 500, |_, n| request(&NONE, &("[".repeat(n) + &"]".repeat(n)))),
    ("deep objects", 200, |_, n| request(&NONE, &("{\"id\":".repeat(n) + "1" + &"}".repeat(n)))),
    ("a key again and again", 200, |_, n| request(&NONE, &format!("{{{}\"x\":0}}", "\"data\":{\"id\":1},".repeat(n)))),
    ("a long array", 300, |_, n| request(&NONE, &format!("[{}0]", "{\"event\":\"a\"},".repeat(n)))),
    ("many form fields", 150, |_, n| request(&NONE, &"payload=%7B%7D&a+b=c%20d&".repeat(n))),
    ("many headers", 150, |_, n| request(&many_headers(n), "{}")),
    ("many query parameters", 150, |_, n| RawRequest { query: "token=a&access_token=b&".repeat(n), ..request(&NONE, "{}") }),
];

/// No headers at all: what a body is, is told by the body.
const NONE: [(&str, String); 0] = [];

fn request(headers: &[(impl AsRef<str>, String)], body: &str) -> RawRequest {
    RawRequest {
        method: "POST".into(),
        path: "/hooks/any".into(),
        subpath: String::new(),
        query: String::new(),
        headers: headers.iter().map(|(name, value)| (name.as_ref(), value.as_bytes())).collect(),
        body: body.to_owned().into(),
        received_at: Timestamp::from_secs(1_767_323_045),
    }
}

/// The same value wherever the row looks for a signature.
fn signature_headers(provider: &Provider, value: &str) -> Vec<(String, String)> {
    let names = provider.row.signature.0.iter().filter_map(|row| row.header.as_deref());
    let mut names: Vec<_> = names.map(|name| name.replace('*', "1")).collect();
    names.dedup();
    names.into_iter().map(|name| (name, value.to_owned())).collect()
}

/// Headers that `Connection` names.
fn many_headers(count: usize) -> Vec<(String, String)> {
    let names: Vec<_> = (0..count).map(|number| format!("x-{number}")).collect();
    let connection = [("connection".to_owned(), names.join(", "))];
    connection.into_iter().chain(names.into_iter().map(|name| (name, "value".to_owned()))).collect()
}

/// How long one row takes for a request; `None` when there is no such row.
fn time(row: usize, request: &RawRequest) -> Option<Duration> {
    let began = Instant::now();
    fuzzing::judge(row, request, request.received_at).then(|| began.elapsed())
}

/// How many times as long the large request takes, each at its best; `None` when there is no such row.
fn ratio(row: usize, small: &RawRequest, large: &RawRequest) -> Option<f64> {
    let (mut one, mut many) = (Duration::MAX, Duration::MAX);
    for _ in 0..RUNS {
        one = one.min(time(row, small)?).max(LEAST);
        many = many.min(time(row, large)?);
        if many.as_secs_f64() / one.as_secs_f64() <= MOST / 3.0 {
            break;
        }
    }
    Some(many.as_secs_f64() / one.as_secs_f64())
}

#[test]
fn sixteen_times_the_request_is_about_sixteen_times_the_work() {
    let mut wrong = Vec::new();
    for (row, provider) in Table::builtin().iter().enumerate() {
        for (what, size, make) in KINDS {
            let ratio = ratio(row, &make(provider, *size), &make(provider, *size * FACTOR)).expect("rows are in the table's order");
            if ratio > MOST {
                wrong.push(format!("{}, {what}: {ratio:.0} times as long", provider.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nesting_without_end_is_refused_and_does_not_exhaust_the_stack() {
    // A stack of 256 KiB: recursion twenty thousand deep would not fit.
    let judged = std::thread::Builder::new().stack_size(256 << 10).spawn(|| {
        for open in ["[", "{\"id\":", "{\"data\":[", "{\"event\":{\"id\":"] {
            let request = request(&NONE, &open.repeat(20_000));
            let mut row = 0;
            while fuzzing::judge(row, &request, request.received_at) {
                row += 1;
            }
            assert!(row > 100);
        }
    });
    judged.unwrap().join().unwrap();
}
