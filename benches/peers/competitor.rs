//! The competitors, and one round of one of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};

use crate::common::bare;
use crate::common::load::{self, Outcome, Plan};
use crate::common::onceward;
use crate::common::process::{Process, free_address};

/// Who takes part.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Competitor {
    /// HTTP alone: reads the body, answers 200.
    A,
    /// A with the HMAC checked by hand: the least that a proof costs.
    H,
    /// A with Onceward's verifier: what the proof alone costs.
    B,
    /// Naive: verifies, one synced transaction a request behind a mutex.
    D,
    /// The release binary.
    Onceward,
}

/// What one round of one competitor gave.
#[derive(serde::Serialize)]
pub(crate) struct Round {
    pub(crate) requests_per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) lag_p99_ms: f64,
    pub(crate) cpu_us_per_request: f64,
    pub(crate) peak_memory_mb: f64,
    /// Distinct events sent and acknowledged, warm-up included.
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    /// Rows in the database afterwards; none where there is no table to count.
    pub(crate) stored: Option<u64>,
    pub(crate) failures: BTreeMap<String, u64>,
}

impl Competitor {
    /// As the table calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A bare",
            Self::B => "B verify",
            Self::H => "H by hand",
            Self::D => "D naive",
            Self::Onceward => "Onceward",
        }
    }

    /// Whether it keeps what it acknowledges.
    pub(crate) fn stores(self) -> bool {
        !matches!(self, Self::A | Self::B | Self::H)
    }

    /// Starts the server on a new database, puts the load on it, kills it, and counts what it kept. Where Onceward
    /// `delivers`, it does so to another bare server.
    ///
    /// # Errors
    /// When the server cannot be started or watched.
    pub(crate) async fn round(self, plan: &Plan, folder: &Path, delivers: bool) -> anyhow::Result<Round> {
        let folder = tempfile::tempdir_in(folder).context("make a folder for the database")?;
        let database = folder.path().join("events.db");
        let address = free_address()?;
        let sink = if delivers && self == Self::Onceward { Some(bare::start(folder.path()).await?) } else { None };
        let command = self.command(address, &database, sink.as_ref().map(|(url, _)| url.as_str()))?;
        let process = Process::start(command, address, &folder.path().join("output.log")).await;
        let process = process.with_context(|| format!("start {}", self.name()))?;
        let outcome = load::run(plan, address, || process.cpu_time()).await;
        let outcome = outcome.with_context(|| format!("{} said: {}", self.name(), process.log_tail()))?;
        let memory = process.peak_memory()?;
        // Killed, not asked to stop: what it has acknowledged must be in the file already.
        drop(process);
        let stored = self.stores().then(|| count_events(&database)).transpose()?.flatten();
        Ok(Round::new(plan, outcome, memory, stored))
    }

    fn command(self, address: SocketAddr, database: &Path, forward: Option<&str>) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        match self {
            Self::A => return Ok(bare::command(address)?),
            Self::H => command.arg("serve-by-hand").arg(address.port().to_string()),
            Self::B => command.arg("serve-verified").arg(address.port().to_string()),
            Self::D => command.arg("serve-naive").arg(address.port().to_string()).arg(database),
            Self::Onceward => return Ok(onceward::command(address, free_address()?, database, forward)),
        };
        Ok(command)
    }
}

impl Round {
    fn new(plan: &Plan, outcome: Outcome, peak_memory: u64, stored: Option<u64>) -> Self {
        Self {
            requests_per_second: outcome.answered as f64 / plan.measured.as_secs_f64(),
            p50_ms: outcome.latency.quantile_ms(0.5),
            p99_ms: outcome.latency.quantile_ms(0.99),
            p999_ms: outcome.latency.quantile_ms(0.999),
            lag_p99_ms: outcome.lag.quantile_ms(0.99),
            cpu_us_per_request: outcome.cpu.as_secs_f64() * 1e6 / outcome.answered.max(1) as f64,
            peak_memory_mb: peak_memory as f64 / f64::from(1 << 20),
            sent: outcome.sent,
            acknowledged: outcome.acknowledged,
            stored,
            failures: outcome.failures,
        }
    }

    /// Requests without a 200, by kind.
    pub(crate) fn failures(&self) -> Vec<String> {
        load::complaints(&self.failures)
    }

    /// An event that was acknowledged must be stored, once; one whose answer failed may be.
    pub(crate) fn miscount(&self) -> Option<String> {
        let Self { sent, acknowledged, .. } = *self;
        let stored = self.stored?;
        let right = (acknowledged..=sent).contains(&stored);
        (!right).then(|| format!("{stored} events stored, but {acknowledged} distinct ones acknowledged of {sent} sent"))
    }
}

/// Rows of the table `event`; `None` when the database has no such table.
fn count_events(database: &Path) -> anyhow::Result<Option<u64>> {
    let connection = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY).context("open the database again")?;
    let exists: bool =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'event'", [], |row| row.get(0))?;
    if !exists {
        return Ok(None);
    }
    let count: i64 = connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0))?;
    Ok(Some(count.cast_unsigned()))
}
