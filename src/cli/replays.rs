//! `onceward replays`: the jobs that deliver many events again, or make many deliveries due again.

use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::json;
use serde_json::value::RawValue;

use super::listing::{self, List, Pages};
use super::reading::Answers;
use super::remote::{Query, Remote, Server};
use super::shapes::{self, Job, Page};
use super::{jobs, output};
use crate::history::{History, Paging};

/// Look at the jobs that deliver many events again, and stop one.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List jobs, newest first.
    List(ListArguments),
    /// Show one job.
    Show(OneArguments),
    /// Stop a job; what it has done stays done.
    Cancel(OneArguments),
}

#[derive(Args)]
struct ListArguments {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    pages: Pages,
}

#[derive(Args)]
struct OneArguments {
    /// The job's ID
    id: String,
    #[command(flatten)]
    server: Server,
    /// JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        match &arguments.command {
            Command::List(arguments) => {
                listing::print(&AllJobs, &Answers::Server(Box::new(arguments.server.remote()?)), &arguments.pages).await?;
            }
            Command::Show(arguments) => show(arguments).await?,
            Command::Cancel(arguments) => cancel(arguments).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The list has no conditions.
struct AllJobs;

impl List for AllJobs {
    type Row = Job;
    const RESOURCE: &'static str = "replays";
    const HEADINGS: &'static [&'static str] = &["begun", "ID", "kind", "status", "total", "done", "failed", "of"];

    fn query(&self) -> Query {
        Query::new()
    }

    fn cells(job: &Job) -> Vec<String> {
        let clean = output::clean;
        let numbers = [job.total, job.done, job.failed].map(|number| number.to_string());
        let mut cells = vec![clean(&job.created_at), clean(&job.id), clean(&job.kind), clean(&job.status)];
        cells.extend(numbers);
        cells.push(conditions(job));
        cells
    }

    async fn stored(&self, _: &History, _: Paging) -> anyhow::Result<Page> {
        bail!("jobs are asked for at a server")
    }
}

async fn show(arguments: &OneArguments) -> anyhow::Result<()> {
    let remote: Remote = arguments.server.remote()?;
    let raw = remote.one(&["replays", &arguments.id], || absent(&arguments.id)).await?;
    if arguments.json {
        return Ok(output::line(raw)?);
    }
    let (job, clean): (Job, _) = (shapes::read(&raw)?, output::clean);
    let destinations = job.destinations.as_ref().map_or_else(|| "as the routes say".to_owned(), |names| clean(&names.join(", ")));
    let facts = [
        ("kind", clean(&job.kind)),
        ("status", clean(&job.status)),
        ("of", conditions(&job)),
        ("to", destinations),
        ("rate", format!("{}/s", job.rate)),
        ("total", job.total.to_string()),
        ("done", job.done.to_string()),
        ("failed", job.failed.to_string()),
        ("begun", clean(&job.created_at)),
        ("ended", clean(job.finished_at.as_deref().unwrap_or("–"))),
    ];
    Ok(output::facts("job", &clean(&job.id), facts)?)
}

async fn cancel(arguments: &OneArguments) -> anyhow::Result<()> {
    let remote = arguments.server.remote()?;
    let asked = remote.post::<Box<RawValue>>(&["replays", &arguments.id, "cancel"], &json!({})).await;
    let job = asked.map_err(|error| error.or_absent(|| absent(&arguments.id)))?;
    match arguments.json {
        true => Ok(output::line(job)?),
        false => Ok(output::line(jobs::line(&shapes::read(&job)?))?),
    }
}

fn absent(id: &str) -> String {
    format!("there is no job {}", output::clean(id))
}

/// What a job is about, as it was asked for.
fn conditions(job: &Job) -> String {
    let conditions = job.filter.as_object().into_iter().flatten();
    let shown: Vec<_> = conditions.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect();
    if shown.is_empty() { "all".to_owned() } else { output::clean(&shown.join(" ")) }
}
