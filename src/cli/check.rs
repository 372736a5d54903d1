//! `onceward check`

use std::process::ExitCode;

use clap::Args;

use super::output;
use super::settings::Settings;
use crate::app::{self, Extras};
use crate::config::{Config, Database, Destination, Target};
use crate::domain::{OWN_SOURCE, print_duration};
use crate::route::OrderBy;

/// Check the configuration and show what it says.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    app::check(&config, &Extras::default())?;
    settings(&config)?;
    sources(&config)?;
    destinations(&config)?;
    deliveries(&config)?;
    for warning in config.warnings() {
        output::line(format!("warning: {warning}"))?;
    }
    output::line("the configuration is valid")?;
    Ok(ExitCode::SUCCESS)
}

fn settings(config: &Config) -> std::io::Result<()> {
    let Database::Sqlite(path) = &config.database;
    let tokens: Vec<_> = config.admin.tokens.iter().map(|token| format!("{} ({})", token.name, token.role.as_str())).collect();
    let token = if tokens.is_empty() { "without a token".to_owned() } else { format!("by token: {}", tokens.join(", ")) };
    let mut table = output::table(&["setting", "value"]);
    table.add_row(["receives on".to_owned(), format!("{}{}", config.listen, if config.tls.is_some() { ", TLS" } else { "" })]);
    table.add_row(["API on".to_owned(), format!("{}, {token}", config.admin.listen)]);
    table.add_row(["database".to_owned(), path.display().to_string()]);
    let retention = &config.retention;
    let [bodies, ids, audit, answers] = [retention.bodies, retention.ids, retention.audit, retention.answers].map(print_duration);
    table.add_row(["retention".to_owned(), format!("bodies {bodies}, ids {ids}, audit {audit}, answers {answers}")]);
    table.add_row(["alerts".to_owned(), alerts(config)]);
    output::line(table)
}

fn alerts(config: &Config) -> String {
    let takes = |destination: &&Destination| destination.from.iter().any(|source| **source == *OWN_SOURCE);
    let takers: Vec<_> = config.destinations.iter().filter(takes).map(|destination| destination.name.to_string()).collect();
    let takers = if takers.is_empty() { "nobody".to_owned() } else { takers.join(", ") };
    format!("to {takers}; rejections {}", config.alerts.rejections)
}

fn sources(config: &Config) -> std::io::Result<()> {
    let mut table = output::table(&["source", "provider", "path", "secrets", "proved by", "replay guard", "search"]);
    for source in &config.sources {
        let proved = if source.verify { source.provider.summary() } else { "nothing (verify = \"none\")".into() };
        let cells = [
            source.name.to_string(),
            source.provider.name.to_string(),
            format!("/hooks/{}", source.name),
            source.secrets.len().to_string(),
            proved,
            source.replay_guard.as_str().to_owned(),
            if source.search { "yes" } else { "no" }.to_owned(),
        ];
        table.add_row(cells);
    }
    output::line(table)
}

fn destinations(config: &Config) -> std::io::Result<()> {
    let mut table = output::table(&["destination", "from", "types", "filter", "order", "to"]);
    for destination in &config.destinations {
        let from: Vec<_> = destination.from.iter().map(ToString::to_string).collect();
        let types: Vec<_> = destination.types.iter().map(ToString::to_string).collect();
        let types = if types.is_empty() { "all".to_owned() } else { types.join(", ") };
        // Their texts may have come out of variables.
        let filter = match destination.filter {
            Some(_) => format!("yes, on error {}", destination.on_filter_error.as_str()),
            None => "none".to_owned(),
        };
        let on_dead = destination.on_dead.as_str();
        let order = match destination.order_by {
            None => "any".to_owned(),
            Some(OrderBy::Source) => format!("by source, on dead {on_dead}"),
            Some(OrderBy::Pointer(_)) => format!("by value, on dead {on_dead}"),
        };
        table.add_row([destination.name.to_string(), from.join(", "), types, filter, order, destination.target.shown()]);
    }
    output::line(table)
}

/// How each destination is delivered to.
fn deliveries(config: &Config) -> std::io::Result<()> {
    let mut table = output::table(&["destination", "timeout", "at once", "rate limit", "retries", "circuit", "signed", "TLS"]);
    for destination in &config.destinations {
        let (signed, tls) = match &destination.target {
            Target::Url(target) => (if target.sign.is_empty() { "no" } else { "yes" }, target.tls.to_string()),
            Target::Exec(_) | Target::Handler(_) => ("", String::new()),
        };
        table.add_row([
            destination.name.to_string(),
            print_duration(destination.timeout),
            destination.concurrency.to_string(),
            destination.rate_limit.map_or_else(|| "none".to_owned(), |rate| rate.to_string()),
            destination.retry.to_string(),
            destination.circuit.to_string(),
            signed.to_owned(),
            tls,
        ]);
    }
    output::line(table)
}
