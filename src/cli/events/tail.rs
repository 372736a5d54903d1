//! `onceward events tail`

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::value::{RawValue, to_raw_value};
use tokio_util::sync::CancellationToken;

use super::super::listing::List as _;
use super::super::reading::{Answers, Reading};
use super::super::remote::Remote;
use super::super::shapes::{self, Event};
use super::super::signals::stop_on_signals;
use super::super::{output, remote};
use super::filter::Filter;
use super::view;
use crate::history::{Cursor, EventFilter, History};

/// How often a database is asked for new events.
const POLL: Duration = Duration::from_millis(200);
/// How often a server is.
const POLL_SERVER: Duration = Duration::from_secs(1);
/// How many events are remembered as told. Any of them says where what is new ends, though others have been forgotten.
const REMEMBERED: usize = 200;

/// Print events as they are recorded.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    filter: Filter,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What has been told.
enum Told {
    /// Up to here in the database.
    To(Cursor),
    /// These, newest first: a server does not say where its list ends.
    These(VecDeque<(String, String)>),
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let answers = arguments.reading.open()?;
    if arguments.filter.until.is_some() {
        bail!("--until has no meaning for what is still to come");
    }
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let (mut told, every) = match &answers {
        Answers::Database(history) => (Told::To(history.end(EventFilter::default()).await?), POLL),
        Answers::Server(remote) => (Told::These(begin(remote, &arguments.filter).await?), POLL_SERVER),
    };
    let mut poll = tokio::time::interval(every);
    if !arguments.json {
        output::line(view::HEADINGS.join("  "))?;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = poll.tick() => {}
        }
        let new = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            new = told.further(&answers, &arguments.filter) => new?,
        };
        for event in new {
            match arguments.json {
                true => output::line(event)?,
                false => output::line(view::cells(&shapes::read(&event)?).join("  "))?,
            }
        }
    }
}

/// What is there before anything is told.
async fn begin(remote: &Remote, filter: &Filter) -> anyhow::Result<VecDeque<(String, String)>> {
    let page = remote.page(Filter::RESOURCE, &query(filter, None)).await?;
    page.data.iter().map(|row| identity(row)).collect()
}

impl Told {
    /// What is new, oldest first. From then on it is told.
    async fn further(&mut self, answers: &Answers, filter: &Filter) -> anyhow::Result<Vec<Box<RawValue>>> {
        match (self, answers) {
            (Self::To(cursor), Answers::Database(history)) => stored(history, filter, cursor).await,
            (Self::These(told), Answers::Server(remote)) => listed(remote, filter, told).await,
            _ => Ok(Vec::new()),
        }
    }
}

async fn stored(history: &History, filter: &Filter, cursor: &mut Cursor) -> anyhow::Result<Vec<Box<RawValue>>> {
    let (events, end) = history.events_after(filter.of_store(), *cursor).await?;
    *cursor = end;
    Ok(events.iter().map(to_raw_value).collect::<Result<_, _>>()?)
}

/// From the newest back to the first that has been told.
async fn listed(remote: &Remote, filter: &Filter, told: &mut VecDeque<(String, String)>) -> anyhow::Result<Vec<Box<RawValue>>> {
    let (mut new, mut cursor) = (Vec::new(), None);
    'pages: loop {
        let page = remote.page(Filter::RESOURCE, &query(filter, cursor.take())).await?;
        for row in page.data {
            let identity = identity(&row)?;
            if told.contains(&identity) {
                break 'pages;
            }
            new.push((identity, row));
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    new.reverse();
    let events = new.into_iter().map(|(identity, row)| {
        told.push_front(identity);
        row
    });
    let events = events.collect();
    told.truncate(REMEMBERED);
    Ok(events)
}

fn query(filter: &Filter, cursor: Option<String>) -> remote::Query {
    let mut query = filter.query();
    query.extend(cursor.map(|cursor| ("cursor", cursor)));
    query
}

fn identity(row: &RawValue) -> anyhow::Result<(String, String)> {
    let event: Event = shapes::read(row)?;
    Ok((event.source, event.event_id))
}
