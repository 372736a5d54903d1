//! `onceward backup`: the database as a file, taken while a server uses it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::output;
use super::settings::Place;
use super::signals::stop_on_signals;
use crate::app::{self, BackupError};

/// Copy the database to a file, while a server uses it.
#[derive(Args)]
pub(super) struct Arguments {
    /// The file to write
    file: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Place,
    /// JSON
    #[arg(long)]
    json: bool,
}

/// A backup that was made.
#[derive(Serialize)]
struct Made {
    database: String,
    file: String,
    size: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (runtime, stop) = (super::runtime()?, CancellationToken::new());
    // A signal ends it in good order, so that no part of a backup is left.
    runtime.block_on(async { stop_on_signals(&stop) })?;
    let database = arguments.place.path()?;
    let size = match app::backup(&database, &arguments.file, arguments.force, &|| stop.is_cancelled()) {
        Ok(size) => size,
        Err(error @ BackupError::Exists(_)) => bail!("{error} (--force replaces it)"),
        Err(error) => return Err(error.into()),
    };
    let (database, file) = (database.display().to_string(), arguments.file.display().to_string());
    match arguments.json {
        true => output::json(&Made { database, file, size })?,
        false => output::line(format!("{database} is backed up to {file}: {}", output::bytes(size)))?,
    }
    Ok(ExitCode::SUCCESS)
}
