//! What bad destinations cost everyone else: answers to senders, and arrivals at a destination that is well.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use crate::account::Account;
use crate::arguments::Arguments;
use crate::common::load::{self, Plan};
use crate::common::request::SECRET;
use crate::common::table::{median, table};
use crate::common::target::Target;
use crate::server::{Server, Setup, database};
use crate::sink::{Manner, Sink};
use crate::spread::{Spread, between};

const LOOK: Duration = Duration::from_millis(50);
/// The destination that is well.
const HEALTHY: &str = "healthy";
/// Those that are not.
const BAD: [(&str, Manner); 4] =
    [("hanging", Manner::Hangs), ("failing", Manner::Fails), ("cutting", Manner::Cuts), ("dripping", Manner::Drips)];

/// Rounds with the healthy destination alone and beside bad ones, by turns.
#[derive(serde::Serialize)]
pub(crate) struct Isolation {
    load: String,
    alone: Vec<Round>,
    beside: Vec<Round>,
    /// The p99 of answers beside bad destinations as a multiple of that without in the same round, the median.
    factor: f64,
}

/// What one round gave.
#[derive(serde::Serialize)]
struct Round {
    answer_p50_ms: f64,
    answer_p99_ms: f64,
    /// From due to arrived at the healthy destination.
    arrival_p50_ms: f64,
    arrival_p99_ms: f64,
    cpu_us_per_event: f64,
    peak_memory_mb: f64,
    /// Attempts at bad destinations, an event.
    bad_attempts: f64,
    wrong: Vec<String>,
}

impl Isolation {
    /// Measures.
    ///
    /// # Errors
    /// When a server cannot be started or watched, or stops delivering to the healthy destination.
    pub(crate) async fn measure(arguments: &Arguments) -> anyhow::Result<Self> {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        for number in 1..=arguments.rounds {
            alone.push(Round::run(arguments, &[]).await?);
            beside.push(Round::run(arguments, &BAD).await?);
            let last = [&alone, &beside].map(|rounds: &Vec<Round>| rounds.last().map_or(0.0, |round| round.answer_p99_ms));
            eprintln!("isolation {number}/{}  answer p99 alone {:.2} ms  beside {:.2} ms", arguments.rounds, last[0], last[1]);
        }
        let factor = median(beside.iter().zip(&alone).map(|(one, other): (&Round, &Round)| one.answer_p99_ms / other.answer_p99_ms));
        Ok(Self { load: describe(arguments), alone, beside, factor })
    }

    /// What is to be reached.
    pub(crate) fn targets(&self) -> Vec<Target> {
        vec![Target::at_most("answer p99 beside bad destinations, of that without", self.factor, 1.2)]
    }

    /// What must not be.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.alone.iter().chain(&self.beside).flat_map(|round| round.wrong.clone()).collect()
    }
}

impl Round {
    async fn run(arguments: &Arguments, bad: &[(&'static str, Manner)]) -> anyhow::Result<Self> {
        let plan = arguments.isolation();
        let folder = tempfile::tempdir_in(arguments.folder()).context("make a folder for the database")?;
        let healthy = Sink::start(Manner::Well)?;
        let bad = bad.iter().map(|(name, manner)| Ok((*name, Sink::start(*manner)?))).collect::<std::io::Result<Vec<_>>>()?;
        let file = configure(folder.path(), &healthy, &bad, !arguments.no_circuit)?;
        let server = Server::start(folder.path(), &Setup::File(&file)).await?;
        let outcome = load::run(&plan, server.address, || server.process.cpu_time()).await?;
        server.until_delivered(HEALTHY, outcome.acknowledged, LOOK).await?;
        let metrics = server.metrics().await?;
        let all = metrics.sum("onceward_attempts_total", &[]);
        let bad_attempts = all - metrics.sum("onceward_attempts_total", &[("destination", HEALTHY)]);
        let memory = server.process.peak_memory()?;
        drop(server);
        let account = Account::of(&database(folder.path()), HEALTHY)?;
        let arrivals = healthy.arrivals();
        let arrived = outcome.exchanges.iter().filter_map(|exchange| Some(between(exchange.due, arrivals.of(&exchange.id)?)));
        let arrival = Spread::of(arrived);
        Ok(Self {
            answer_p50_ms: outcome.latency.quantile_ms(0.5),
            answer_p99_ms: outcome.latency.quantile_ms(0.99),
            arrival_p50_ms: arrival.p50,
            arrival_p99_ms: arrival.p99,
            cpu_us_per_event: outcome.cpu.as_secs_f64() * 1e6 / outcome.answered.max(1) as f64,
            peak_memory_mb: memory as f64 / f64::from(1 << 20),
            bad_attempts: bad_attempts / outcome.acknowledged.max(1) as f64,
            wrong: account.wrong(outcome.sent, outcome.acknowledged, true).into_iter().chain(outcome.complaints()).collect(),
        })
    }
}

/// Writes the configuration file. Bad destinations get a time-out that is shorter than a round, so that their attempts end
/// and are tried again within it.
fn configure(folder: &Path, healthy: &Sink, bad: &[(&str, Sink)], circuit: bool) -> std::io::Result<PathBuf> {
    let mut text = format!("[sources.stripe]\nprovider = \"stripe\"\nsecret = \"{SECRET}\"\n");
    let mut add = |name: &str, sink: &Sink, more: &str| {
        text.push_str(&format!("[destinations.{name}]\nfrom = [\"stripe\"]\nurl = \"{}\"\n{more}", sink.url()));
    };
    add(HEALTHY, healthy, "");
    let more = if circuit { "timeout = \"1s\"\n" } else { "timeout = \"1s\"\ncircuit = { failures = 0 }\n" };
    for (name, sink) in bad {
        add(name, sink, more);
    }
    let file = folder.join("onceward.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

fn describe(arguments: &Arguments) -> String {
    let Plan { connections, warm_up, measured, .. } = arguments.isolation();
    let rate = arguments.isolation_rate;
    let circuit = if arguments.no_circuit { ", without circuits" } else { "" };
    format!("open loop at {rate}/s, {connections} connections, {measured:?} a round after {warm_up:?} of warm-up{circuit}")
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["", "answer p50 ms", "p99 ms", "arrival p50 ms", "p99 ms", "CPU µs", "peak MB", "bad attempts an event"];
        let rows = [("one healthy destination", &self.alone), ("beside four bad ones", &self.beside)];
        let rows = rows.into_iter().map(|(name, rounds)| row(name, rounds));
        writeln!(f, "isolation: {}\n\n{}", self.load, table(header.into_iter(), rows))
    }
}

fn row(name: &str, rounds: &[Round]) -> Vec<String> {
    let of = |value: fn(&Round) -> f64, digits: usize| format!("{:.digits$}", median(rounds.iter().map(value)));
    vec![
        name.to_owned(),
        of(|round| round.answer_p50_ms, 2),
        of(|round| round.answer_p99_ms, 2),
        of(|round| round.arrival_p50_ms, 2),
        of(|round| round.arrival_p99_ms, 2),
        of(|round| round.cpu_us_per_event, 1),
        of(|round| round.peak_memory_mb, 1),
        of(|round| round.bad_attempts, 3),
    ]
}
