//! `onceward providers`

mod markdown;

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::output;
use super::settings::FileArguments;
use crate::provider::{Table, View};

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
    /// All senders as a Markdown document
    #[arg(long, conflicts_with_all = ["name", "json"])]
    markdown: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let table = arguments.file.table()?;
    let urls = arguments.file.urls();
    match &arguments.name {
        Some(name) => show(&table, name, &urls, arguments.json)?,
        None if arguments.json => table.iter().try_for_each(|provider| output::json(&View::from(&**provider).with_urls(&urls)))?,
        None if arguments.markdown => output::text(&markdown::document(&table))?,
        None => list(&table)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(table: &Table) -> std::io::Result<()> {
    let mut rows = output::table(&["provider", "sender", "proved by", "body covered", "secret"]);
    for provider in table.iter() {
        let view = View::from(&**provider);
        let secret = view.secret.unwrap_or_default().to_owned();
        rows.add_row([view.name.to_owned(), view.title.to_owned(), view.proved_by.clone(), view.body_covered.to_owned(), secret]);
    }
    output::line(rows)
}

fn show(table: &Table, name: &str, urls: &[(String, String)], json: bool) -> anyhow::Result<()> {
    let Some(provider) = table.get(name) else {
        let nearest = table.names().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
        bail!("there is no provider \"{}\"; the nearest is \"{}\"", output::clean(name), nearest.unwrap_or_default());
    };
    let view = View::from(&**provider).with_urls(urls);
    if json {
        return output::json(&view);
    }
    let mut rows = output::table(&["", view.name]);
    rows.add_row(["sender", view.title]);
    for (fact, value) in facts(&view) {
        rows.add_row([fact.to_owned(), value]);
    }
    Ok(output::line(rows)?)
}

/// What is known of a sender, in the order in which it is needed: to set it up, to judge it, to look it up.
fn facts(view: &View<'_>) -> Vec<(&'static str, String)> {
    let params = view.params.iter().map(|(name, what)| format!("{name}: {what}")).collect::<Vec<_>>().join("; ");
    let signs_url = "signed by the sender: set `public_url`, or the source's `url` to what was pasted";
    let facts = [
        ("name", Some(view.name.to_owned())),
        ("set up", view.setup.map(str::to_owned)),
        ("URL to paste", Some(view.url_words())),
        ("URL", view.url_signed.then(|| signs_url.to_owned())),
        ("secret", view.secret.map(str::to_owned)),
        ("params", Some(params)),
        ("proved by", Some(view.proofs.join("; else "))),
        ("body covered by the signature", Some(view.body_words())),
        ("signature holds for", view.tolerance.clone()),
        ("event ID", Some(view.event_id_words())),
        ("event type", Some(view.event_type.join(", else "))),
        ("retries", view.retry.map(str::to_owned)),
        ("duplicates within", Some(view.dedupe_words())),
        ("handshakes", Some(view.handshakes.join("; "))),
        ("answer", Some(view.answer.clone())),
        ("methods", Some(view.methods.join(", ")).filter(|methods| methods != "POST")),
        ("largest body", Some(view.max_body.to_owned())),
        ("documentation", view.docs.map(str::to_owned)),
        ("facts from", view.facts_words()),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value.filter(|value| !value.is_empty())?))).collect()
}
