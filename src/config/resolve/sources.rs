//! Sources: the provider's row, the secrets, and what differs from the row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::values::{NAME_RULE, http_url, is_name, parse_rate};
use super::{MIB, MOST_BYTES};
use crate::config::Source;
use crate::config::error::{nearest_sender, suggestion};
use crate::config::file::{self, PLANNED_PROVIDERS};
use crate::config::places::join;
use crate::config::report::{Keys, Report};
use crate::domain::{OWN_SOURCE, ReplayGuard};
use crate::provider::{Provider, Table};

/// The largest body, where neither file nor row says more.
const MAX_BODY: usize = 10 * MIB;

/// What every source draws on.
pub(super) struct Context<'a> {
    /// The table of senders.
    pub(super) providers: &'a Table,
    /// Where senders reach this server.
    pub(super) public_url: Option<String>,
}

/// Resolves every source, in the order of the file.
pub(super) fn resolve(written: BTreeMap<String, file::Source>, context: &Context<'_>, report: &mut Report) -> Vec<Source> {
    let mut sources = Vec::new();
    for (name, written) in super::in_order("sources", written, report) {
        let mut all = report.table("sources");
        if !is_name(&name) {
            all.problem(&name, NAME_RULE);
            continue;
        }
        if name == OWN_SOURCE {
            all.problem(&name, "is the source of Onceward's own events: take another name");
            continue;
        }
        sources.extend(source(&name, written, context, all.below(&name)));
    }
    sources
}

fn source(name: &str, mut written: file::Source, context: &Context<'_>, mut keys: Keys<'_>) -> Option<Source> {
    let provider = provider(written.provider.as_deref(), context, &mut keys)?;
    let verify = verifies(written.verify.as_deref(), &mut keys);
    let secrets = secrets(&mut written, &provider, verify, &mut keys);
    params(&written.params, &provider, keys.below("params"));
    let rate_limit = written.rate_limit.as_deref().and_then(|text| keys.check("rate_limit", parse_rate(text)));
    let default_body = provider.max_body.unwrap_or(MAX_BODY);
    Some(Source {
        name: name.into(),
        secrets,
        url: url(name, written.url.as_deref(), &provider, context, &mut keys),
        params: written.params,
        tolerance: written.tolerance.as_deref().map(|text| keys.duration("tolerance", Some(text), Default::default())),
        max_body: keys.size("max_body", written.max_body.as_deref(), default_body, MOST_BYTES),
        rate_limit,
        replay_guard: replay_guard(written.replay_guard.as_deref(), &mut keys),
        search: written.search.unwrap_or(true),
        verify,
        provider,
    })
}

fn provider(written: Option<&str>, context: &Context<'_>, keys: &mut Keys<'_>) -> Option<Arc<Provider>> {
    let Some(name) = written else {
        let names: Vec<_> = context.providers.names().collect();
        keys.missing("provider", format!("is missing: name the sender, one of {}", names.join(", ")));
        return None;
    };
    if let Some(provider) = context.providers.get(name) {
        return Some(Arc::clone(provider));
    }
    if keys.report.concerns(&join("providers", name)) {
        return None;
    }
    let shown = keys.report.quoted(&keys.path("provider"), name);
    if PLANNED_PROVIDERS.contains(&name) {
        keys.problem("provider", format!("this version does not support {shown} yet"));
    } else {
        keys.problem("provider", format!("unknown provider {shown}{}", nearest_sender(name, context.providers.names())));
    }
    None
}

fn verifies(written: Option<&str>, keys: &mut Keys<'_>) -> bool {
    match written {
        None => true,
        Some("none") => false,
        Some(_) => {
            keys.problem("verify", "the only value is \"none\", which takes anything from anyone; leave the key out to verify");
            true
        }
    }
}

fn replay_guard(written: Option<&str>, keys: &mut Keys<'_>) -> ReplayGuard {
    match written {
        None | Some("mark") => ReplayGuard::Mark,
        Some("drop") => ReplayGuard::Drop,
        Some(_) => {
            keys.problem("replay_guard", "must be \"mark\" or \"drop\"");
            ReplayGuard::Mark
        }
    }
}

fn secrets(written: &mut file::Source, provider: &Provider, verify: bool, keys: &mut Keys<'_>) -> Vec<SecretString> {
    let secrets = written_secrets(written, provider, verify, keys);
    for (path, secret) in &secrets {
        if secret.expose_secret().trim().is_empty() {
            keys.report.problem(path, "is empty: an empty secret would prove nothing");
        } else if let Err(problem) = provider.check_secret(secret.expose_secret())
            && verify
        {
            let hint = provider.row.secret.hint.as_deref().map_or_else(String::new, |hint| format!("; {} shows {hint}", provider.title()));
            keys.report.problem(path, format!("{problem}{hint}"));
        }
    }
    // The same secret twice would be tried twice, and hide by its position which one is in use.
    let mut seen = BTreeSet::new();
    secrets.into_iter().map(|(_, secret)| secret).filter(|secret| seen.insert(secret.expose_secret().to_owned())).collect()
}

/// The secrets as written, each with its place.
fn written_secrets(written: &mut file::Source, provider: &Provider, verify: bool, keys: &mut Keys<'_>) -> Vec<(String, SecretString)> {
    let needed = verify && provider.needs_secret();
    match (written.secret.take(), written.secrets.take()) {
        (Some(_), Some(_)) => keys.problem("secrets", "stands beside `secret`: write `secret` for one or `secrets` for several"),
        (Some(secret), None) => return vec![(keys.path("secret"), secret.0)],
        (None, Some(secrets)) if secrets.is_empty() && needed => keys.problem("secrets", "is empty: write at least one secret"),
        (None, Some(secrets)) => {
            return secrets.into_iter().enumerate().map(|(at, secret)| (keys.item("secrets", at), secret.0)).collect();
        }
        (None, None) if needed => {
            let hint = provider.row.secret.hint.as_deref().unwrap_or("the secret that the sender shows");
            keys.missing("secret", format!("is missing; for {}: {hint}", provider.title()));
        }
        (None, None) => {}
    }
    Vec::new()
}

fn params(written: &BTreeMap<String, String>, provider: &Provider, mut keys: Keys<'_>) {
    let asked = provider.params();
    for (name, what) in asked {
        match written.get(name).map(|value| value.trim()) {
            None => keys.missing(name, format!("is missing: write params = {{ {name} = \"…\" }}; for {}: {what}", provider.title())),
            Some("") => keys.problem(name, "is empty"),
            Some(_) => {}
        }
    }
    let optional = &provider.row.optional_params;
    for name in written.keys().filter(|name| !asked.contains_key(*name) && !optional.contains_key(*name)) {
        let end = suggestion(name, asked.keys().chain(optional.keys()).map(String::as_str));
        keys.problem(name, format!("provider \"{}\" asks for no such value{end}", provider.name));
    }
}

/// The URL that the sender was given: as written, else below the public URL.
fn url(name: &str, written: Option<&str>, provider: &Provider, context: &Context<'_>, keys: &mut Keys<'_>) -> Option<String> {
    if let Some(text) = written {
        http_url(keys, "url", text)?;
        return Some(text.to_owned());
    }
    if let Some(public_url) = &context.public_url {
        return Some(format!("{public_url}/hooks/{name}"));
    }
    if provider.signs_url() {
        keys.missing("url", format!("is missing: {} signs the URL, so write it here as given there, or set public_url", provider.title()));
    }
    None
}
