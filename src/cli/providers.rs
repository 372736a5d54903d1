//! `onceward providers`

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::output;
use super::settings::FileArguments;
use crate::domain::print_duration;
use crate::provider::{Provider, Table};

/// List the senders that can be verified, or show one.
#[derive(Args)]
pub(super) struct Arguments {
    /// The provider to show
    name: Option<String>,
    #[command(flatten)]
    file: FileArguments,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct View<'a> {
    name: &'a str,
    title: &'a str,
    proved_by: String,
    secret: Option<&'a str>,
    setup: Option<&'a str>,
    docs: Option<&'a str>,
    event_id: Vec<String>,
    event_id_signed: bool,
    event_type: &'a [String],
    retry: Option<&'a str>,
    duplicates_within: Option<String>,
    source: Option<&'a str>,
    confidence: Option<&'a str>,
}

impl<'a> From<&'a Provider> for View<'a> {
    fn from(provider: &'a Provider) -> Self {
        let row = &provider.row;
        Self {
            name: &provider.name,
            title: provider.title(),
            proved_by: provider.summary(),
            secret: row.secret.hint.as_deref(),
            setup: row.setup.as_deref(),
            docs: row.docs.as_deref(),
            event_id: if row.event_id.is_empty() { vec!["sha256".to_owned()] } else { row.event_id.clone() },
            event_id_signed: row.event_id_signed,
            event_type: &row.event_type,
            retry: row.retry.as_ref().map(|retry| retry.policy.as_str()),
            duplicates_within: provider.retry_window.map(print_duration),
            source: row.facts.as_ref().map(|facts| facts.source.as_str()),
            confidence: row.facts.as_ref().map(|facts| facts.confidence.as_str()),
        }
    }
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let table = arguments.file.table()?;
    match &arguments.name {
        Some(name) => show(&table, name, arguments.json)?,
        None if arguments.json => table.iter().try_for_each(|provider| output::json(&View::from(&**provider)))?,
        None => list(&table)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(table: &Table) -> std::io::Result<()> {
    let mut rows = output::table(&["provider", "sender", "proved by", "secret"]);
    for provider in table.iter() {
        let secret = provider.row.secret.hint.clone().unwrap_or_default();
        rows.add_row([provider.name.to_string(), provider.title().to_owned(), provider.summary(), secret]);
    }
    output::line(rows)
}

fn show(table: &Table, name: &str, json: bool) -> anyhow::Result<()> {
    let Some(provider) = table.get(name) else {
        let nearest = table.names().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        bail!("there is no provider \"{}\"; the nearest is \"{}\"", output::clean(name), nearest.unwrap_or_default());
    };
    let view = View::from(&**provider);
    if json {
        return output::json(&view);
    }
    let id_note = if view.event_id_signed { "covered by the signature" } else { "not covered by the signature" };
    let facts = [
        ("sender", Some(view.title.to_owned())),
        ("set up", view.setup.map(str::to_owned)),
        ("secret", view.secret.map(str::to_owned)),
        ("proved by", Some(view.proved_by)),
        ("event ID", Some(format!("{} ({id_note})", view.event_id.join(", else ")))),
        ("event type", Some(view.event_type.join(", else "))),
        ("retries", view.retry.map(str::to_owned)),
        ("duplicates within", view.duplicates_within),
        ("documentation", view.docs.map(str::to_owned)),
        ("facts from", view.source.zip(view.confidence).map(|(source, confidence)| format!("{source} ({confidence})"))),
    ];
    let mut rows = output::table(&["", &provider.name]);
    for (fact, value) in facts {
        if let Some(value) = value {
            rows.add_row([fact.to_owned(), value]);
        }
    }
    Ok(output::line(rows)?)
}
