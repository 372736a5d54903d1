//! `onceward events`: what was recorded, from a running server or from the database, and having it delivered again.

mod export;
mod filter;
mod replay;
mod tail;
mod view;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::listing::{self, Pages};
use super::output;
use super::reading::{Answers, Reading};
use super::shapes;
use crate::domain::EventKey;
use filter::Filter;

/// Look at recorded events, take them away, have them delivered again.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List events, newest first.
    List(ListArguments),
    /// Show one event with its headers, deliveries and attempts.
    Show(ShowArguments),
    /// Print events as they are recorded.
    Tail(tail::Arguments),
    /// Write events as fixtures (.http files), without secrets.
    Export(export::Arguments),
    /// Have a server deliver an event again, or all that match.
    Replay(replay::Arguments),
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
    /// The source's name
    source: String,
    /// The event's ID
    event_id: String,
    #[command(flatten)]
    reading: Reading,
    /// The raw body alone
    #[arg(long)]
    body: bool,
    /// JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        match &arguments.command {
            Command::List(arguments) => listing::print(&arguments.filter, &arguments.reading.open()?, &arguments.pages).await?,
            Command::Show(arguments) => show(arguments).await?,
            Command::Tail(arguments) => tail::run(arguments).await?,
            Command::Export(arguments) => return export::run(arguments).await,
            Command::Replay(arguments) => return replay::run(arguments).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// An identity as it was typed.
fn key(source: &str, event_id: &str) -> EventKey {
    EventKey { source: source.into(), event_id: event_id.into() }
}

fn absent(key: &EventKey) -> String {
    format!("there is no event {} of source {}", output::clean(&key.event_id), output::clean(&key.source))
}

async fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let (answers, key) = (arguments.reading.open()?, key(&arguments.source, &arguments.event_id));
    if arguments.body {
        return Ok(std::io::Write::write_all(&mut std::io::stdout().lock(), &body(&answers, &key).await?)?);
    }
    let missing = || absent(&key);
    let event = match &answers {
        Answers::Server(remote) => remote.one(&["events", &key.source, &key.event_id], missing).await?,
        Answers::Database(history) => {
            let event = history.event(&key).await?.ok_or_else(|| anyhow::anyhow!(missing()))?;
            serde_json::value::to_raw_value(&event)?
        }
    };
    match arguments.json {
        true => Ok(output::line(event)?),
        false => view::show(&shapes::read(&event)?),
    }
}

async fn body(answers: &Answers, key: &EventKey) -> anyhow::Result<bytes::Bytes> {
    match answers {
        Answers::Server(remote) => {
            let asked = remote.bytes(&["events", &key.source, &key.event_id, "body"]).await;
            asked.map_err(|error| error.or_absent(|| absent(key)))
        }
        Answers::Database(history) => Ok(history.body(key).await?.ok_or_else(|| anyhow::anyhow!(absent(key)))?.bytes),
    }
}
