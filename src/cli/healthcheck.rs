//! `onceward healthcheck`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::Args;

use super::settings::FileArguments;
use crate::config::{Config, Overrides};
use crate::domain::Headers;
use crate::net::{Client, Endpoint, Request};

/// The admin address when no configuration says another.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

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
        None => format!("http://{}", reachable(admin_address(&arguments.file)?)),
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

fn admin_address(file: &FileArguments) -> anyhow::Result<SocketAddr> {
    let Some(path) = file.path() else { return Ok(DEFAULT_ADMIN) };
    let config = Config::load_with(Some(&path), &Overrides::default(), &|name| std::env::var(name).ok())?;
    Ok(config.admin.listen)
}

/// An address that means every interface is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
