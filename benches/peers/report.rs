//! Medians of the rounds, ratios between competitors of the same round, and both as a table or as JSON.

use std::fmt;

use comfy_table::Table;

use crate::common::load::Plan;
use crate::common::machine::Machine;
use crate::common::table::{median, table};
use crate::common::target::Target;
use crate::competitor::{Competitor, Round};
use crate::targets::{self, Measured};

type Column = (&'static str, fn(&Summary) -> String);

/// Throughput means something in a closed loop.
const CLOSED_LOOP: [Column; 2] = [("of A", |summary| ratio(summary.of_a)), ("of D", |summary| ratio(summary.of_d))];
/// In an open loop it is given; what matters is whether the requests were sent in time.
const OPEN_LOOP: [Column; 1] = [("sent late, p99 ms", |summary| format!("{:.2}", summary.lag_p99_ms))];

const EVER: [Column; 5] = [
    ("p50 ms", |summary| format!("{:.2}", summary.p50_ms)),
    ("p99 ms", |summary| format!("{:.2}", summary.p99_ms)),
    ("p99.9 ms", |summary| format!("{:.2}", summary.p999_ms)),
    ("CPU µs", |summary| format!("{:.1}", summary.cpu_us_per_request)),
    ("peak MB", |summary| format!("{:.1}", summary.peak_memory_mb)),
];

/// All that was measured.
#[derive(serde::Serialize)]
pub(crate) struct Report {
    machine: Machine,
    load: String,
    open_loop: bool,
    competitors: Vec<Summary>,
    targets: Vec<Target>,
    /// Requests without a 200, by competitor and kind.
    failures: Vec<String>,
    /// Databases that do not hold what was acknowledged.
    miscounts: Vec<String>,
}

#[derive(serde::Serialize)]
struct Summary {
    competitor: Competitor,
    requests_per_second: f64,
    of_a: Option<f64>,
    of_d: Option<f64>,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    lag_p99_ms: f64,
    cpu_us_per_request: f64,
    peak_memory_mb: f64,
    rounds: Vec<Round>,
}

impl Report {
    /// Sums the rounds up; `delivers` says whether Onceward had a destination.
    pub(crate) fn new(machine: Machine, plan: &Plan, delivers: bool, rounds: Vec<(Competitor, Vec<Round>)>) -> Self {
        let rates = |of: Competitor| {
            let found = rounds.iter().find(|(competitor, _)| *competitor == of);
            found.map(|(_, rounds)| rounds.iter().map(|round| round.requests_per_second).collect::<Vec<_>>())
        };
        let (a, d) = (rates(Competitor::A), rates(Competitor::D));
        let summed = rounds.into_iter().map(|(competitor, rounds)| Summary::new(competitor, rounds, a.as_deref(), d.as_deref()));
        let competitors: Vec<_> = summed.collect();
        let summary = |of: Competitor| competitors.iter().find(|summary| summary.competitor == of);
        let own = summary(Competitor::Onceward).map(|summary| targets::applicable(plan, delivers, &summary.measured()));
        let verified = summary(Competitor::B).and_then(|summary| targets::verification(plan, summary.of_a?));
        Self {
            machine,
            load: describe(plan, delivers),
            open_loop: plan.rate.is_some(),
            targets: verified.into_iter().chain(own.into_iter().flatten()).collect(),
            failures: complaints(&competitors, Round::failures),
            miscounts: complaints(&competitors, |round| round.miscount().into_iter().collect()),
            competitors,
        }
    }

    /// Whether every database holds what was acknowledged, and, unless failures are allowed, every request was.
    pub(crate) fn is_correct(&self, failures_allowed: bool) -> bool {
        self.miscounts.is_empty() && (failures_allowed || self.failures.is_empty())
    }

    /// Whether no target is missed by a wide margin.
    pub(crate) fn close_to_targets(&self) -> bool {
        self.targets.iter().all(Target::is_close)
    }

    /// As one JSON document.
    ///
    /// # Errors
    /// None that can happen with these types.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }
}

impl Summary {
    fn new(competitor: Competitor, rounds: Vec<Round>, a: Option<&[f64]>, d: Option<&[f64]>) -> Self {
        let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value));
        let ratio = |peer: &[f64]| median(rounds.iter().zip(peer).map(|(round, peer)| round.requests_per_second / peer));
        Self {
            competitor,
            requests_per_second: of(|round| round.requests_per_second),
            of_a: a.map(ratio),
            of_d: d.map(ratio),
            p50_ms: of(|round| round.p50_ms),
            p99_ms: of(|round| round.p99_ms),
            p999_ms: of(|round| round.p999_ms),
            lag_p99_ms: of(|round| round.lag_p99_ms),
            cpu_us_per_request: of(|round| round.cpu_us_per_request),
            peak_memory_mb: of(|round| round.peak_memory_mb),
            rounds,
        }
    }

    fn measured(&self) -> Measured {
        let Self { of_a, of_d, p99_ms, peak_memory_mb, .. } = *self;
        Measured { of_a, of_d, p99_ms, peak_memory_mb }
    }

    fn rates(&self) -> String {
        let rates = || self.rounds.iter().map(|round| round.requests_per_second);
        let (least, most) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
        format!("{:.0} ({least:.0}–{most:.0})", self.requests_per_second)
    }

    /// What the competitor's database was found to hold after the last round.
    fn account(&self) -> Option<String> {
        let round = self.rounds.last().filter(|_| self.competitor.stores())?;
        let name = self.competitor.name();
        Some(match round.stored {
            Some(stored) => format!("{name}: {stored} events stored after the kill, {} distinct acknowledged", round.acknowledged),
            None => format!("{name}: not counted, its database has no table `event`"),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n{}\n", self.machine, self.load)?;
        writeln!(f, "{}\n", self.table())?;
        let accounts = self.competitors.iter().filter_map(Summary::account);
        let targets = self.targets.iter().map(Target::to_string);
        let wrong = self.miscounts.iter().chain(&self.failures).map(|complaint| format!("WRONG  {complaint}"));
        accounts.chain(targets).chain(wrong).try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl Report {
    fn table(&self) -> Table {
        let first: [Column; 2] = [("", |summary| summary.competitor.name().to_owned()), ("requests/s (min–max)", Summary::rates)];
        let second = if self.open_loop { &OPEN_LOOP[..] } else { &CLOSED_LOOP[..] };
        let columns: Vec<&Column> = first.iter().chain(second).chain(&EVER).collect();
        let rows = self.competitors.iter().map(|summary| columns.iter().map(|(_, cell)| cell(summary)).collect());
        table(columns.iter().map(|(title, _)| *title), rows)
    }
}

fn ratio(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// What was wrong in some round, with the competitor's name.
fn complaints(competitors: &[Summary], of: impl Fn(&Round) -> Vec<String>) -> Vec<String> {
    let named = |summary: &Summary| {
        let all = summary.rounds.iter().flat_map(&of);
        all.map(|complaint| format!("{}: {complaint}", summary.competitor.name())).collect::<Vec<_>>()
    };
    competitors.iter().flat_map(named).collect()
}

fn describe(plan: &Plan, delivers: bool) -> String {
    let Plan { connections, rate, duplicates, warm_up, measured, .. } = plan;
    let pace = rate.map_or_else(|| "closed loop".to_owned(), |rate| format!("open loop at {rate}/s"));
    let repeats = if *duplicates > 0.0 { format!(", {:.0} % duplicates", duplicates * 100.0) } else { String::new() };
    let destination = if delivers { ", Onceward delivers" } else { "" };
    format!("{pace}, {connections} connections{repeats}{destination}, {measured:?} a round after {warm_up:?} of warm-up")
}
