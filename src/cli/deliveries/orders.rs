//! `onceward deliveries retry` and `cancel`: orders to a running server.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::jobs::{self, Following};
use super::super::output;
use super::super::remote::{Remote, RemoteError, Server};
use super::super::settings::UsageError;
use super::super::shapes::{self, Delivery};
use super::{DeliveryIdArgument, Of, absent};
use crate::domain::DeliveryId;

/// Which deliveries are to be made due.
#[derive(Args)]
pub(super) struct RetryArguments {
    /// The deliveries' IDs
    #[arg(conflicts_with = "all_dead", required_unless_present = "all_dead")]
    ids: Vec<DeliveryIdArgument>,
    /// All that are dead and match, in the background
    #[arg(long)]
    all_dead: bool,
    #[command(flatten)]
    of: Of,
    /// How many a second, of all that are dead
    #[arg(long)]
    rate: Option<u32>,
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    following: Following,
}

/// Which deliveries are to be called off.
#[derive(Args)]
pub(super) struct CancelArguments {
    /// The deliveries' IDs
    #[arg(required = true)]
    ids: Vec<DeliveryIdArgument>,
    #[command(flatten)]
    server: Server,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub(super) async fn retry(arguments: &RetryArguments) -> anyhow::Result<ExitCode> {
    let filter = arguments.of.query();
    if arguments.all_dead {
        let remote = arguments.server.remote()?;
        let filter: serde_json::Map<_, _> = filter.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let mut what = json!({ "filter": filter });
        if let Some(rate) = arguments.rate {
            what["rate"] = rate.into();
        }
        return jobs::begin(&remote, &["deliveries", "retry"], &what, &arguments.following).await;
    }
    if let Some(name) = filter.first().map(|(name, _)| *name).or(arguments.rate.map(|_| "rate")) {
        return Err(UsageError(format!("--{name} goes with --all-dead, not with IDs")).into());
    }
    order(&arguments.server.remote()?, "retry", &arguments.ids, arguments.following.json).await
}

pub(super) async fn cancel(arguments: &CancelArguments) -> anyhow::Result<ExitCode> {
    order(&arguments.server.remote()?, "cancel", &arguments.ids, arguments.json).await
}

/// One by one. A delivery that is refused does not keep the others from their turn; a server that is away does.
async fn order(remote: &Remote, what: &str, ids: &[DeliveryIdArgument], json: bool) -> anyhow::Result<ExitCode> {
    let mut failed = false;
    for DeliveryIdArgument(id) in ids {
        match remote.post::<Box<RawValue>>(&["deliveries", &id.to_string(), what], &json!({})).await {
            Ok(delivery) if json => output::line(delivery)?,
            Ok(delivery) => output::line(told(*id, &shapes::read(&delivery)?))?,
            Err(RemoteError::NotFound(_)) => {
                failed = true;
                eprintln!("error: {}", absent(*id));
            }
            Err(RemoteError::Refused(why)) => {
                failed = true;
                eprintln!("error: delivery {id}: {why}");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(ExitCode::from(u8::from(failed)))
}

fn told(id: DeliveryId, delivery: &Delivery) -> String {
    format!("delivery {id} to {}: {}", output::clean(&delivery.destination), delivery.standing())
}
