//! Destinations: those that are written out, and the `forward` shorthands of sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::MOST;
use super::values::{NAME_RULE, http_url, is_name};
use crate::config::error::suggestion;
use crate::config::file;
use crate::config::places::join;
use crate::config::report::{Keys, Report};
use crate::config::{Destination, Retry, Target};
use crate::domain::{TypePattern, parse_duration};

const TIMEOUT: Duration = Duration::from_secs(30);
const CONCURRENCY: usize = 16;

/// Resolves every destination, in the order of the file.
pub(super) fn resolve(
    sources: &BTreeMap<String, file::Source>,
    written: BTreeMap<String, file::Destination>,
    report: &mut Report,
) -> Vec<Destination> {
    let mut resolved = Vec::new();
    for (name, source) in sources {
        let Some(text) = source.forward.as_deref() else { continue };
        let order = report.places.order(&join(&join("sources", name), "forward"));
        let mut all = report.table("sources");
        let taken = written.contains_key(name);
        resolved.extend(forward(name, text, taken, all.below(name)).map(|destination| (order, destination)));
    }
    let names: Vec<&str> = sources.keys().map(String::as_str).collect();
    for (name, written) in written {
        let order = report.places.order(&join("destinations", &name));
        let mut all = report.table("destinations");
        if !is_name(&name) {
            all.problem(&name, NAME_RULE);
            continue;
        }
        resolved.extend(destination(&name, written, &names, all.below(&name)).map(|destination| (order, destination)));
    }
    resolved.sort_by_key(|(order, _)| *order);
    resolved.into_iter().map(|(_, destination)| destination).collect()
}

fn forward(name: &str, text: &str, taken: bool, mut keys: Keys<'_>) -> Option<Destination> {
    if taken {
        keys.problem(
            "forward",
            format!("makes a destination \"{name}\", and there is [destinations.{name}]: rename that one or drop `forward`"),
        );
    }
    let url = http_url(&mut keys, "forward", text)?;
    Some(Destination {
        name: name.into(),
        from: vec![name.into()],
        types: Vec::new(),
        target: Target::Url { url, append_path: false },
        timeout: TIMEOUT,
        concurrency: CONCURRENCY,
        retry: retry(&file::Retry::default(), keys.below("retry")),
    })
}

fn destination(name: &str, written: file::Destination, sources: &[&str], mut keys: Keys<'_>) -> Option<Destination> {
    let from = from(written.from, sources, &mut keys);
    let types = types(written.types, &mut keys);
    let url = match written.url.as_deref() {
        Some(text) => http_url(&mut keys, "url", text),
        None => {
            keys.missing("url", "is missing: write where events of this destination go");
            None
        }
    };
    let timeout = keys.duration("timeout", written.timeout.as_deref(), TIMEOUT);
    let concurrency = keys.count("concurrency", written.concurrency, CONCURRENCY, 1, 10_000);
    let retry = retry(&written.retry.unwrap_or_default(), keys.below("retry"));
    let target = Target::Url { url: url?, append_path: written.append_path.unwrap_or(false) };
    Some(Destination { name: name.into(), from, types, target, timeout, concurrency, retry })
}

fn from(written: Option<Vec<String>>, sources: &[&str], keys: &mut Keys<'_>) -> Vec<Arc<str>> {
    let Some(names) = written.filter(|names| !names.is_empty()) else {
        keys.missing("from", "is missing: name at least one source, such as from = [\"stripe\"]");
        return Vec::new();
    };
    let mut seen = BTreeSet::new();
    for (at, name) in names.iter().enumerate() {
        let path = keys.item("from", at);
        let shown = keys.report.quoted(&path, name);
        if !seen.insert(name) {
            keys.report.problem(&path, format!("{shown} is named twice"));
        } else if !sources.contains(&name.as_str()) && !keys.report.covers(&join("sources", name)) {
            let end = if sources.is_empty() { "; there are no sources".to_owned() } else { suggestion(name, sources.iter().copied()) };
            keys.report.problem(&path, format!("unknown source {shown}{end}"));
        }
    }
    names.iter().map(|name| name.as_str().into()).collect()
}

fn types(written: Option<Vec<String>>, keys: &mut Keys<'_>) -> Vec<TypePattern> {
    let patterns = match written {
        None => return Vec::new(),
        Some(patterns) if patterns.is_empty() => {
            keys.problem("types", "is empty, which would take nothing; leave the key out to take every type");
            return Vec::new();
        }
        Some(patterns) => patterns,
    };
    let mut parsed = Vec::new();
    for (at, pattern) in patterns.iter().enumerate() {
        match TypePattern::parse(pattern) {
            Ok(pattern) => parsed.push(pattern),
            Err(error) => {
                let path = keys.item("types", at);
                let shown = keys.report.quoted(&path, pattern);
                keys.report.problem(&path, format!("{shown}: {error}"));
            }
        }
    }
    parsed
}

fn retry(written: &file::Retry, mut keys: Keys<'_>) -> Retry {
    if let Some(waits) = &written.schedule {
        let others = written.attempts.is_some() || written.first.is_some() || written.max.is_some() || written.factor.is_some();
        if others {
            keys.problem("schedule", "stands beside attempts, first, max or factor: the schedule says all of these");
        }
        return schedule(waits, keys);
    }
    let attempts = keys.count("attempts", written.attempts, 12, 1, MOST);
    let first = keys.duration("first", written.first.as_deref(), Duration::from_secs(5));
    let max = keys.duration("max", written.max.as_deref(), Duration::from_secs(12 * 3600));
    if max < first {
        keys.problem(if written.max.is_some() { "max" } else { "first" }, "`max` must be at least `first`");
    }
    let factor = written.factor.unwrap_or(3.0);
    if !(1.0..=1000.0).contains(&factor) {
        keys.problem("factor", "must be 1 to 1000");
    }
    Retry::Exponential { attempts: u32::try_from(attempts).unwrap_or(u32::MAX), first, max, factor }
}

fn schedule(waits: &[String], mut keys: Keys<'_>) -> Retry {
    if waits.is_empty() {
        keys.problem("schedule", "is empty: write the waits between attempts, or attempts = 1 for a single one");
    }
    let mut parsed = Vec::new();
    for (at, text) in waits.iter().enumerate() {
        match parse_duration(text) {
            Ok(wait) => parsed.push(wait),
            Err(error) => {
                let path = keys.item("schedule", at);
                keys.report.problem(&path, error);
            }
        }
    }
    Retry::Schedule(parsed)
}
