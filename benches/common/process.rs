//! A competitor as a process of its own: started, watched through /proc (Linux), and ended by its ID.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const START_LIMIT: Duration = Duration::from_secs(20);
/// /proc counts CPU time in hundredths of a second, whatever the kernel's own tick is.
const TICK: Duration = Duration::from_millis(10);

/// A running competitor; dropping it kills the process.
pub(crate) struct Process {
    child: Child,
    log: std::path::PathBuf,
}

impl Process {
    /// Starts the command with its output in a file, and waits until `/healthz` answers 200.
    ///
    /// # Errors
    /// When it does not start, ends early, or does not answer in time; with the end of its log.
    pub(crate) async fn start(command: Command, address: SocketAddr, log: &Path) -> anyhow::Result<Self> {
        let mut process = Self::spawn(command, log)?;
        process.wait_until_healthy(address).await?;
        Ok(process)
    }

    /// Starts the command with its output in a file, and waits for nothing.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let output = File::create(log).with_context(|| format!("create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("start {}", command.get_program().display()))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Fails when the process has ended by itself.
    ///
    /// # Errors
    /// With the end of its output.
    pub(crate) fn ensure_alive(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the server ended early: {status}; its output was: {}", self.log_tail()),
            None => Ok(()),
        }
    }

    /// Waits until `/healthz` answers 200.
    ///
    /// # Errors
    /// When it ends early, or does not answer in time; with the end of its output.
    pub(crate) async fn wait_until_healthy(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            self.ensure_alive()?;
            if let Ok(true) = tokio::time::timeout(Duration::from_secs(1), healthy(address)).await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("no answer from http://{address}/healthz within {START_LIMIT:?}; its output was: {}", self.log_tail())
    }

    /// CPU time spent so far, of all threads, in user and kernel mode.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(crate) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).context("CPU time needs Linux's /proc")?;
        // The second field, the name, may hold blanks; fields 14 and 15 count from behind its bracket.
        let (_, fields) = stat.rsplit_once(')').context("unexpected /proc/PID/stat")?;
        let ticks: u32 = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
        Ok(TICK * ticks)
    }

    /// The most memory it has had resident, in bytes.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("memory needs Linux's /proc")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM in /proc/PID/status")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().context("unexpected VmHWM")?;
        Ok(kilobytes * 1024)
    }

    /// The last lines of its output.
    pub(crate) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Either call fails only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn healthy(address: SocketAddr) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    ask.await.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}

/// A loopback address whose port was free a moment ago.
///
/// # Errors
/// When there is none.
pub(crate) fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
