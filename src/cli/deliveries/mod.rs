//! `onceward deliveries`: what is due where, from a running server or from the database; making it due again, calling it off.

mod orders;
mod view;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::listing::{self, List, Pages, instant, one_of};
use super::output;
use super::reading::{Answers, Reading};
use super::remote::Query;
use super::shapes::{self, Delivery, Page};
use crate::domain::{DeliveryId, DeliveryStatus, Timestamp};
use crate::history::{DeliveryFilter, History, Paging};

/// Look at deliveries, make them due again, call them off.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List deliveries, newest first.
    List(ListArguments),
    /// Show one delivery with its attempts.
    Show(ShowArguments),
    /// Have a server make deliveries due now, by their IDs or all that are dead.
    Retry(orders::RetryArguments),
    /// Have a server call deliveries off.
    Cancel(orders::CancelArguments),
}

/// Conditions that must all hold.
#[derive(Args)]
struct Filter {
    /// In this status
    #[arg(long, value_parser = status)]
    status: Option<DeliveryStatus>,
    #[command(flatten)]
    of: Of,
}

/// Conditions of deliveries in any status.
#[derive(Args)]
struct Of {
    /// To this destination
    #[arg(long)]
    destination: Option<String>,
    /// Of events of this source
    #[arg(long)]
    source: Option<String>,
    /// Created at or after this time (RFC 3339)
    #[arg(long, value_parser = Timestamp::parse)]
    since: Option<Timestamp>,
    /// Created before this time (RFC 3339)
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
    /// The delivery's ID
    id: DeliveryIdArgument,
    #[command(flatten)]
    reading: Reading,
    /// JSON
    #[arg(long)]
    json: bool,
}

/// A delivery's ID as it is typed.
#[derive(Clone, Copy)]
struct DeliveryIdArgument(DeliveryId);

impl std::str::FromStr for DeliveryIdArgument {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(|id| Self(DeliveryId(id)))
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    super::runtime()?.block_on(async {
        match &arguments.command {
            Command::List(arguments) => listing::print(&arguments.filter, &arguments.reading.open()?, &arguments.pages).await?,
            Command::Show(arguments) => show(arguments).await?,
            Command::Retry(arguments) => return orders::retry(arguments).await,
            Command::Cancel(arguments) => return orders::cancel(arguments).await,
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn status(text: &str) -> Result<DeliveryStatus, String> {
    one_of(text, &DeliveryStatus::ALL, DeliveryStatus::as_str)
}

fn absent(id: DeliveryId) -> String {
    format!("there is no delivery {id}")
}

async fn show(arguments: &ShowArguments) -> anyhow::Result<()> {
    let DeliveryIdArgument(id) = arguments.id;
    let delivery = match arguments.reading.open()? {
        Answers::Server(remote) => remote.one(&["deliveries", &id.to_string()], || absent(id)).await?,
        Answers::Database(history) => {
            let delivery = history.delivery(id).await?.ok_or_else(|| anyhow::anyhow!(absent(id)))?;
            serde_json::value::to_raw_value(&delivery)?
        }
    };
    match arguments.json {
        true => Ok(output::line(delivery)?),
        false => Ok(view::show(&shapes::read(&delivery)?)?),
    }
}

impl Of {
    fn query(&self) -> Query {
        let (since, until) = (instant(self.since), instant(self.until));
        listing::set(&[
            ("destination", self.destination.as_deref()),
            ("source", self.source.as_deref()),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
        ])
    }
}

impl List for Filter {
    type Row = Delivery;
    const RESOURCE: &'static str = "deliveries";
    const HEADINGS: &'static [&'static str] = &["created", "ID", "destination", "source", "event ID", "status", "attempts", "next, or why"];

    fn query(&self) -> Query {
        let mut query = listing::set(&[("status", self.status.map(DeliveryStatus::as_str))]);
        query.extend(self.of.query());
        query
    }

    fn cells(delivery: &Delivery) -> Vec<String> {
        view::cells(delivery)
    }

    async fn stored(&self, history: &History, paging: Paging) -> anyhow::Result<Page> {
        let Of { destination, source, since, until } = &self.of;
        let (destination, source) = (destination.clone(), source.clone());
        let filter = DeliveryFilter { status: self.status, destination, source, since: *since, until: *until };
        Page::of(&history.deliveries(filter, paging).await?)
    }
}
