//! Jobs that a server does in the background: begun here, and followed until they end or somebody has seen enough.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::output;
use super::remote::{Remote, RemoteError};
use super::shapes::{self, Job};
use super::signals::stop_on_signals;

/// How often a job is asked how far it has come.
const POLL: Duration = Duration::from_millis(500);

/// How a job is followed.
#[derive(Args)]
pub(super) struct Following {
    /// Begin, and do not wait for the end
    #[arg(long)]
    detach: bool,
    /// JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Begins a job, and follows it. It fails where not all could be done.
pub(super) async fn begin(remote: &Remote, path: &[&str], what: &serde_json::Value, following: &Following) -> anyhow::Result<ExitCode> {
    // From now on, so that a signal never falls between the beginning and the following.
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let begun: Box<RawValue> = remote.post(path, what).await.map_err(RemoteError::or_no_api)?;
    let job: Job = shapes::read(&begun)?;
    if following.detach {
        return told(&begun, &job, following.json).map(|()| ExitCode::SUCCESS);
    }
    match follow(remote, begun, &stop).await? {
        Some(ended) => {
            let job: Job = shapes::read(&ended)?;
            told(&ended, &job, following.json)?;
            Ok(ExitCode::from(u8::from(job.failed > 0 || job.status != "done")))
        }
        None => {
            let id = output::clean(&job.id);
            eprintln!("job {id} goes on in the server: `onceward replays show {id}` looks at it, `onceward replays cancel {id}` stops it");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Until the job has ended; `None` where somebody has seen enough before that.
async fn follow(remote: &Remote, begun: Box<RawValue>, stop: &CancellationToken) -> anyhow::Result<Option<Box<RawValue>>> {
    let (mut job, mut progress) = (begun, Progress::new());
    let mut poll = tokio::time::interval(POLL);
    loop {
        let now: Job = shapes::read(&job)?;
        progress.show(&now);
        if now.status != "running" {
            return Ok(Some(job));
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            _ = poll.tick() => {}
        }
        let path = ["replays", now.id.as_str()];
        let asked = remote.one(&path, || format!("there is no job {} any more", output::clean(&now.id)));
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            found = asked => job = found?,
        }
    }
}

/// A line on standard error that is written over and over; none where nobody looks.
struct Progress {
    is_watched: bool,
    is_begun: bool,
}

impl Progress {
    fn new() -> Self {
        Self { is_watched: std::io::stderr().is_terminal(), is_begun: false }
    }

    fn show(&mut self, job: &Job) {
        if self.is_watched {
            self.is_begun = true;
            // Whoever cannot see how far it has come is told at the end.
            let _ = write!(std::io::stderr(), "\r\u{1b}[K{}", line(job));
        }
    }
}

/// What comes after it begins on a line of its own.
impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_begun {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn told(raw: &RawValue, job: &Job, json: bool) -> anyhow::Result<()> {
    match json {
        true => Ok(output::line(raw)?),
        false => Ok(output::line(line(job))?),
    }
}

/// Where a job stands.
pub(super) fn line(job: &Job) -> String {
    let failed = if job.failed > 0 { format!(", {} failed", job.failed) } else { String::new() };
    output::clean(&format!("{} {} {}: {} of {}{failed}", job.kind, job.id, job.status, job.done + job.failed, job.total))
}
