//! Measures what questions about many events cost, and what many events cost those that come: `cargo bench --bench history`.
//! README.md beside this folder says what is measured and what the numbers mean.

#[path = "../common/mod.rs"]
mod common;
mod growth;
mod questions;
mod seed;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser as _;

use common::machine::Machine;
use common::positive;

/// Measures Onceward's history.
#[derive(clap::Parser)]
#[command(name = "cargo bench --bench history --")]
struct Arguments {
    /// What to measure, in this order
    #[arg(long, value_enum, value_delimiter = ',', default_value = "questions,growth")]
    only: Vec<Measurement>,
    /// How many events there are
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    events: u64,
    /// How often each question is asked, each time for something else
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Rounds of `growth`
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Length of a round
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// Where to put the databases: the disk that is measured. Default: the folder for temporary files
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Exit with 1 when a target is missed by far
    #[arg(long)]
    check: bool,
    /// Given by `cargo bench`, and absent when `cargo test` runs all targets
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Measurement {
    /// How long answers of the API take.
    Questions,
    /// How fast events are taken beside many, compared with none.
    Growth,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    common::self_check();
    seed::self_check();
    if !arguments.bench {
        println!("history: checked itself; `cargo bench --bench history` measures");
        return Ok(ExitCode::SUCCESS);
    }
    let folder = arguments.folder.clone().unwrap_or_else(std::env::temp_dir);
    let machine = Machine::look(&folder).with_context(|| format!("write to {}", folder.display()))?;
    for warning in machine.warnings() {
        eprintln!("warning: {warning}");
    }
    println!("\n{machine}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let targets = runtime.block_on(measure(&arguments, &folder))?;
    targets.iter().for_each(|target| println!("{target}"));
    let fast = targets.iter().all(common::target::Target::is_close) || !arguments.check;
    Ok(if fast { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(arguments: &Arguments, folder: &std::path::Path) -> anyhow::Result<Vec<common::target::Target>> {
    let folder = tempfile::tempdir_in(folder).context("make a folder for the database")?;
    seed::seed(folder.path(), arguments.events).await?;
    let mut targets = Vec::new();
    for measurement in &arguments.only {
        targets.extend(match measurement {
            Measurement::Questions => questions::measure(folder.path(), arguments.events, arguments.times).await?,
            Measurement::Growth => growth::measure(folder.path(), arguments.rounds, Duration::from_secs_f64(arguments.seconds)).await?,
        });
    }
    Ok(targets)
}
