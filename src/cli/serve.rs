//! `onceward serve`

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::settings::Settings;
use super::{output, signals};
use crate::app::App;
use crate::app::{self, LogFormat};
use crate::config::Config;

/// Receive and deliver.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    settings: Settings,
    /// The form of log lines on standard error; RUST_LOG filters them
    #[arg(long, value_enum, default_value_t = LogForm::Text, env = "ONCEWARD_LOG_FORMAT")]
    log_format: LogForm,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let config = arguments.settings.load()?;
    let format = match arguments.log_format {
        LogForm::Text => LogFormat::Text,
        LogForm::Json => LogFormat::Json,
    };
    app::init_log(format, &std::env::var("RUST_LOG").unwrap_or_default());
    super::runtime()?.block_on(serve(&config))
}

async fn serve(config: &Config) -> anyhow::Result<ExitCode> {
    let shutdown = CancellationToken::new();
    signals::stop_on_signals(&shutdown)?;
    signals::outlive_file_limits()?;
    let app = App::start(config).await?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    announce(&app, config)?;
    app.run(shutdown).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says where to point senders at. For people; programs ask `/healthz`.
fn announce(app: &App, config: &Config) -> std::io::Result<()> {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let own = format!("{scheme}://{}", app.public_address());
    output::line(format!("onceward {} receives on {own}, API on http://{}", env!("CARGO_PKG_VERSION"), app.admin_address()))?;
    for source in &config.sources {
        let url = source.shown_url().unwrap_or_else(|| format!("{own}/hooks/{}", source.name));
        output::line(format!("  {} ({}): {url}", source.name, source.provider.title()))?;
    }
    Ok(())
}
