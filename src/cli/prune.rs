//! `onceward prune`: what the housekeeping of a server does, now, or only what it would do.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::output;
use super::settings::{Place, UsageError};
use super::signals::stop_on_signals;
use crate::app::{self, Ages};
use crate::domain::{parse_duration, print_duration};

/// Forget what is older than the retention says, now.
#[derive(Args)]
pub(super) struct Arguments {
    /// Only count what would go
    #[arg(long)]
    dry_run: bool,
    /// Headers, bodies and attempts that are older, instead of the configuration's `retention.bodies`: 30d
    #[arg(long, value_name = "AGE", value_parser = age)]
    bodies: Option<Duration>,
    /// Whole events that are older, instead of the configuration's `retention.ids`: 400d
    #[arg(long, value_name = "AGE", value_parser = age)]
    ids: Option<Duration>,
    #[command(flatten)]
    place: Place,
    /// JSON
    #[arg(long)]
    json: bool,
}

/// What went, or would go.
#[derive(Serialize)]
struct Told {
    dry_run: bool,
    events: u64,
    payloads: u64,
    /// Counted only where nothing is done yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (ages, database) = (ages(arguments)?, arguments.place.path()?);
    let told = super::runtime()?.block_on(async {
        if arguments.dry_run {
            let found = app::prunable(&database, ages).await?;
            return Ok(Told { dry_run: true, events: found.events, payloads: found.payloads, bytes: Some(found.bytes) });
        }
        let stop = CancellationToken::new();
        stop_on_signals(&stop)?;
        let gone = app::prune(&database, ages, &stop).await?;
        anyhow::Ok(Told { dry_run: false, events: gone.events, payloads: gone.payloads, bytes: None })
    })?;
    match arguments.json {
        true => output::json(&told)?,
        false => output::line(told.line(ages))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn age(text: &str) -> Result<Duration, String> {
    let age = parse_duration(text).map_err(|error| error.to_string())?;
    if age.is_zero() { Err("must be more than zero".to_owned()) } else { Ok(age) }
}

/// As the flags say, else as the configuration does. Without either nothing is guessed: what is forgotten too early is handled twice.
fn ages(arguments: &Arguments) -> anyhow::Result<Ages> {
    let file = &arguments.place.file;
    let (bodies, ids) = match (arguments.bodies, arguments.ids, file.path()) {
        (Some(bodies), Some(ids), _) => (bodies, ids),
        (.., None) => return Err(UsageError("how old? --bodies and --ids, or -c FILE with a configuration".to_owned()).into()),
        (bodies, ids, Some(_)) => {
            let configured = file.load()?.retention;
            (bodies.unwrap_or(configured.bodies), ids.unwrap_or(configured.ids))
        }
    };
    if ids < bodies {
        let (ids, bodies) = (print_duration(ids), print_duration(bodies));
        return Err(UsageError(format!("--ids {ids} must be at least --bodies {bodies}: an event keeps its ID")).into());
    }
    Ok(Ages { bodies, ids })
}

impl Told {
    fn line(&self, ages: Ages) -> String {
        let Self { events, payloads, .. } = self;
        let (bodies, ids) = (print_duration(ages.bodies), print_duration(ages.ids));
        let size = self.bytes.map(|bytes| format!(", {}", output::bytes(bytes))).unwrap_or_default();
        let came = if self.dry_run { "would go, and nothing has" } else { "are gone" };
        format!("{payloads} payloads older than {bodies}{size}, and {events} events older than {ids} {came}")
    }
}
