//! The program under measurement: started with or without destinations, and asked how far it is.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::common::onceward;
use crate::common::process::{Process, free_address};

/// The destination that `--forward` makes.
pub(crate) const FORWARD: &str = "stripe";

/// For so long nothing may be delivered before a drain is given up.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Where events go.
pub(crate) enum Setup<'a> {
    /// Nowhere.
    Nowhere,
    /// To one URL, as the destination [`FORWARD`].
    Forward(&'a str),
    /// As this file says.
    File(&'a Path),
}

/// The running program.
pub(crate) struct Server {
    /// Its process.
    pub(crate) process: Process,
    /// Where it receives.
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
}

/// Where the database of a folder lies.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("events.db")
}

impl Server {
    /// Starts it on the database of the folder, and waits for nothing.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn spawn(folder: &Path, setup: &Setup<'_>) -> anyhow::Result<Self> {
        let (address, admin, database) = (free_address()?, free_address()?, database(folder));
        let command = match setup {
            Setup::Nowhere => onceward::command(address, admin, &database, None),
            Setup::Forward(url) => onceward::command(address, admin, &database, Some(url)),
            Setup::File(file) => onceward::command_of_file(address, admin, &database, file),
        };
        let process = Process::spawn(command, &folder.join("output.log"))?;
        Ok(Self { process, address, admin })
    }

    /// Starts it on the database of the folder, and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn start(folder: &Path, setup: &Setup<'_>) -> anyhow::Result<Self> {
        let mut server = Self::spawn(folder, setup)?;
        server.process.wait_until_healthy(server.address).await?;
        Ok(server)
    }

    /// What it counts.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) async fn metrics(&self) -> anyhow::Result<Metrics> {
        let mut stream = TcpStream::connect(self.admin).await.context("connect to the admin listener")?;
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the metrics are no HTTP")?;
        anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "no metrics: {head}");
        Ok(Metrics(body.to_owned()))
    }

    /// Waits until so many deliveries of the destination are recorded as delivered since the start, and returns when that was
    /// seen. It is looked for so often: each look counts what is pending.
    ///
    /// # Errors
    /// When no delivery has ended for half a minute.
    pub(crate) async fn until_delivered(&self, destination: &str, wanted: u64, every: Duration) -> anyhow::Result<Instant> {
        let (mut best, mut since) = (0, Instant::now());
        loop {
            let delivered =
                self.metrics().await?.sum("onceward_deliveries_total", &[("destination", destination), ("outcome", "delivered")]);
            let (now, delivered) = (Instant::now(), delivered as u64);
            if delivered >= wanted {
                return Ok(now);
            }
            if delivered > best {
                (best, since) = (delivered, now);
            }
            if since.elapsed() > STANDSTILL {
                bail!(
                    "{delivered} of {wanted} deliveries after {STANDSTILL:?} without one more; its output was: {}",
                    self.process.log_tail()
                );
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// Prometheus text.
pub(crate) struct Metrics(String);

impl Metrics {
    /// The sum of all samples of this name that have these labels; 0 when there are none.
    pub(crate) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.0.lines().filter_map(|line| sample(line, name, labels)).sum()
    }
}

fn sample(line: &str, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let (rest, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
    let all = labels.iter().all(|(label, value)| rest.contains(&format!("{label}=\"{value}\"")));
    let whole = rest.is_empty() || rest.starts_with('{');
    if whole && all { value.parse().ok() } else { None }
}

/// Checks what is read from Prometheus text.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let text = "# HELP a x\na{to=\"x\",outcome=\"ok\"} 3\na{to=\"y\",outcome=\"ok\"} 4\na{to=\"x\",outcome=\"no\"} 8\na_sum 16\nb 2.5\n";
    let metrics = Metrics(text.to_owned());
    for (name, labels, sum) in
        [("a", &[][..], 15_u64), ("a", &[("to", "x")], 11), ("a", &[("outcome", "ok"), ("to", "y")], 4), ("a_sum", &[], 16), ("c", &[], 0)]
    {
        assert_eq!(metrics.sum(name, labels) as u64, sum, "{name} {labels:?}");
    }
}
