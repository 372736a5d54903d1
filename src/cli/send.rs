//! `onceward send`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use futures_util::StreamExt as _;
use serde::Serialize;

use super::output;
use super::settings::FileArguments;
use crate::domain::{Clock, SystemClock};
use crate::fixture::{self, Fixture};
use crate::net::{Client, Endpoint, Request};
use crate::provider::Table;
use crate::verify::Verifier;

/// How far back `--stale` puts the timestamp: beyond every tolerance.
const STALE_BY: Duration = Duration::from_secs(86_400);

/// How receivers refuse what is forged: ours by 401, others by 400 or 403 as well. A wrong address or a receiver in trouble
/// proves nothing.
const REFUSED: &[u16] = &[400, 401, 403];

/// Send recorded requests to a receiver.
#[derive(Args)]
pub(super) struct Arguments {
    /// Fixtures (.http files), or folders of them
    #[arg(required = true)]
    fixtures: Vec<PathBuf>,
    /// The receiver: its base, to which the recorded path is added, or the whole URL of a source
    #[arg(long, value_name = "URL")]
    to: url::Url,
    /// Sign with this secret instead of the file's own
    #[arg(long, value_name = "SECRET")]
    secret: Option<String>,
    /// Send each this often
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    times: u32,
    /// So many at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    concurrency: u32,
    /// As recorded: neither a new timestamp nor a new signature
    #[arg(long, conflicts_with_all = ["tamper", "stale", "secret"])]
    as_recorded: bool,
    /// Change a byte of the body after signing: a receiver must refuse it
    #[arg(long, conflicts_with = "stale")]
    tamper: bool,
    /// Sign for yesterday: a receiver must refuse it where the sender signs a timestamp
    #[arg(long)]
    stale: bool,
    #[command(flatten)]
    file: FileArguments,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// The answer to one request.
#[derive(Debug, Serialize)]
struct Line {
    file: String,
    status: Option<u16>,
    onceward_status: Option<String>,
    answer: String,
    #[serde(skip)]
    as_wanted: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let table = arguments.file.table()?;
    let mut requests = Vec::new();
    for path in &arguments.fixtures {
        for (file, fixture) in fixture::load(path)? {
            let request = prepare(&fixture, arguments, &table).with_context(|| file.display().to_string())?;
            requests.extend((0..arguments.times).map(|_| (file.clone(), request.clone())));
        }
    }
    let lines = super::runtime()?.block_on(send_all(requests, arguments))?;
    match arguments.json {
        true => lines.iter().try_for_each(output::json)?,
        false => show(&lines)?,
    }
    let failed = lines.is_empty() || lines.iter().any(|line| !line.as_wanted);
    Ok(ExitCode::from(u8::from(failed)))
}

fn prepare(fixture: &Fixture, arguments: &Arguments, table: &Table) -> anyhow::Result<Request> {
    let mut fixture = fixture.clone();
    if !arguments.as_recorded {
        let secrets: Vec<_> = arguments.secret.iter().cloned().map(Into::into).collect();
        let verifier = fixture::verifier(&fixture, table, &secrets)?;
        let now = SystemClock.now();
        let at = if arguments.stale { now.minus(STALE_BY) } else { now };
        fixture.request = verifier.sign(&fixture.request, at)?;
        if arguments.tamper {
            tamper(&verifier, &mut fixture);
        }
    }
    outgoing(&fixture, &arguments.to)
}

/// Changes what is proved: a byte of the body, or the secret where that is what is sent.
pub(super) fn tamper(verifier: &Verifier, fixture: &mut Fixture) {
    let sends_secret = verifier.provider().signatures.iter().all(|signature| signature.algorithm.sends_secret());
    let request = &mut fixture.request;
    let mut body = request.body.to_vec();
    if let Some(last) = body.last_mut().filter(|_| !sends_secret) {
        *last ^= 0x01;
        request.body = body.into();
        return;
    }
    let wrong = |value: &[u8]| match value.strip_prefix(b"Basic ").and_then(|text| STANDARD.decode(text).ok()) {
        Some(credentials) => format!("Basic {}", STANDARD.encode([&credentials[..], b"x"].concat())).into_bytes(),
        None => [value, b"x"].concat(),
    };
    let headers = request.headers.iter().map(|(name, value)| {
        let value = if verifier.signs_in(name) { wrong(value) } else { value.to_vec() };
        (name.to_owned(), value)
    });
    let headers: Vec<_> = headers.collect();
    request.headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
    if !request.query.is_empty() && verifier.unsigned(request).query != request.query {
        request.query.push('x');
    }
}

/// The fixture as a request to the receiver.
pub(super) fn outgoing(fixture: &Fixture, to: &url::Url) -> anyhow::Result<Request> {
    let recorded = &fixture.request;
    let mut url = to.clone();
    if matches!(url.path(), "" | "/") {
        let own = format!("/hooks/{}", fixture.provider);
        url.set_path(if recorded.path.starts_with("/hooks/") { &recorded.path } else { &own });
    }
    if !recorded.query.is_empty() {
        url.set_query(Some(&recorded.query));
    }
    Ok(Request {
        method: recorded.method.clone(),
        to: Endpoint::try_from(&url)?,
        headers: recorded.headers.without(|name| matches!(name, "host" | "content-length" | "connection" | "transfer-encoding")),
        credentials: Default::default(),
        body: recorded.body.clone(),
        timeout: Duration::from_secs(30),
        response_cap: 4_096,
    })
}

async fn send_all(requests: Vec<(PathBuf, Request)>, arguments: &Arguments) -> anyhow::Result<Vec<Line>> {
    let client = Arc::new(Client::new()?);
    let forged = arguments.tamper || arguments.stale;
    let sends = requests.into_iter().map(|(file, request)| {
        let client = Arc::clone(&client);
        async move { send(&client, &file, request, forged).await }
    });
    Ok(futures_util::stream::iter(sends).buffered(arguments.concurrency as usize).collect().await)
}

async fn send(client: &Client, file: &Path, request: Request, forged: bool) -> Line {
    let file = file.display().to_string();
    match client.send(request).await {
        Ok(response) => Line {
            file,
            status: Some(response.status),
            onceward_status: response.headers.text("onceward-status").map(str::to_owned),
            answer: String::from_utf8_lossy(&response.body).into_owned(),
            as_wanted: if forged { REFUSED.contains(&response.status) } else { (200..300).contains(&response.status) },
        },
        Err(error) => Line { file, status: None, onceward_status: None, answer: error.to_string(), as_wanted: false },
    }
}

fn show(lines: &[Line]) -> std::io::Result<()> {
    let mut table = output::table(&["fixture", "status", "", "answer"]);
    for line in lines {
        let status = line.status.map_or_else(|| "–".to_owned(), |status| status.to_string());
        let onceward = output::clean(line.onceward_status.as_deref().unwrap_or_default());
        table.add_row([output::clean(&line.file), status, onceward, output::clean(&line.answer)]);
    }
    output::line(table)?;
    let wrong = lines.iter().filter(|line| !line.as_wanted).count();
    output::line(format!("{} sent, {wrong} not answered as they should be", lines.len()))
}
