//! `onceward dev`: the receiver with every provider on, test secrets and a live view, on a store that is gone afterwards.

mod play;
mod sink;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::output;
use super::signals::stop_on_signals;
use crate::app::{self, App, Extras, LogFormat};
use crate::config::{Config, Overrides, SourceFlag};
use crate::fixture::{self, Fixture};
use crate::provider::Table;
use watch::Watch;

/// Receive with test secrets and show what happens.
#[derive(Args)]
pub(super) struct Arguments {
    /// Send the recorded requests of this folder, each twice, and some forged; show what came of them, and end
    #[arg(long, value_name = "DIR")]
    play: Option<PathBuf>,
    /// Where events go; by default to a destination inside this program that takes everything
    #[arg(long, value_name = "URL")]
    forward: Option<String>,
    /// Where webhooks are received; 127.0.0.1:8080, or any free port with --play
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,
    /// Where the API is; 127.0.0.1:8081, or any free port with --play
    #[arg(long, value_name = "IP:PORT")]
    admin_listen: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    // What happens is shown on standard output; of the log only trouble is of interest here.
    app::init_log(LogFormat::Text, &std::env::var("RUST_LOG").unwrap_or_else(|_| "error".into()));
    let folder = Scratch::new()?;
    super::runtime()?.block_on(dev(arguments, &folder.0))
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("onceward-dev-{}-{:08x}", std::process::id(), rand::random::<u32>()));
        std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(cause = %error, "cannot remove the scratch folder");
        }
    }
}

async fn dev(arguments: &Arguments, folder: &Path) -> anyhow::Result<ExitCode> {
    let fixtures = match &arguments.play {
        Some(path) => fixture::load(path)?,
        None => Vec::new(),
    };
    let shutdown = CancellationToken::new();
    stop_on_signals(&shutdown)?;
    let sink = sink::Sink::start().await?;
    let forward = arguments.forward.clone().unwrap_or_else(|| sink.url());
    let config = configuration(arguments, folder, forward, &fixtures)?;
    let watch = Arc::new(Watch::new(arguments.play.is_none()));
    let app = App::start_with(&config, Extras { watcher: Some(Arc::clone(&watch) as _), ..Extras::default() }).await?;
    let (public, history) = (app.public_address(), app.history().clone());
    if arguments.play.is_none() {
        announce(&app, &config)?;
    }
    let running = tokio::spawn(app.run(shutdown.clone()));
    let code = match arguments.play {
        Some(_) => {
            let stage = play::Stage { table: &config.providers, public, watch: &watch, history: &history };
            let played = tokio::select! {
                played = play::play(&stage, &fixtures) => Some(played?),
                () = shutdown.cancelled() => None,
            };
            let delivered = if arguments.forward.is_none() { Some(sink.requests()) } else { None };
            played.map_or(Ok(ExitCode::SUCCESS), |played| played.show(delivered))?
        }
        None => {
            shutdown.cancelled().await;
            ExitCode::SUCCESS
        }
    };
    shutdown.cancel();
    running.await??;
    Ok(code)
}

/// Every provider as a source of its own name, with its test secret and those of the fixtures.
fn configuration(arguments: &Arguments, folder: &Path, forward: String, fixtures: &[(PathBuf, Fixture)]) -> anyhow::Result<Config> {
    let free = || arguments.play.as_ref().map(|_| "127.0.0.1:0".to_owned());
    let overrides = Overrides {
        sources: test_sources(&Table::builtin(), fixtures),
        forward: Some(forward),
        listen: arguments.listen.clone().or_else(free).or(Some("127.0.0.1:8080".into())),
        admin_listen: arguments.admin_listen.clone().or_else(free).or(Some("127.0.0.1:8081".into())),
        database: Some(format!("sqlite:{}", folder.join("dev.db").display())),
    };
    // No file is read: what is tried here must not touch what is configured for real.
    Ok(Config::load_flags(&overrides)?)
}

fn test_sources(table: &Table, fixtures: &[(PathBuf, Fixture)]) -> Vec<SourceFlag> {
    let mut sources = Vec::new();
    for provider in table.iter() {
        let example = provider.row.secret.example.iter().cloned().map(SecretString::from);
        let recorded: Vec<_> = fixtures.iter().map(|(_, fixture)| fixture).filter(|fixture| *fixture.provider == *provider.name).collect();
        // A certificate of a fixture stands in for the one that would be fetched.
        let certificates = recorded.iter().filter_map(|fixture| fixture.certificate.clone()).map(SecretString::from);
        let secrets = recorded.iter().flat_map(|fixture| fixture.secrets.iter().cloned()).chain(certificates);
        // What a sender signs beside the request is as recorded, or stands in for it.
        let url = recorded.iter().find_map(|fixture| fixture.url.clone());
        let url = url.unwrap_or_else(|| format!("http://127.0.0.1:8080/hooks/{}", provider.name));
        let mut params: BTreeMap<_, _> = provider.params().keys().map(|name| (name.clone(), "example".to_owned())).collect();
        params.extend(recorded.iter().flat_map(|fixture| fixture.params.iter().cloned()));
        let name = provider.name.to_string();
        let mut secrets: Vec<_> = example.chain(secrets).collect();
        if secrets.is_empty() {
            // Nothing to configure: it is published, or told in a handshake.
            secrets.push(SecretString::default());
        }
        for secret in secrets {
            let (provider, params, url) = (name.clone(), params.clone(), Some(url.clone()));
            sources.push(SourceFlag { name: name.clone(), provider, secret, url, params });
        }
    }
    sources
}

fn announce(app: &App, config: &Config) -> anyhow::Result<()> {
    output::line(format!("onceward dev receives on http://{}, API on http://{}", app.public_address(), app.admin_address()))?;
    let mut table = output::table(&["path", "test secret"]);
    for source in &config.sources {
        table.add_row([format!("/hooks/{}", source.name), source.provider.row.secret.example.clone().unwrap_or_default()]);
    }
    output::line(table)?;
    let send = format!("onceward send FIXTURE --to http://{} --secret 'the test secret above'", app.public_address());
    output::line(format!("send a recorded request with: {send}"))?;
    output::line("nothing is kept; Ctrl-C ends it")?;
    Ok(())
}
