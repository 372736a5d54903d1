//! `onceward rejections`: what was refused and why, from a running server or from the database; verifying it again.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::listing::{self, List, Pages, instant, one_of};
use super::output;
use super::reading::{Answers, Reading};
use super::remote::{Query, Remote, RemoteError, Server};
use super::settings::UsageError;
use super::shapes::{self, Page, Rejection};
use crate::domain::{Code, RejectionStatus, Timestamp};
use crate::history::{History, Paging, RejectionFilter};

/// The most time for verifying all of them again: the log holds some thousands.
const REVERIFY_ALL: Duration = Duration::from_secs(600);

/// Look at refused requests, and have them verified again.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List refused requests, newest first.
    List(ListArguments),
    /// Show one with what is kept of it.
    Show(ShowArguments),
    /// Have a server verify some again, or all, with the secrets that it has now.
    Reverify(ReverifyArguments),
}

/// Conditions that must all hold.
#[derive(Args)]
struct Filter {
    /// Sent to this source
    #[arg(long)]
    source: Option<String>,
    /// Refused with this code
    #[arg(long, value_parser = code)]
    code: Option<Code>,
    /// Still refused, or accepted since
    #[arg(long, value_parser = status)]
    status: Option<RejectionStatus>,
    /// Received at or after this time (RFC 3339)
    #[arg(long, value_parser = Timestamp::parse)]
    since: Option<Timestamp>,
    /// Received before this time (RFC 3339)
    #[arg(long, value_parser = Timestamp::parse)]
    until: Option<Timestamp>,
}

#[derive(Args)]
struct ListArguments {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    pages: Pages,
}

#[derive(Args)]
struct ShowArguments {
    /// The rejection's ID
    id: i64,
    #[command(flatten)]
    reading: Reading,
    /// The raw body alone
    #[arg(long)]
    body: bool,
    /// JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ReverifyArguments {
    /// The rejections' IDs
    #[arg(conflicts_with = "all", required_unless_present = "all")]
    ids: Vec<i64>,
    /// All that are still refused
    #[arg(long)]
    all: bool,
    /// Those of this source, of all
    #[arg(long)]
    source: Option<String>,
    #[command(flatten)]
    server: Server,
    /// JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        match &arguments.command {
            Command::List(arguments) => listing::print(&arguments.filter, &arguments.reading.open()?, &arguments.pages).await?,
            Command::Show(arguments) => show(arguments).await?,
            Command::Reverify(arguments) => return reverify(arguments).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn code(text: &str) -> Result<Code, String> {
    one_of(text, &Code::all().collect::<Vec<_>>(), Code::as_str)
}

fn status(text: &str) -> Result<RejectionStatus, String> {
    one_of(text, &RejectionStatus::ALL, RejectionStatus::as_str)
}

fn absent(id: i64) -> String {
    format!("there is no rejection {id}")
}

impl List for Filter {
    type Row = Rejection;
    const RESOURCE: &'static str = "rejections";
    const HEADINGS: &'static [&'static str] = &["received", "ID", "source", "code", "status", "why"];

    fn query(&self) -> Query {
        let (since, until) = (instant(self.since), instant(self.until));
        listing::set(&[
            ("source", self.source.as_deref()),
            ("code", self.code.map(Code::as_str)),
            ("status", self.status.map(RejectionStatus::as_str)),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
        ])
    }

    fn cells(rejection: &Rejection) -> Vec<String> {
        let clean = output::clean;
        let became = rejection.event_id.as_deref().map(|id| format!("became {}", output::short(id)));
        vec![
            clean(&rejection.received_at),
            clean(&rejection.id),
            clean(&rejection.source),
            clean(&rejection.code),
            clean(&rejection.status),
            became.unwrap_or_else(|| output::short(&rejection.diagnosis)),
        ]
    }

    async fn stored(&self, history: &History, paging: Paging) -> anyhow::Result<Page> {
        let Self { source, code, status, since, until } = self;
        let filter = RejectionFilter { source: source.clone(), code: *code, status: *status, since: *since, until: *until };
        Page::of(&history.rejections(filter, paging).await?)
    }
}

async fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let (id, answers) = (arguments.id, arguments.reading.open()?);
    if arguments.body {
        return Ok(std::io::Write::write_all(&mut std::io::stdout().lock(), &body(&answers, id).await?)?);
    }
    let raw = match &answers {
        Answers::Server(remote) => remote.one(&["rejections", &id.to_string()], || absent(id)).await?,
        Answers::Database(history) => {
            let rejection = history.rejection(id).await?.ok_or_else(|| anyhow::anyhow!(absent(id)))?;
            serde_json::value::to_raw_value(&rejection)?
        }
    };
    if arguments.json {
        return Ok(output::line(raw)?);
    }
    let (rejection, clean): (Rejection, _) = (shapes::read(&raw)?, output::clean);
    let mut facts = vec![
        ("source", clean(&rejection.source)),
        ("received", clean(&rejection.received_at)),
        ("code", clean(&rejection.code)),
        ("why", clean(&rejection.diagnosis)),
        ("status", clean(&rejection.status)),
        ("event ID", clean(rejection.event_id.as_deref().unwrap_or("–"))),
    ];
    if let Some(request) = &rejection.request {
        let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
        facts.push(("request", clean(&format!("{} {}{query}", request.method, request.path))));
        facts.push(("size", format!("{} bytes", request.size)));
    }
    output::facts("rejection", &clean(&rejection.id), facts)?;
    Ok(output::headers(rejection.request.as_ref().map_or(&[], |request| &request.headers))?)
}

async fn body(answers: &Answers, id: i64) -> anyhow::Result<bytes::Bytes> {
    match answers {
        Answers::Server(remote) => {
            let asked = remote.bytes(&["rejections", &id.to_string(), "body"]).await;
            asked.map_err(|error| error.or_absent(|| absent(id)))
        }
        Answers::Database(history) => Ok(history.rejection_body(id).await?.ok_or_else(|| anyhow::anyhow!(absent(id)))?.bytes),
    }
}

async fn reverify(arguments: &ReverifyArguments) -> anyhow::Result<ExitCode> {
    if arguments.source.is_some() && !arguments.all {
        return Err(UsageError("--source goes with --all, not with IDs".to_owned()).into());
    }
    let remote = arguments.server.remote()?;
    match arguments.all {
        true => reverify_all(&remote, arguments).await,
        false => reverify_each(&remote, arguments).await,
    }
}

/// What came of verifying all of them again.
#[derive(Serialize, Deserialize)]
struct Done {
    accepted: u64,
    refused: u64,
}

async fn reverify_all(remote: &Remote, arguments: &ReverifyArguments) -> anyhow::Result<ExitCode> {
    let what = arguments.source.as_ref().map_or_else(|| json!({}), |source| json!({ "source": source }));
    let asked = remote.post_patiently::<Done>(&["rejections", "reverify"], &what, REVERIFY_ALL).await;
    let done = asked.map_err(RemoteError::or_no_api)?;
    match arguments.json {
        true => output::json(&done)?,
        false => output::line(format!("{} accepted, {} still refused", done.accepted, done.refused))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// It fails where one is not accepted: whoever names them expects them to be.
async fn reverify_each(remote: &Remote, arguments: &ReverifyArguments) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for id in &arguments.ids {
        let raw = match remote.post::<Box<RawValue>>(&["rejections", &id.to_string(), "reverify"], &json!({})).await {
            Ok(raw) => raw,
            Err(RemoteError::NotFound(_)) => {
                failed = true;
                eprintln!("error: {}", absent(*id));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let rejection: Rejection = shapes::read(&raw)?;
        failed |= rejection.event_id.is_none();
        match arguments.json {
            true => output::line(raw)?,
            false => output::line(verdict(&rejection))?,
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn verdict(rejection: &Rejection) -> String {
    let (id, status) = (output::clean(&rejection.id), output::clean(&rejection.status));
    match &rejection.event_id {
        Some(event_id) => format!("rejection {id}: {status}, event {}", output::clean(event_id)),
        None => format!("rejection {id}: {status}, {}: {}", output::clean(&rejection.code), output::clean(&rejection.diagnosis)),
    }
}
