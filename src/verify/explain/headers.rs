//! Header fields that a proxy renamed, doubled or joined.

use super::text;
use super::trial::Bench;
use crate::domain::{HeaderBuilder, Headers, RawRequest};
use crate::provider::{Locator, Place, Provider, Template};

/// What proxies and gateways put before the name of a header that they keep aside.
const PREFIXES: &[&str] = &[
    "http-",
    "x-forwarded-",
    "x-original-",
    "x-amzn-remapped-",
    "x-envoy-original-",
    "x-proxy-",
    "proxy-",
    "original-",
    "forwarded-",
    "x-",
];
/// The most parts of a joined value that are tried.
const MAX_PARTS: usize = 5;

/// Headers that have another name, came twice, or were joined.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    renamed(bench).or_else(|| doubled(bench)).or_else(|| joined(bench))
}

/// The lower-case names of the headers that a row looks at: for its signatures, what they sign, and the ID.
pub(super) fn needed(provider: &Provider) -> Vec<&str> {
    let own = provider.signatures.iter().filter_map(|signature| match &signature.place {
        Place::Header(name) => Some(name.as_str()),
        _ => None,
    });
    let signed = provider.signatures.iter().flat_map(|signature| signature.signed.locators());
    let timestamps = provider.signatures.iter().filter_map(|signature| signature.timestamp.as_ref()).map(|rule| &rule.from);
    let ids = provider.event_id.iter().flat_map(Template::locators);
    let places = signed.chain(timestamps).chain(ids).filter_map(|place| match place {
        Locator::Header(name) => Some(name.as_str()),
        _ => None,
    });
    let mut names: Vec<_> = own.chain(places).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Headers that the row looks at and that are missing, each with the one that looks like it under another name.
pub(super) fn alike<'a>(provider: &'a Provider, request: &'a RawRequest) -> Vec<(&'a str, &'a str)> {
    let needed = needed(provider);
    let missing = needed.iter().filter(|name| request.headers.get(name).is_none());
    let alike = |name: &&'a str| {
        let came = request.headers.iter().map(|(field, _)| field);
        came.filter(|field| !needed.contains(field)).find(|field| core(field) == core(name)).map(|field| (*name, field))
    };
    missing.filter_map(alike).collect()
}

/// What is left of a header's name without what proxies do to it.
fn core(name: &str) -> String {
    let plain = name.to_ascii_lowercase().replace(['_', '.'], "-");
    let mut core = plain.as_str();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| core.strip_prefix(prefix)) {
        core = rest;
    }
    core.to_owned()
}

fn renamed(bench: &Bench<'_>) -> Option<String> {
    let pairs = alike(bench.provider(), bench.request());
    if pairs.is_empty() {
        return None;
    }
    let mut headers = HeaderBuilder::default();
    for (field, value) in bench.request().headers.iter() {
        let name = pairs.iter().find(|(_, came)| *came == field).map_or(field, |(name, _)| *name);
        headers.push(name, value);
    }
    bench.try_headers(headers.build()).then(|| {
        let pairs: Vec<_> = pairs.iter().map(|(name, came)| format!("header {name} came as {}", text::clean(came))).collect();
        format!("it holds when what came is given its own name again: {}; something on the way renames headers", pairs.join(", "))
    })
}

fn doubled(bench: &Bench<'_>) -> Option<String> {
    let (request, needed) = (bench.request(), needed(bench.provider()));
    let repeated: Vec<_> = needed.into_iter().filter(|name| request.headers.all(name).nth(1).is_some()).collect();
    if repeated.is_empty() {
        return None;
    }
    let which = [(false, "first"), (true, "last")].into_iter().find(|(last, _)| bench.try_headers(single(request, &repeated, *last)))?;
    let names = repeated.join(", ");
    Some(format!("it holds by the {} of what came more than once ({names}): the sender or something on the way repeats it", which.1))
}

/// The headers with one field alone of each of these names.
fn single(request: &RawRequest, names: &[&str], last: bool) -> Headers {
    let mut headers = HeaderBuilder::default();
    for (field, value) in request.headers.iter().filter(|(field, _)| !names.contains(field)) {
        headers.push(field, value);
    }
    for name in names {
        let values = request.headers.all(name);
        let value = if last { values.last() } else { request.headers.get(name) };
        headers.push(name, value.unwrap_or_default());
    }
    headers.build()
}

/// A header that was sent several times and joined by `, ` on its way.
fn joined(bench: &Bench<'_>) -> Option<String> {
    for name in needed(bench.provider()) {
        let Some(value) = bench.request().headers.text(name).filter(|value| value.contains(',')) else { continue };
        let parts: Vec<_> = value.split(',').map(str::trim).take(MAX_PARTS).collect();
        if parts.iter().any(|part| bench.try_value(name, part)) {
            return Some(format!("it holds by one part of header {name}: repeated headers are joined by a comma on the way"));
        }
    }
    None
}
