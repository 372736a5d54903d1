//! `Debug` where a URL may carry credentials: they are left out, as secrets are.

use std::fmt;

use reqwest::Url;

use super::{Source, Target};

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
            .finish()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { url, append_path } => {
                f.debug_struct("Url").field("url", &shown(url.as_str())).field("append_path", append_path).finish()
            }
        }
    }
}

impl Target {
    /// Where it goes, for people: without user, password, query and fragment, any of which may be a secret.
    pub fn shown(&self) -> String {
        match self {
            Self::Url { url, .. } => shown(url.as_str()),
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
