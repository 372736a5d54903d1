//! `onceward healthcheck`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;

use super::remote::admin_address;
use super::settings::FileArguments;
use crate::domain::Headers;
use crate::net::{Client, Endpoint, Request};

/// Ask a running server whether it is alive.
#[derive(Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: FileArguments,
    /// The server's API, instead of the address in the configuration: http://127.0.0.1:8081
    #[arg(long, value_name = "URL", env = "ONCEWARD_URL")]
    url: Option<String>,
    /// How many seconds the answer may take
    #[arg(long, default_value_t = 5)]
    timeout: u64,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let base = match &arguments.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", admin_address(&arguments.file)?),
    };
    let url: url::Url = format!("{base}/healthz").parse()?;
    let request = Request {
        method: "GET".into(),
        to: Endpoint::try_from(&url)?,
        headers: Headers::default(),
        credentials: Default::default(),
        body: Bytes::new(),
        timeout: Duration::from_secs(arguments.timeout.max(1)),
        response_cap: 1_024,
    };
    let response = super::runtime()?.block_on(async { Client::new()?.send(request).await })?;
    if response.status != 200 {
        bail!("{url} answered {}", response.status);
    }
    Ok(ExitCode::SUCCESS)
}
