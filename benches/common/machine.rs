//! Facts about the machine without which the numbers mean nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use super::latency::Histogram;

const SYNCS: usize = 200;

/// Processor, kernel, load, and the price of a synced write.
#[derive(serde::Serialize)]
pub(crate) struct Machine {
    cores: usize,
    processor: String,
    kernel: String,
    load_average: f64,
    fdatasync_p50_ms: f64,
    fdatasync_p99_ms: f64,
}

impl Machine {
    /// Looks, and appends 200 × 4 KB with fdatasync to a file in the folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn look(folder: &Path) -> std::io::Result<Self> {
        let syncs = sync_times(folder)?;
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            cores: std::thread::available_parallelism()?.get(),
            processor: model.map_or("unknown processor", |(_, model)| model).to_owned(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_average: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default(),
            fdatasync_p50_ms: syncs.quantile_ms(0.5),
            fdatasync_p99_ms: syncs.quantile_ms(0.99),
        })
    }

    /// What makes the numbers worth little.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let memory = (self.fdatasync_p50_ms < 0.01).then_some("the folder does not seem to be on a disk; choose one with --folder");
        let busy = (self.load_average > 0.25 * self.cores as f64).then_some("other programs are at work; durable servers suffer most");
        memory.into_iter().chain(busy)
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cores, processor, kernel, load_average, fdatasync_p50_ms, fdatasync_p99_ms } = self;
        write!(f, "{cores} cores, {processor}, Linux {kernel}, load {load_average} before the start, ")?;
        write!(f, "fdatasync p50 {fdatasync_p50_ms:.3} ms, p99 {fdatasync_p99_ms:.3} ms")
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn sync_times(folder: &Path) -> std::io::Result<Histogram> {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path)?;
    let mut times = Histogram::new();
    for _ in 0..SYNCS {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.record(start.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(times)
}
