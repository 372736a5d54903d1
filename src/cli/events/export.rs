//! `onceward events export`: recorded events as fixtures, to send, verify and test with again.

mod file;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::super::listing;
use super::super::output;
use super::super::reading::{Answers, Reading};
use super::super::settings::UsageError;
use super::super::shapes::{self, Event};
use super::filter::Filter;
use super::key;
use crate::domain::EventKey;
use crate::history::{MAX_LIMIT, Order, Paging};
use file::{Folder, Recorder};

/// Which events, and into which folder.
#[derive(Args)]
pub(super) struct Arguments {
    /// The source of one event
    #[arg(requires = "event_id")]
    source: Option<String>,
    /// Its ID
    event_id: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// So many of those that match, the newest
    #[arg(long)]
    limit: Option<usize>,
    /// The folder, made if need be; one event alone goes to standard output without it
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replace files that are there with other content
    #[arg(long, requires = "out")]
    force: bool,
    #[command(flatten)]
    reading: Reading,
    /// One JSON object a line for each file
    #[arg(long, requires = "out")]
    json: bool,
}

/// A file that was written.
#[derive(Serialize)]
struct Line<'a> {
    file: String,
    source: &'a str,
    event_id: &'a str,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let usage = |text: &str| anyhow::Error::from(UsageError(text.to_owned()));
    let one = arguments.source.as_deref().zip(arguments.event_id.as_deref());
    if one.is_some() && (!arguments.filter.is_empty() || arguments.limit.is_some()) {
        return Err(usage("one event is named by SOURCE and EVENT_ID, many are chosen by --source, --type and so on: not both"));
    }
    let Some(out) = &arguments.out else {
        let (source, event_id) = one.ok_or_else(|| usage("--out says into which folder; one event alone goes to standard output"))?;
        return print(arguments, &key(source, event_id)).await;
    };
    let (folder, recorder) = (Folder::open(out, arguments.force)?, Recorder::new(arguments.reading.file())?);
    let mut export = Export { arguments, answers: arguments.reading.open()?, folder, recorder, written: 0, gone: 0 };
    match one {
        Some((source, event_id)) => export.write(&key(source, event_id)).await?,
        None => export.write_all().await?,
    }
    export.tell()
}

async fn print(arguments: &Arguments, key: &EventKey) -> anyhow::Result<ExitCode> {
    let Some(recorded) = recorded(&arguments.reading.open()?, key).await? else { bail!(gone(key)) };
    let fixture = Recorder::new(arguments.reading.file())?.fixture(&recorded, key)?;
    std::io::stdout().lock().write_all(&fixture)?;
    Ok(ExitCode::SUCCESS)
}

/// An event as the server or the history has it recorded; `None` when it is not known, or its content is gone.
async fn recorded(answers: &Answers, key: &EventKey) -> anyhow::Result<Option<Vec<u8>>> {
    match answers {
        Answers::Database(history) => Ok(history.fixture(key).await?),
        Answers::Server(remote) => match remote.bytes(&["events", &key.source, &key.event_id, "fixture"]).await {
            Ok(bytes) => Ok(Some(bytes.into())),
            Err(error) if error.is_absent() => Ok(None),
            Err(error) => Err(error.into()),
        },
    }
}

fn gone(key: &EventKey) -> String {
    let (id, source) = (output::clean(&key.event_id), output::clean(&key.source));
    format!("there is no event {id} of source {source}, or what it held is no longer stored")
}

/// An export under way.
struct Export<'a> {
    arguments: &'a Arguments,
    answers: Answers,
    folder: Folder,
    recorder: Recorder,
    written: usize,
    gone: usize,
}

impl Export<'_> {
    /// Page by page, newest first.
    async fn write_all(&mut self) -> anyhow::Result<()> {
        let mut left = self.arguments.limit.unwrap_or(usize::MAX);
        let mut cursor = None;
        while left > 0 {
            let paging = Paging { limit: left.min(MAX_LIMIT), cursor, order: Order::Newest };
            let page = listing::page(&self.arguments.filter, &self.answers, paging).await?;
            for row in &page.data {
                let event: Event = shapes::read(row)?;
                self.write(&key(&event.source, &event.event_id)).await?;
            }
            left = left.saturating_sub(page.data.len());
            cursor = match page.next {
                Some(next) => Some(next.parse()?),
                None => break,
            };
        }
        Ok(())
    }

    async fn write(&mut self, key: &EventKey) -> anyhow::Result<()> {
        let Some(recorded) = recorded(&self.answers, key).await? else {
            self.gone += 1;
            eprintln!("note: {}", gone(key));
            return Ok(());
        };
        let file = self.folder.write(key, &self.recorder.fixture(&recorded, key)?)?;
        self.written += 1;
        match self.arguments.json {
            true => output::json(&Line { file: file.display().to_string(), source: &key.source, event_id: &key.event_id }),
            false => Ok(output::line(output::clean(&file.display().to_string()))?),
        }
    }

    /// It fails where one event was asked for that is not there; of many, some may be gone.
    fn tell(&self) -> anyhow::Result<ExitCode> {
        if !self.arguments.json {
            let gone = if self.gone > 0 { format!(", {} no longer stored", self.gone) } else { String::new() };
            output::line(format!("{} written{gone}", self.written))?;
        }
        let is_missing = self.arguments.source.is_some() && self.written == 0;
        Ok(ExitCode::from(u8::from(is_missing)))
    }
}
