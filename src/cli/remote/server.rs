//! Which server: by its URL, or as the configuration says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use clap::Args;
use secrecy::SecretString;
use url::Url;

use super::Remote;
use crate::cli::settings::{FileArguments, UsageError};
use crate::config::Role;

/// The admin address when no configuration says another.
const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

/// A server's URL and what lets us in. Not `Debug`: the token is a secret.
#[derive(Args)]
pub(in crate::cli) struct Address {
    /// The server's API: http://127.0.0.1:8081
    #[arg(long, value_name = "URL", env = "ONCEWARD_URL")]
    pub(in crate::cli) url: Option<String>,
    /// The API's token; in the variable, other users of the machine do not see it
    #[arg(long, value_name = "TOKEN", env = "ONCEWARD_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

/// Which server. Without a URL it is the configuration's `admin.listen` on this machine, with a token of it.
#[derive(Args)]
pub(in crate::cli) struct Server {
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    file: FileArguments,
}

impl Server {
    /// A client of its API.
    pub(in crate::cli) fn remote(&self) -> anyhow::Result<Remote> {
        self.address.remote(&self.file)
    }
}

impl Address {
    /// A client of the API at the URL, else at the file's address. The file's tokens go to no other.
    pub(in crate::cli) fn remote(&self, file: &FileArguments) -> anyhow::Result<Remote> {
        let given = self.token.as_deref().filter(|token| !token.is_empty()).map(SecretString::from);
        if let Some(url) = self.url() {
            return Remote::new(parse(url)?, given.as_ref());
        }
        let (listen, token) = match file.path() {
            None => (DEFAULT_ADMIN, None),
            Some(_) => {
                let admin = file.load()?.admin;
                // One that may do everything, if there is one: who wants less gives its own.
                let token = admin.tokens.iter().find(|token| token.role == Role::Write).or(admin.tokens.first());
                (admin.listen, token.map(|token| token.secret.clone()))
            }
        };
        Remote::new(parse(&format!("http://{}", reachable(listen)))?, given.or(token).as_ref())
    }

    /// The URL; an empty variable is none.
    pub(in crate::cli) fn url(&self) -> Option<&str> {
        self.url.as_deref().filter(|url| !url.is_empty())
    }
}

/// The address of the configuration's admin listener, else the default one.
pub(in crate::cli) fn admin_address(file: &FileArguments) -> anyhow::Result<SocketAddr> {
    let listen = file.path().map(|_| file.load()).transpose()?.map(|config| config.admin.listen);
    Ok(reachable(listen.unwrap_or(DEFAULT_ADMIN)))
}

fn parse(url: &str) -> anyhow::Result<Url> {
    let parsed = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    // Not shown: it may hold a password.
    Ok(parsed.ok_or_else(|| UsageError("--url: a URL is http://HOST:PORT or https://HOST".to_owned()))?)
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
