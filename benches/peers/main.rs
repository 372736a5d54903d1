//! Measures the release binary beside its peers in alternating rounds: `cargo bench --bench peers`. README.md beside this
//! folder says who they are and what the numbers mean.

#[path = "../common/mod.rs"]
mod common;
mod competitor;
mod naive;
mod report;
mod targets;
mod verified;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;

use common::{bare, load::Plan, machine, positive};
use competitor::{Competitor, Round};
use report::Report;

/// Measures Onceward beside a bare and a naive server, in alternating rounds.
#[derive(clap::Parser)]
#[command(name = "cargo bench --bench peers --")]
struct Arguments {
    /// Rounds of each competitor; the table shows medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a measurement.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// Load before each measurement, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    warm_up: f64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Who takes part, in this order.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "a,h,b,d,onceward")]
    only: Vec<Competitor>,
    /// Open loop: requests a second on a fixed schedule, latency from the scheduled time. Without it: closed loop.
    #[arg(long, value_parser = positive)]
    rate: Option<f64>,
    /// Share of requests that repeat a recent event, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    duplicates: f64,
    /// Have Onceward deliver to a bare server at the same time; without it, events have no destination.
    #[arg(long)]
    deliver: bool,
    /// Where to put the databases: the disk that is measured. Default: the folder for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Exit with 1 when a target is missed by far.
    #[arg(long)]
    check: bool,
    /// Do not fail when requests do. A database that does not hold what was acknowledged fails all the same.
    #[arg(long)]
    allow_failures: bool,
    /// Given by `cargo bench`, and absent when `cargo test` runs all targets.
    #[arg(long, hide = true)]
    bench: bool,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| "a number from 0 to 1".to_owned())
}

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bare::COMMAND, port] => bare::serve(port.parse()?).map(|()| ExitCode::SUCCESS).context("serve-bare"),
        ["serve-verified", port] => verified::serve(port.parse()?).map(|()| ExitCode::SUCCESS).context("serve-verified"),
        ["serve-by-hand", port] => verified::serve_by_hand(port.parse()?).map(|()| ExitCode::SUCCESS).context("serve-by-hand"),
        ["serve-naive", port, database] => naive::serve(port.parse()?, Path::new(database)).map(|()| ExitCode::SUCCESS),
        _ => measure(&Arguments::parse()),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    common::self_check();
    if !arguments.bench {
        println!("peers: checked itself; `cargo bench --bench peers` measures");
        return Ok(ExitCode::SUCCESS);
    }
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let machine = machine::Machine::look(&folder).with_context(|| format!("write to {}", folder.display()))?;
    for warning in machine.warnings() {
        eprintln!("warning: {warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let rounds = runtime.block_on(alternate(arguments, &folder))?;
    let report = Report::new(machine, &arguments.plan(), arguments.deliver, rounds);
    print!("{}", if arguments.json { report.json()? } else { report.to_string() });
    let correct = report.is_correct(arguments.allow_failures);
    let fast = report.close_to_targets() || !arguments.check;
    Ok(if correct && fast { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All competitors once, then all again: a machine that drifts does so under each of them.
async fn alternate(arguments: &Arguments, folder: &Path) -> anyhow::Result<Vec<(Competitor, Vec<Round>)>> {
    let plan = arguments.plan();
    let mut rounds: Vec<_> = arguments.only.iter().map(|competitor| (*competitor, Vec::new())).collect();
    for number in 1..=arguments.rounds {
        for (competitor, done) in &mut rounds {
            let round = competitor.round(&plan, folder, arguments.deliver).await?;
            let (rate, p99) = (round.requests_per_second, round.p99_ms);
            eprintln!("round {number}/{}  {:<8} {rate:>8.0}/s  p99 {p99:.2} ms", arguments.rounds, competitor.name());
            done.push(round);
        }
    }
    Ok(rounds)
}

impl Arguments {
    fn plan(&self) -> Plan {
        Plan {
            connections: usize::from(self.connections),
            rate: self.rate,
            duplicates: self.duplicates,
            warm_up: Duration::from_secs_f64(self.warm_up),
            measured: Duration::from_secs_f64(self.seconds),
            noted: false,
        }
    }
}
