//! `onceward events replay`: one event, or a job over all that match.

use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::jobs::{self, Following};
use super::super::listing::List as _;
use super::super::output;
use super::super::remote::Server;
use super::super::settings::UsageError;
use super::super::shapes::{self, Delivery};
use super::filter::Filter;
use super::{absent, key};

/// Which events, and where to.
#[derive(Args)]
pub(super) struct Arguments {
    /// The source of one event
    #[arg(requires = "event_id")]
    source: Option<String>,
    /// Its ID
    event_id: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// All events that there are
    #[arg(long)]
    all: bool,
    /// To these destinations, whatever today's routes say; repeatable
    #[arg(long, value_name = "DESTINATION")]
    to: Vec<String>,
    /// How many a second, of all that match
    #[arg(long)]
    rate: Option<u32>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    following: Following,
}

/// What a replay of one event has made.
#[derive(Deserialize)]
struct Made {
    deliveries: Vec<Box<RawValue>>,
}

pub(super) async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let (is_filtered, usage) = (!arguments.filter.is_empty(), |text: &str| UsageError(text.to_owned()).into());
    match (&arguments.source, &arguments.event_id) {
        (Some(_), Some(_)) if is_filtered || arguments.all || arguments.rate.is_some() => {
            Err(usage("one event is named by SOURCE and EVENT_ID, many are chosen by --source, --type and so on: not both"))
        }
        (Some(source), Some(event_id)) => one(arguments, source, event_id).await,
        _ if arguments.all && is_filtered => Err(usage("--all is all events: leave it out, or the other conditions")),
        // Everything that was ever received is never asked for by forgetting to say which.
        _ if !arguments.all && !is_filtered => {
            Err(usage("say which: SOURCE EVENT_ID, or --source, --type, --status, --since, --until, or --all"))
        }
        _ => many(arguments).await,
    }
}

async fn one(arguments: &Arguments, source: &str, event_id: &str) -> anyhow::Result<ExitCode> {
    let (remote, key) = (arguments.server.remote()?, key(source, event_id));
    let what = match arguments.to.is_empty() {
        true => json!({}),
        false => json!({ "destinations": arguments.to }),
    };
    let asked = remote.post::<Made>(&["events", source, event_id, "replay"], &what).await;
    for row in asked.map_err(|error| error.or_absent(|| absent(&key)))?.deliveries {
        if arguments.following.json {
            output::line(row)?;
        } else {
            let delivery: Delivery = shapes::read(&row)?;
            let (id, destination) = (output::clean(&delivery.id), output::clean(&delivery.destination));
            output::line(format!("delivery {id} to {destination}: {}", delivery.standing()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn many(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let filter: serde_json::Map<_, _> = arguments.filter.query().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut what = json!({ "filter": filter });
    if !arguments.to.is_empty() {
        what["destinations"] = json!(arguments.to);
    }
    if let Some(rate) = arguments.rate {
        what["rate"] = rate.into();
    }
    jobs::begin(&arguments.server.remote()?, &["replays"], &what, &arguments.following).await
}
