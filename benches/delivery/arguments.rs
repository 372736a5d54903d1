//! What the command line says.

use std::path::PathBuf;
use std::time::Duration;

use crate::common::load::Plan;
use crate::common::positive;

/// Measures how Onceward delivers.
#[derive(clap::Parser)]
#[command(name = "cargo bench --bench delivery --")]
pub(crate) struct Arguments {
    /// What to measure, in this order.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "ratio,latency,isolation,backlog")]
    pub(crate) only: Vec<Measurement>,
    /// Rounds of `ratio` and `isolation`; the tables show medians.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Length of a round.
    #[arg(long, default_value_t = 5.0, value_parser = positive)]
    seconds: f64,
    /// Load before each round, in seconds.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    warm_up: f64,
    /// Keep-alive connections.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Events a second of `latency`.
    #[arg(long, default_value_t = 100.0, value_parser = positive)]
    pub(crate) rate: f64,
    /// Length of `latency`.
    #[arg(long, default_value_t = 20.0, value_parser = positive)]
    latency_seconds: f64,
    /// Events a second of `isolation`.
    #[arg(long, default_value_t = 1_000.0, value_parser = positive)]
    pub(crate) isolation_rate: f64,
    /// Attempts at the bad destinations of `isolation` go on however often they have failed.
    #[arg(long)]
    pub(crate) no_circuit: bool,
    /// Pending deliveries of `backlog`.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) events: u64,
    /// How long the draining of `backlog` is watched.
    #[arg(long, default_value_t = 30.0, value_parser = positive)]
    drain_seconds: f64,
    /// Pending deliveries of a second backlog, which is drained to its end; 0 for none.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) drain_all: u64,
    /// Where to put the databases: the disk that is measured. Default: the folder for temporary files.
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Exit with 1 when a target is missed by far.
    #[arg(long)]
    pub(crate) check: bool,
    /// Given by `cargo bench`, and absent when `cargo test` runs all targets.
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Measurement {
    /// Throughput to the recorded end of each delivery, beside that of ingest alone.
    Ratio,
    /// From the answer to the arrival.
    Latency,
    /// Answers and arrivals while other destinations misbehave.
    Isolation,
    /// Start and drain with many deliveries pending.
    Backlog,
}

impl Arguments {
    /// Where databases are put.
    pub(crate) fn folder(&self) -> PathBuf {
        self.folder.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// The closed loop of `ratio`. The warm-up is a load of its own, so that the account of the measurement begins at zero.
    pub(crate) fn ratio(&self) -> [Plan; 2] {
        [self.warm_up, self.seconds].map(|seconds| self.plan(None, 0.0, seconds))
    }

    /// The open loop of `latency`.
    pub(crate) fn latency(&self) -> Plan {
        self.plan(Some(self.rate), self.warm_up, self.latency_seconds)
    }

    /// The open loop of `isolation`.
    pub(crate) fn isolation(&self) -> Plan {
        self.plan(Some(self.isolation_rate), self.warm_up, self.seconds)
    }

    /// How long the draining of a backlog is watched.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs_f64(self.drain_seconds)
    }

    fn plan(&self, rate: Option<f64>, warm_up: f64, seconds: f64) -> Plan {
        Plan {
            connections: usize::from(self.connections),
            rate,
            duplicates: 0.0,
            warm_up: Duration::from_secs_f64(warm_up),
            measured: Duration::from_secs_f64(seconds),
            noted: rate.is_some(),
        }
    }
}
