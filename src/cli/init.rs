//! `onceward init`

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::output;
use crate::config::Config;

/// Write a commented configuration file.
#[derive(Args)]
pub(super) struct Arguments {
    /// The file to write
    #[arg(default_value = "onceward.toml")]
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut options = OpenOptions::new();
    options.write(true);
    match arguments.force {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    let name = arguments.file.display();
    let mut file = options.open(&arguments.file).with_context(|| format!("cannot write {name} (--force replaces a file)"))?;
    file.write_all(Config::default_text().as_bytes()).with_context(|| format!("cannot write {name}"))?;
    output::line(format!("wrote {name}: set the sources, then run `onceward check` and `onceward serve`"))?;
    Ok(ExitCode::SUCCESS)
}
