//! How long the API takes to answer.

use std::path::Path;
use std::time::{Duration, Instant};

use onceward::history::Cursor;
use rusqlite::Connection;

use crate::common::latency::Histogram;
use crate::common::request::SplitMix;
use crate::common::table::table;
use crate::common::target::Target;
use crate::seed;
use crate::server::{Server, database};

/// How often it is looked how far the words are.
const LOOK: Duration = Duration::from_millis(200);

/// What is asked: made anew each time out of a random number below the number of events.
type Question = (&'static str, fn(u64) -> String);

const QUESTIONS: &[Question] = &[
    ("newest 50", |_| "events".to_owned()),
    ("200 from the middle", |n| format!("events?limit=200&cursor={}", Cursor::after(n as i64))),
    ("oldest first", |n| format!("events?order=asc&cursor={}", Cursor::after(n as i64))),
    ("by source", |n| format!("events?source=github&cursor={}", Cursor::after(n as i64))),
    ("by rare source", |_| "events?source=rare".to_owned()),
    ("by type", |n| format!("events?type=charge.succeeded&cursor={}", Cursor::after(n as i64))),
    ("by dead", |n| format!("events?status=dead&cursor={}", Cursor::after(n as i64))),
    ("by failing", |n| format!("events?status=failing&cursor={}", Cursor::after(n as i64))),
    ("by pending", |n| format!("events?status=pending&cursor={}", Cursor::after(n as i64))),
    ("by delivered", |n| format!("events?status=delivered&cursor={}", Cursor::after(n as i64))),
    ("by cancelled", |n| format!("events?status=cancelled&cursor={}", Cursor::after(n as i64))),
    ("by unrouted", |_| "events?status=unrouted&source=rare".to_owned()),
    ("by ID", |n| format!("events?event_id={}", seed::id(n))),
    ("source and type", |n| format!("events?source=rare&type=odd&cursor={}", Cursor::after(n as i64))),
    ("source and other type", |_| "events?source=rare&type=push".to_owned()),
    ("source and dead", |_| "events?source=rare&status=dead".to_owned()),
    ("type and failing", |_| "events?type=pull_request.opened&status=failing".to_owned()),
    ("source and delivered", |_| "events?source=rare&status=delivered".to_owned()),
    ("since and until", |_| "events?since=2020-01-01T00:00:00Z&until=2999-01-01T00:00:00Z".to_owned()),
    ("source and since", |_| "events?source=rare&since=2020-01-01T00:00:00Z".to_owned()),
    ("dead and until", |_| "events?status=dead&until=2999-01-01T00:00:00Z".to_owned()),
    ("q: ID", |n| format!("events?q={}", seed::id(n))),
    ("q: word of a few", |n| format!("events?q=user{}", n % 100_000)),
    ("q: in none", |n| format!("events?q=nowhere{n}")),
    ("q: in all", |_| "events?q=monthly".to_owned()),
    ("q: in all, deep", |n| format!("events?q=monthly&cursor={}", Cursor::after(n as i64))),
    ("q: two words", |n| format!("events?q=succeeded+card&cursor={}", Cursor::after(n as i64))),
    ("q: beginning", |n| format!("events?q=user{}*", n % 10_000 + 10_000)),
    ("q and source", |_| "events?q=monthly&source=rare".to_owned()),
    ("q and type", |n| format!("events?q=usd&type=push&cursor={}", Cursor::after(n as i64))),
    ("q and dead", |_| "events?q=monthly&status=dead".to_owned()),
    ("q and ID", |n| format!("events?q=monthly&event_id={}", seed::id(n))),
    ("deliveries", |n| format!("deliveries?cursor={}", Cursor::after(n as i64))),
    ("deliveries, dead", |n| format!("deliveries?status=dead&cursor={}", Cursor::after(n as i64))),
    ("deliveries, pending", |_| "deliveries?status=pending".to_owned()),
    ("deliveries, destination", |n| format!("deliveries?destination=app&cursor={}", Cursor::after(n as i64))),
    ("deliveries, source", |_| "deliveries?source=rare".to_owned()),
    ("deliveries, source and dead", |_| "deliveries?source=rare&status=dead".to_owned()),
    ("one event", |n| format!("events/stripe/{}", seed::id(n))),
    ("stats", |_| "stats".to_owned()),
];

/// Asks all of them, one after the other.
///
/// # Errors
/// When one is not answered.
pub(crate) async fn measure(folder: &Path, events: u64, times: u32) -> anyhow::Result<Vec<Target>> {
    let server = Server::start(folder).await?;
    let begun = Instant::now();
    until_indexed(folder, events).await?;
    eprintln!("questions: the words of {events} events were taken in {:.0} s", begun.elapsed().as_secs_f64());
    let (mut rows, mut worst) = (Vec::new(), Duration::ZERO);
    for (what, question) in QUESTIONS {
        let (mut latency, mut random, mut found) = (Histogram::new(), SplitMix(1), 0);
        for time in 0..times + 5 {
            let path = format!("/api/v1/{}", question(6 + random.next() % (events - 6)));
            let begun = Instant::now();
            // An event of another source than the question names is none.
            let Ok(answer) = server.get(&path).await else { continue };
            if time >= 5 {
                latency.record(begun.elapsed());
                found += answer.windows(11).filter(|window| *window == b"\"event_id\":" || *window == b"\"event\":{\"s").count();
            }
        }
        worst = worst.max(latency.quantile(0.99));
        let of = |q| format!("{:.2}", latency.quantile_ms(q));
        rows.push(vec![(*what).to_owned(), of(0.5), of(0.99), format!("{:.1}", found as f64 / f64::from(times))]);
    }
    println!("{events} events, each question {times} times\n\n{}", table(["", "p50 ms", "p99 ms", "rows"].into_iter(), rows.into_iter()));
    Ok(vec![Target::at_most("slowest question, p99 ms", worst.as_secs_f64() * 1e3, 5.0)])
}

async fn until_indexed(folder: &Path, events: u64) -> anyhow::Result<()> {
    let mut path = database(folder).into_os_string();
    path.push("-search");
    let index = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    index.busy_timeout(Duration::from_secs(5))?;
    while index.query_row("SELECT seq FROM reached", (), |row| row.get::<_, i64>(0))? < events.cast_signed() {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}
