//! `onceward events`: reads the database beside a running server, or without one.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::output;
use super::settings::Place;
use super::signals::stop_on_signals;
use crate::domain::{EventKey, EventStatus, Timestamp};
use crate::history::{Cursor, EventView, MAX_LIMIT, Paging};
use crate::history::{EventFilter, Order};

/// What a list shows of an event.
const HEADINGS: &[&str] = &["received", "source", "type", "event ID", "status", "duplicates"];
/// How often the database is asked for new events.
const POLL: Duration = Duration::from_millis(200);

/// Look at recorded events.
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
    Tail(TailArguments),
}

#[derive(Args)]
struct Filter {
    /// Of this source
    #[arg(long)]
    source: Option<String>,
    /// Of exactly this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// In this status
    #[arg(long, value_parser = status)]
    status: Option<EventStatus>,
    /// With this ID
    #[arg(long)]
    event_id: Option<String>,
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
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MAX_LIMIT as u64))]
    limit: u64,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<Cursor>,
    /// The direction
    #[arg(long, value_enum, default_value_t = Direction::Desc)]
    order: Direction,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Direction {
    Desc,
    Asc,
}

#[derive(Args)]
struct ShowArguments {
    /// The source's name
    source: String,
    /// The event's ID
    event_id: String,
    #[command(flatten)]
    place: Place,
    /// The raw body alone
    #[arg(long)]
    body: bool,
    /// JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct TailArguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    filter: Filter,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runtime = super::runtime()?;
    match &arguments.command {
        Command::List(arguments) => runtime.block_on(list(arguments)),
        Command::Show(arguments) => runtime.block_on(show(arguments)),
        Command::Tail(arguments) => runtime.block_on(tail(arguments)),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn status(text: &str) -> Result<EventStatus, String> {
    EventStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
        let names: Vec<_> = EventStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("one of {}", names.join(", "))
    })
}

impl Filter {
    fn of_store(&self) -> EventFilter {
        EventFilter {
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            status: self.status,
            event_id: self.event_id.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

async fn list(arguments: &ListArguments) -> anyhow::Result<()> {
    let order = match arguments.order {
        Direction::Desc => Order::Newest,
        Direction::Asc => Order::Oldest,
    };
    let paging = Paging { limit: arguments.limit as usize, cursor: arguments.cursor, order };
    let page = arguments.place.open()?.events(arguments.filter.of_store(), paging).await?;
    if arguments.json {
        return page.data.iter().try_for_each(output::json);
    }
    let mut table = output::table(HEADINGS);
    for event in &page.data {
        table.add_row(cells(event));
    }
    output::line(table)?;
    if let Some(next) = page.next {
        output::line(format!("more: --cursor {next}"))?;
    }
    Ok(())
}

fn cells(event: &EventView) -> [String; 6] {
    [
        event.received_at.to_string(),
        output::clean(&event.source),
        output::clean(event.r#type.as_deref().unwrap_or("–")),
        output::short(&event.event_id),
        event.status.to_owned(),
        event.duplicates.to_string(),
    ]
}

async fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let history = arguments.place.open()?;
    let key = EventKey { source: arguments.source.as_str().into(), event_id: arguments.event_id.as_str().into() };
    let missing = || anyhow::anyhow!("there is no event {} of source {}", output::clean(&key.event_id), output::clean(&key.source));
    if arguments.body {
        let body = history.body(&key).await?.ok_or_else(missing)?;
        return Ok(std::io::Write::write_all(&mut std::io::stdout().lock(), &body.bytes)?);
    }
    let event = history.event(&key).await?.ok_or_else(missing)?;
    if arguments.json {
        return output::json(&event);
    }
    show_event(&event)?;
    show_deliveries(&event)?;
    Ok(())
}

fn show_event(event: &EventView) -> std::io::Result<()> {
    let mut table = output::table(&["event", &output::clean(&event.event_id)]);
    let facts = [
        ("source", output::clean(&event.source)),
        ("provider", event.provider.clone()),
        ("type", output::clean(event.r#type.as_deref().unwrap_or("–"))),
        ("received", event.received_at.to_string()),
        ("status", event.status.to_owned()),
        ("duplicates", event.duplicates.to_string()),
        ("verified by", event.verified_by.clone()),
        ("same content as", output::clean(event.same_content_as.as_deref().unwrap_or("–"))),
        ("body differs", if event.body_differs { "a duplicate came with other content" } else { "no" }.to_owned()),
        ("size", format!("{} bytes", event.size)),
    ];
    for (fact, value) in facts {
        table.add_row([fact.to_owned(), value]);
    }
    output::line(table)?;
    let mut table = output::table(&["header", "value"]);
    for (name, value) in event.headers.iter().flatten().flat_map(|headers| headers.iter()) {
        table.add_row([output::clean(name), output::clean(&String::from_utf8_lossy(value))]);
    }
    output::line(format!("\n{table}\n"))
}

fn show_deliveries(event: &EventView) -> std::io::Result<()> {
    if event.deliveries.is_empty() {
        return output::line("no destination takes this event");
    }
    let mut table = output::table(&["delivery", "destination", "attempt", "at", "took", "came of it"]);
    for delivery in &event.deliveries {
        let (id, destination) = (&delivery.id, &delivery.destination);
        for attempt in delivery.history.as_deref().unwrap_or_default() {
            let answer = attempt.error.clone().or(attempt.status_code.map(|code| format!("answered {code}"))).unwrap_or_default();
            let took = format!("{} ms", attempt.duration_ms);
            table.add_row([id, destination, &attempt.attempt.to_string(), &attempt.at.to_string(), &took, &output::clean(&answer)]);
        }
        let next = delivery.next_attempt_at.map(|at| format!(", next attempt at {at}")).unwrap_or_default();
        let at = delivery.finished_at.map(|at| at.to_string()).unwrap_or_default();
        table.add_row([id, destination, "", &at, "", &format!("{}{next}", delivery.status)]);
    }
    output::line(table)
}

async fn tail(arguments: &TailArguments) -> anyhow::Result<()> {
    let history = arguments.place.open()?;
    if arguments.filter.until.is_some() {
        bail!("--until has no meaning for what is still to come");
    }
    let stop = CancellationToken::new();
    stop_on_signals(&stop)?;
    let mut cursor = history.end(EventFilter::default()).await?;
    let mut poll = tokio::time::interval(POLL);
    if !arguments.json {
        output::line(HEADINGS.join("  "))?;
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = poll.tick() => {}
        }
        let (events, end) = history.events_after(arguments.filter.of_store(), cursor).await?;
        cursor = end;
        for event in &events {
            match arguments.json {
                true => output::json(event)?,
                false => output::line(cells(event).join("  "))?,
            }
        }
    }
}
