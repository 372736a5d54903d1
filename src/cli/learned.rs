//! `onceward learned`: the secret that a sender has made up and told in its handshake.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use secrecy::ExposeSecret as _;

use super::output;
use super::settings::Place;
use crate::app;

/// Show or forget the secret that a sender has told in its handshake.
#[derive(Args)]
pub(super) struct Arguments {
    /// The source
    source: String,
    /// Forget it, so that the next handshake is believed; a running server forgets it with its next start
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    place: Place,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let database = arguments.place.path()?;
    let (runtime, source) = (super::runtime()?, arguments.source.as_str());
    if arguments.forget {
        match runtime.block_on(app::forget_secret(&database, source))? {
            true => output::line(format!("forgotten: once the server is restarted, the next handshake of {source} is believed"))?,
            false => bail!("source {source} has been told no secret"),
        }
    } else {
        match runtime.block_on(app::learned_secret(&database, source))? {
            Some(secret) => output::line(secret.expose_secret())?,
            None => bail!("source {source} has been told no secret"),
        }
    }
    Ok(ExitCode::SUCCESS)
}
