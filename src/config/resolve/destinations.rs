//! Destinations: those that are written out, and the `forward` shorthands of sources.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::values::{NAME_RULE, http_url, is_name, parse_rate};
use super::{policy, targets};
use crate::config::error::suggestion;
use crate::config::file;
use crate::config::places::join;
use crate::config::report::{Keys, Report};
use crate::config::{Destination, Target, UrlTarget};
use crate::domain::{OWN_SOURCE, OnDead, TypePattern};
use crate::route::{Filter, OnFilterError, OrderBy, Pointer};

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
    let target = UrlTarget::plain(http_url(&mut keys, "forward", text)?);
    let target = Target::Url(Box::new(UrlTarget { from_variable: keys.is_expanded("forward"), ..target }));
    Some(delivered(name, vec![name.into()], target, &file::Destination::default(), &mut keys))
}

fn destination(name: &str, mut written: file::Destination, sources: &[&str], mut keys: Keys<'_>) -> Option<Destination> {
    let from = from(written.from.take(), sources, &mut keys);
    let types = types(written.types.take(), &mut keys);
    let filter = filter(&written, &mut keys);
    let on_filter_error = one_of(&mut keys, "on_filter_error", written.on_filter_error.as_deref(), ON_FILTER_ERROR, OnFilterError::as_str);
    let target = targets::resolve(&mut written, &mut keys);
    // Looked at even where the target is wrong, so that one run finds everything.
    let destination = delivered(name, from, target.clone().unwrap_or_else(|| Target::Handler(name.into())), &written, &mut keys);
    target.map(|_| Destination { types, filter, on_filter_error, ..destination })
}

/// A destination with the settings that every kind has.
fn delivered(name: &str, from: Vec<Arc<str>>, target: Target, written: &file::Destination, keys: &mut Keys<'_>) -> Destination {
    let order_by = order_by(written.order_by.as_deref(), keys);
    if written.on_dead.is_some() && written.order_by.is_none() {
        keys.problem("on_dead", "has no effect without `order_by`");
    }
    Destination {
        name: name.into(),
        from,
        types: Vec::new(),
        filter: None,
        on_filter_error: OnFilterError::default(),
        target,
        timeout: keys.duration("timeout", written.timeout.as_deref(), TIMEOUT),
        concurrency: keys.count("concurrency", written.concurrency, CONCURRENCY, 1, 10_000),
        rate_limit: written.rate_limit.as_deref().and_then(|text| keys.check("rate_limit", parse_rate(text))),
        order_by,
        on_dead: one_of(keys, "on_dead", written.on_dead.as_deref(), ON_DEAD, OnDead::as_str),
        retry: policy::retry(written.retry.as_ref().unwrap_or(&file::Retry::default()), keys.below("retry")),
        circuit: policy::circuit(written.circuit.as_ref().unwrap_or(&file::Circuit::default()), keys.below("circuit")),
    }
}

const ON_FILTER_ERROR: &[OnFilterError] = &[OnFilterError::Deliver, OnFilterError::Skip];
const ON_DEAD: &[OnDead] = &[OnDead::Skip, OnDead::Hold];

/// The value of that name; the default where none is written.
fn one_of<T: Copy + Default>(keys: &mut Keys<'_>, key: &str, written: Option<&str>, allowed: &[T], name: fn(T) -> &'static str) -> T {
    let Some(text) = written else { return T::default() };
    match allowed.iter().find(|value| name(**value) == text) {
        Some(value) => *value,
        None => {
            let path = keys.path(key);
            let shown = keys.report.quoted(&path, text);
            let end = suggestion(text, allowed.iter().map(|value| name(*value)));
            keys.problem(key, format!("unknown value {shown}{end}"));
            T::default()
        }
    }
}

fn filter(written: &file::Destination, keys: &mut Keys<'_>) -> Option<Filter> {
    if written.on_filter_error.is_some() && written.filter.is_none() {
        keys.problem("on_filter_error", "has no effect without `filter`");
    }
    let error = match Filter::parse(written.filter.as_deref()?) {
        Ok(filter) => return Some(filter),
        Err(error) => error,
    };
    let message = if keys.is_expanded("filter") { error.without_text() } else { error.to_string() };
    keys.problem("filter", message);
    None
}

fn order_by(written: Option<&str>, keys: &mut Keys<'_>) -> Option<OrderBy> {
    match written? {
        "source" => Some(OrderBy::Source),
        text if text.starts_with('/') => keys.check("order_by", Pointer::parse(text)).map(OrderBy::Pointer),
        _ => {
            keys.problem("order_by", "must be \"source\", or a JSON pointer into the body such as \"/repository/id\"");
            None
        }
    }
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
        } else if name != OWN_SOURCE && !sources.contains(&name.as_str()) && !keys.report.covers(&join("sources", name)) {
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
