//! `Debug` where a URL may carry credentials: they are left out, as secrets are.

use std::fmt;

use secrecy::SecretString;
use url::Url;

use super::{Auth, ExecTarget, Source, Target, UrlTarget};

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("provider", &self.provider.name)
            .field("secrets", &self.secrets.len())
            .field("url", &self.url.as_deref().map(shown))
            .field("params", &self.params.keys())
            .field("tolerance", &self.tolerance)
            .field("max_body", &self.max_body)
            .field("rate_limit", &self.rate_limit)
            .field("verify", &self.verify)
            .field("replay_guard", &self.replay_guard)
            .field("search", &self.search)
            .finish()
    }
}

impl fmt::Debug for UrlTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlTarget")
            .field("url", &self.shown())
            .field("append_path", &self.append_path)
            .field("headers", &names(&self.headers))
            .field("auth", &self.auth)
            .field("tls", &self.tls)
            .field("connect_timeout", &self.connect_timeout)
            .field("dead_on", &self.dead_on)
            .field("sign", &self.sign)
            .finish()
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bearer(_) => "Bearer",
            Self::Basic(_) => "Basic",
        })
    }
}

/// Shows the program alone: an argument may be a secret.
impl fmt::Debug for ExecTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecTarget")
            .field("program", &self.command.first())
            .field("env", &names(&self.env))
            .field("dir", &self.dir)
            .field("dead_on", &self.dead_on)
            .finish_non_exhaustive()
    }
}

fn names(pairs: &[(String, SecretString)]) -> Vec<&str> {
    pairs.iter().map(|(name, _)| name.as_str()).collect()
}

impl Target {
    /// Where it goes, for people: without user, password, query and fragment, and without arguments, any of which may be
    /// a secret. Some receivers tell who may send to them by the path alone; of a URL that came out of a variable, which is
    /// where secrets live, it is not shown either.
    pub fn shown(&self) -> String {
        match self {
            Self::Url(target) => target.shown(),
            Self::Exec(target) => format!("exec {}", target.command.first().map_or("", String::as_str)),
            Self::Handler(name) => format!("handler {name}"),
        }
    }
}

impl UrlTarget {
    fn shown(&self) -> String {
        let url = shown(self.url.as_str());
        match self.from_variable {
            true => format!("{}/…", url.strip_suffix(self.url.path()).unwrap_or_default()),
            false => url,
        }
    }
}

impl Source {
    /// The URL that senders use, for people: without user, password, query and fragment.
    pub fn shown_url(&self) -> Option<String> {
        self.url.as_deref().map(shown)
    }
}

/// The URL without user, password, query and fragment.
fn shown(text: &str) -> String {
    let Ok(url) = Url::parse(text) else { return "…".to_owned() };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{}{port}{}", url.scheme(), url.host_str().unwrap_or_default(), url.path())
}
