//! What delivering costs: events a second until each is delivered and that is recorded, beside events a second that are only
//! taken in.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::account::Account;
use crate::arguments::Arguments;
use crate::common::bare;
use crate::common::load::{self, Outcome, Plan};
use crate::common::table::{median, table};
use crate::common::target::Target;
use crate::server::{FORWARD, Server, Setup, database};

/// How often the end of a drain is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// Rounds without and with a destination, by turns.
#[derive(serde::Serialize)]
pub(crate) struct Ratio {
    load: String,
    alone: Vec<Round>,
    delivering: Vec<Round>,
    /// Events a second with a destination as a share of those without in the same round, the median.
    share: f64,
}

/// What one round gave.
#[derive(serde::Serialize)]
struct Round {
    /// From the first request to the last answer, or to the last delivery that is recorded.
    events_per_second: f64,
    /// How much of that time came after the last answer.
    drain_seconds: f64,
    cpu_us_per_event: f64,
    peak_memory_mb: f64,
    /// Deliveries that never had to be claimed.
    handed_over: f64,
    /// What the store was asked to do: an event and the end of its delivery are one each, and so is a claim of several.
    operations_per_event: f64,
    wrong: Vec<String>,
}

/// The measured part of a round.
struct Phase {
    outcome: Outcome,
    until: Instant,
    cpu: Duration,
}

impl Ratio {
    /// Measures.
    ///
    /// # Errors
    /// When a server cannot be started or watched, or stops delivering.
    pub(crate) async fn measure(arguments: &Arguments) -> anyhow::Result<Self> {
        let plans = arguments.ratio();
        let (mut alone, mut delivering) = (Vec::new(), Vec::new());
        for number in 1..=arguments.rounds {
            alone.push(Round::run(&plans, &arguments.folder(), false).await?);
            delivering.push(Round::run(&plans, &arguments.folder(), true).await?);
            let last = [&alone, &delivering].map(|rounds: &Vec<Round>| rounds.last().map_or(0.0, |round| round.events_per_second));
            eprintln!("ratio {number}/{}  alone {:>6.0}/s  delivered {:>6.0}/s", arguments.rounds, last[0], last[1]);
        }
        let shares = delivering.iter().zip(&alone).map(|(one, other): (&Round, &Round)| one.events_per_second / other.events_per_second);
        let share = median(shares);
        let [warm_up, Plan { connections, measured, .. }] = &plans;
        let load = format!("closed loop, {connections} connections, {measured:?} a round after {:?} of warm-up", warm_up.measured);
        Ok(Self { load, alone, delivering, share })
    }

    /// What is to be reached.
    pub(crate) fn targets(&self) -> Vec<Target> {
        vec![Target::at_least("delivered and recorded, of ingest alone", self.share, 0.65)]
    }

    /// What must not be.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.alone.iter().chain(&self.delivering).flat_map(|round| round.wrong.clone()).collect()
    }
}

impl Round {
    async fn run([warm_up, measured]: &[Plan; 2], folder: &Path, delivers: bool) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(folder).context("make a folder for the database")?;
        let sink = if delivers { Some(bare::start(folder.path()).await?) } else { None };
        let setup = sink.as_ref().map_or(Setup::Nowhere, |(url, _)| Setup::Forward(url));
        let server = Server::start(folder.path(), &setup).await?;
        let warm = Phase::run(&server, warm_up, delivers.then_some(0)).await?;
        let before = server.metrics().await?;
        let phase = Phase::run(&server, measured, delivers.then_some(warm.outcome.acknowledged)).await?;
        let after = server.metrics().await?;
        let memory = server.process.peak_memory()?;
        drop(server);
        let account = Account::of(&database(folder.path()), FORWARD)?;
        let events = phase.outcome.acknowledged.max(1) as f64;
        let operations = after.sum("onceward_commit_events_sum", &[]) - before.sum("onceward_commit_events_sum", &[]);
        let total = |of: fn(&Outcome) -> u64| of(&warm.outcome) + of(&phase.outcome);
        let (sent, acknowledged) = (total(|outcome| outcome.sent), total(|outcome| outcome.acknowledged));
        let failures = [&warm, &phase].map(|phase| phase.outcome.complaints()).concat();
        Ok(Self {
            events_per_second: events / phase.until.duration_since(phase.outcome.began).as_secs_f64(),
            drain_seconds: phase.until.saturating_duration_since(phase.outcome.ended).as_secs_f64(),
            cpu_us_per_event: phase.cpu.as_secs_f64() * 1e6 / events,
            peak_memory_mb: memory as f64 / f64::from(1 << 20),
            handed_over: account.handed_over_share(),
            operations_per_event: operations / events,
            wrong: account.wrong(sent, acknowledged, delivers).into_iter().chain(failures).collect(),
        })
    }
}

impl Phase {
    /// Puts the load on, and, where so many were `delivered` before, waits until all of it is delivered as well.
    async fn run(server: &Server, plan: &Plan, delivered: Option<u64>) -> anyhow::Result<Self> {
        let before = server.process.cpu_time()?;
        let outcome = load::run(plan, server.address, || server.process.cpu_time()).await;
        let outcome = outcome.with_context(|| format!("the server said: {}", server.process.log_tail()))?;
        let until = match delivered {
            None => outcome.ended,
            Some(delivered) => server.until_delivered(FORWARD, delivered + outcome.acknowledged, LOOK).await?,
        };
        let cpu = server.process.cpu_time()?.saturating_sub(before);
        Ok(Self { outcome, until, cpu })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["", "events/s (min–max)", "drain s", "CPU µs", "peak MB", "handed over", "operations an event"];
        let rows = [("ingest alone", &self.alone), ("delivered and recorded", &self.delivering)];
        let rows = rows.into_iter().map(|(name, rounds)| row(name, rounds));
        writeln!(f, "ratio: {}\n\n{}", self.load, table(header.into_iter(), rows))
    }
}

fn row(name: &str, rounds: &[Round]) -> Vec<String> {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
    let rates = || rounds.iter().map(|round| round.events_per_second);
    let (least, most) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    vec![
        name.to_owned(),
        format!("{:.0} ({least:.0}–{most:.0})", median(rates())),
        format!("{:.2}", of(|round| round.drain_seconds)),
        format!("{:.1}", of(|round| round.cpu_us_per_event)),
        format!("{:.1}", of(|round| round.peak_memory_mb)),
        format!("{:.0} %", of(|round| round.handed_over) * 100.0),
        format!("{:.2}", of(|round| round.operations_per_event)),
    ]
}
