//! How long after its answer an event arrives at its destination, at a rate at which nothing has to wait.

use std::fmt;
use std::time::Duration;

use anyhow::Context as _;

use crate::account::Account;
use crate::arguments::Arguments;
use crate::common::load::{self, Exchange, Plan};
use crate::common::table::table;
use crate::common::target::Target;
use crate::server::{FORWARD, Server, Setup, database};
use crate::sink::{Manner, Sink};
use crate::spread::{Spread, between};

const LOOK: Duration = Duration::from_millis(50);
/// The rate for which there is a target.
const TARGET_RATE: f64 = 100.0;

/// From sent to answered to arrived.
#[derive(serde::Serialize)]
pub(crate) struct Latency {
    load: String,
    rate: f64,
    sent_to_answered: Spread,
    answered_to_arrived: Spread,
    sent_to_arrived: Spread,
    sent_late_p99_ms: f64,
    /// The share of deliveries that never had to be claimed.
    handed_over: f64,
    wrong: Vec<String>,
}

impl Latency {
    /// Measures.
    ///
    /// # Errors
    /// When the server cannot be started or watched, or stops delivering.
    pub(crate) async fn measure(arguments: &Arguments) -> anyhow::Result<Self> {
        let plan = arguments.latency();
        let folder = tempfile::tempdir_in(arguments.folder()).context("make a folder for the database")?;
        let sink = Sink::start(Manner::Well)?;
        let server = Server::start(folder.path(), &Setup::Forward(&sink.url())).await?;
        let outcome = load::run(&plan, server.address, || server.process.cpu_time()).await?;
        server.until_delivered(FORWARD, outcome.acknowledged, LOOK).await?;
        drop(server);
        let account = Account::of(&database(folder.path()), FORWARD)?;
        let arrivals = sink.arrivals();
        let arrived = || outcome.exchanges.iter().filter_map(|exchange| Some((exchange, arrivals.of(&exchange.id)?)));
        let missing = outcome.exchanges.len() - arrived().count();
        let missing = (missing > 0).then(|| format!("{missing} events have not arrived"));
        let wrong = account.wrong(outcome.sent, outcome.acknowledged, true).into_iter().chain(missing).chain(outcome.complaints());
        Ok(Self {
            load: describe(&plan, arguments.rate),
            rate: arguments.rate,
            sent_to_answered: Spread::of(outcome.exchanges.iter().map(|Exchange { sent, answered, .. }| between(*sent, *answered))),
            answered_to_arrived: Spread::of(arrived().map(|(exchange, at)| between(exchange.answered, at))),
            sent_to_arrived: Spread::of(arrived().map(|(exchange, at)| between(exchange.sent, at))),
            sent_late_p99_ms: outcome.lag.quantile_ms(0.99),
            handed_over: account.handed_over_share(),
            wrong: wrong.collect(),
        })
    }

    /// What is to be reached.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let applies = self.rate <= TARGET_RATE;
        let target = || Target::at_most("answer to arrival p99 at 100/s, ms", self.answered_to_arrived.p99, 0.5);
        applies.then(target).into_iter().collect()
    }

    /// What must not be.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.wrong.clone()
    }
}

fn describe(plan: &Plan, rate: f64) -> String {
    let Plan { connections, warm_up, measured, .. } = plan;
    format!("open loop at {rate}/s, {connections} connections, {measured:?} after {warm_up:?} of warm-up")
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = ["ms", "min", "p50", "p99", "max"];
        let rows = [
            ("sent to answered", &self.sent_to_answered),
            ("answered to arrived", &self.answered_to_arrived),
            ("sent to arrived", &self.sent_to_arrived),
        ];
        let rows = rows.into_iter().map(|(name, spread)| row(name, spread));
        writeln!(f, "latency: {}\n\n{}\n", self.load, table(header.into_iter(), rows))?;
        let early = self.answered_to_arrived.negative * 100.0;
        writeln!(f, "{early:.1} % arrived before their answer had come to the sender, which counts as a negative time.")?;
        writeln!(f, "Sent late, p99: {:.2} ms. Handed over: {:.1} %.", self.sent_late_p99_ms, self.handed_over * 100.0)
    }
}

fn row(name: &str, spread: &Spread) -> Vec<String> {
    let Spread { min, p50, p99, max, .. } = spread;
    [name.to_owned()].into_iter().chain([min, p50, p99, max].map(|value| format!("{value:.3}"))).collect()
}
