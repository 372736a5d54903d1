//! What is allowed and yet worth a second look.

use secrecy::ExposeSecret;

use super::{Config, Source};
use crate::domain::print_duration;

/// A shorter token can be guessed.
const SHORT_TOKEN: usize = 16;

impl Config {
    /// What is allowed and yet worth a second look, a line each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.sources.is_empty() {
            warnings.push("there are no sources: every request is answered 404".to_owned());
        }
        for source in &self.sources {
            self.warn_of_source(source, &mut warnings);
        }
        for token in self.admin.tokens.iter().filter(|token| token.secret.expose_secret().chars().count() < SHORT_TOKEN) {
            let key = if &*token.name == "admin" { "admin.token".to_owned() } else { format!("admin.tokens.{}.token", token.name) };
            warnings.push(format!("{key} is shorter than {SHORT_TOKEN} characters and can be guessed"));
        }
        warnings
    }

    fn warn_of_source(&self, source: &Source, warnings: &mut Vec<String>) {
        let (name, provider) = (&source.name, &source.provider);
        if !source.verify {
            warnings.push(format!("source {name}: verify = \"none\" records whatever anyone sends"));
        }
        if source.verify && provider.proves_nothing() {
            warnings.push(format!("source {name}: nothing proves that a request comes from {}", provider.title()));
        }
        let is_padded = |secret: &secrecy::SecretString| secret.expose_secret().trim() != secret.expose_secret();
        if source.secrets.iter().any(is_padded) {
            warnings.push(format!("source {name}: a secret begins or ends with white space, which is part of it"));
        }
        if source.verify && source.secrets.is_empty() && provider.learns() {
            warnings.push(format!(
                "source {name}: whoever sends the first handshake is believed to be {}; `onceward learned` shows its secret",
                provider.title()
            ));
        }
        if let Some(window) = provider.retry_window.filter(|window| *window > self.retention.ids) {
            let (ids, window) = (print_duration(self.retention.ids), print_duration(window));
            warnings.push(format!(
                "source {name}: {} repeats events for {window}, and retention.ids = \"{ids}\" forgets them earlier",
                provider.title()
            ));
        }
        if source.tolerance.is_some() && provider.signatures.iter().all(|signature| signature.timestamp.is_none()) {
            warnings.push(format!("source {name}: tolerance has no effect, because {} signs no timestamp", provider.title()));
        }
        if !self.destinations.iter().any(|destination| destination.from.contains(name)) {
            warnings.push(format!("source {name}: no destination takes its events; they are recorded as unrouted"));
        }
    }
}
