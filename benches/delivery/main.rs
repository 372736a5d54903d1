//! Measures how the release binary delivers, beside itself without deliveries: `cargo bench --bench delivery`. README.md beside
//! this folder says what is measured and what the numbers mean.

mod account;
mod arguments;
mod arrival;
mod backlog;
#[path = "../common/mod.rs"]
mod common;
mod isolation;
mod ratio;
mod report;
mod seed;
mod server;
mod sink;
mod spread;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;

use arguments::Arguments;
use common::{bare, machine::Machine};
use report::Report;

fn main() -> anyhow::Result<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [bare::COMMAND, port] => bare::serve(port.parse()?).map(|()| ExitCode::SUCCESS).context(bare::COMMAND),
        _ => measure(&Arguments::parse()),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    for self_check in [common::self_check, account::self_check, seed::self_check, server::self_check, sink::self_check, spread::self_check]
    {
        self_check();
    }
    if !arguments.bench {
        println!("delivery: checked itself; `cargo bench --bench delivery` measures");
        return Ok(ExitCode::SUCCESS);
    }
    let folder = arguments.folder();
    let machine = Machine::look(&folder).with_context(|| format!("write to {}", folder.display()))?;
    for warning in machine.warnings() {
        eprintln!("warning: {warning}");
    }
    if !arguments.json {
        println!("\n{machine}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::new(machine);
    for measurement in &arguments.only {
        let text = runtime.block_on(report.add(*measurement, arguments))?;
        if !arguments.json {
            println!("\n{text}");
        }
    }
    if arguments.json {
        println!("{}", report.json()?);
    }
    let fast = report.close_to_targets() || !arguments.check;
    Ok(if report.is_correct() && fast { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
