//! `onceward check`

use std::process::ExitCode;

use clap::Args;

use super::output;
use super::settings::Settings;
use crate::app;
use crate::config::{Config, Target};

/// Check the configuration and show what it says.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    app::check(&config)?;
    sources(&config)?;
    destinations(&config)?;
    for warning in config.warnings() {
        output::line(format!("warning: {warning}"))?;
    }
    output::line("the configuration is valid")?;
    Ok(ExitCode::SUCCESS)
}

fn sources(config: &Config) -> std::io::Result<()> {
    let mut table = output::table(&["source", "provider", "path", "secrets", "proved by"]);
    for source in &config.sources {
        let proved = if source.verify { source.provider.summary() } else { "nothing (verify = \"none\")".into() };
        let cells = [
            source.name.to_string(),
            source.provider.name.to_string(),
            format!("/hooks/{}", source.name),
            source.secrets.len().to_string(),
            proved,
        ];
        table.add_row(cells);
    }
    output::line(table)
}

fn destinations(config: &Config) -> std::io::Result<()> {
    let mut table = output::table(&["destination", "from", "types", "to"]);
    for destination in &config.destinations {
        let Target::Url { url, .. } = &destination.target;
        let from: Vec<_> = destination.from.iter().map(ToString::to_string).collect();
        let types = if destination.types.is_empty() { "all".to_owned() } else { format!("{} patterns", destination.types.len()) };
        // A password in the URL is a secret.
        let mut shown = url.clone();
        if shown.password().is_some() {
            let _ = shown.set_password(Some("***"));
        }
        table.add_row([destination.name.to_string(), from.join(", "), types, shown.to_string()]);
    }
    output::line(table)
}
