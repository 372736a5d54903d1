//! The right secret by another row: another sender, another algorithm, other signed content.

use std::sync::Arc;

use super::text;
use super::trial::Bench;
use super::value::filled;
use crate::domain::RawRequest;
use crate::provider::{Algorithm, Locator, Place, Provider, Signature, Table, Template};
use crate::verify::Setup;

/// The most rows that are named.
const MAX_ROWS: usize = 3;
/// The algorithms with a shared key.
const MACS: &[Algorithm] = &[Algorithm::HmacSha256, Algorithm::HmacSha1, Algorithm::HmacSha512, Algorithm::HmacSha384];

/// Another row of the table, or this one with something else about it.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    if !bench.is_unproved() {
        return None;
    }
    another_row(bench).or_else(|| another_algorithm(bench)).or_else(|| body_alone(bench))
}

fn another_row(bench: &Bench<'_>) -> Option<String> {
    let own = &bench.provider().name;
    let is_other = |row: &&Arc<Provider>| row.name != *own && is_filled(row, bench.request()) && proves_as_much(row, bench.provider());
    let mut rows: Vec<_> = bench.refusal().table.iter().filter(is_other).collect();
    // Rows after which a header of the request is named come first, those for any sender last.
    let is_named = |row: &Provider| bench.request().headers.iter().any(|(header, _)| header.contains(&*row.name));
    rows.sort_by_key(|row| (!is_named(row), row.name.starts_with("generic-")));
    let holds = |row: &&Arc<Provider>| bench.try_setup(Setup { provider: Arc::clone(row), ..bench.setup().clone() });
    let names: Vec<_> = rows.into_iter().filter(holds).map(|row| row.name.to_string()).take(MAX_ROWS).collect();
    (!names.is_empty()).then(|| {
        format!("with the same secret it holds by the row {}: is `provider` of this source the right one ({own})?", names.join(" or "))
    })
}

/// Whether something stands where the row has a signature. Those in the body are left out: few rows have them, and they
/// would all be tried.
fn is_filled(row: &Provider, request: &RawRequest) -> bool {
    row.signatures.iter().any(|signature| match &signature.place {
        Place::Header(name) => request.headers.get(name).is_some(),
        Place::Query(name) => request.query.split('&').any(|pair| pair.split('=').next() == Some(name)),
        _ => false,
    })
}

/// Whether a row proves the body where the other does, or needs the secret itself to be sent: else a changed body would be no
/// matter, and the row would hold for no other reason.
fn proves_as_much(row: &Provider, own: &Provider) -> bool {
    let is_body = |place: &Locator| {
        use Locator::{Body, BodyDigest, BodySha256, BodySha256Base64, BodySha256Base64Url, Document, FormSorted};
        matches!(place, Body | BodyDigest | BodySha256 | BodySha256Base64 | BodySha256Base64Url | Document | FormSorted)
    };
    let has_body = |template: &Template| template.locators().into_iter().any(is_body);
    let covers = |signature: &Signature| match &signature.jwt {
        Some(rule) => rule.detached || rule.claims.iter().any(|(_, wanted)| wanted.iter().any(has_body)),
        None => has_body(&signature.signed),
    };
    let needs_secret = |signature: &Signature| signature.algorithm.sends_secret();
    !own.signatures.iter().any(covers) || row.signatures.iter().all(|signature| covers(signature) || needs_secret(signature))
}

/// The set-up with a row that has been changed.
fn with_row(bench: &Bench<'_>, change: impl FnOnce(&mut Provider)) -> Setup {
    let mut provider = Provider::clone(bench.provider());
    change(&mut provider);
    Setup { provider: Arc::new(provider), ..bench.setup().clone() }
}

fn another_algorithm(bench: &Bench<'_>) -> Option<String> {
    let (signature, _, _) = filled(&bench.provider().signatures, bench.request())?;
    let own = signature.algorithm;
    let others = MACS.iter().copied().filter(|other| *other != own && MACS.contains(&own));
    let with = |other: Algorithm| with_row(bench, |row| row.signatures.iter_mut().for_each(|signature| signature.algorithm = other));
    let found = others.into_iter().find(|other| bench.try_setup(with(*other)))?;
    Some(format!("it holds by {}, where the row says {}", found.as_str(), own.as_str()))
}

fn body_alone(bench: &Bench<'_>) -> Option<String> {
    let (signature, _, _) = filled(&bench.provider().signatures, bench.request())?;
    let alone = Template::parse("{body}").ok().filter(|alone| signature.signed != *alone)?;
    let is_mac = MACS.contains(&signature.algorithm) && !signature.signed.locators().contains(&&Locator::Secret);
    let setup = with_row(bench, |row| row.signatures.iter_mut().for_each(|signature| signature.signed = alone.clone()));
    (is_mac && bench.try_setup(setup)).then(|| "it holds over the body alone, where the row signs more than that".to_owned())
}

/// The headers that came in which other rows have their signature, with those rows.
pub(super) fn signed_otherwise(own: &Provider, table: &Table, request: &RawRequest) -> Option<String> {
    let mut headers: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in table.iter().filter(|row| row.name != own.name) {
        let places = row.signatures.iter().filter_map(|signature| match &signature.place {
            Place::Header(name) if request.headers.get(name).is_some() => Some(name.as_str()),
            _ => None,
        });
        for header in places {
            match headers.iter_mut().find(|(known, _)| *known == header) {
                Some((_, rows)) => rows.push(&row.name),
                None => headers.push((header, vec![&row.name])),
            }
        }
    }
    let shown = |(header, rows): &mut (&str, Vec<&str>)| {
        // The row that the header is named after comes first.
        rows.sort_by_key(|row| !header.contains(*row));
        rows.dedup();
        format!("{} carries the signature of {}", text::clean(header), text::names(rows.iter().copied().take(MAX_ROWS)))
    };
    let found: Vec<_> = headers.iter_mut().take(MAX_ROWS).map(shown).collect();
    (!found.is_empty()).then(|| format!("the header {}: is `provider` of this source the right one ({})?", found.join(", "), own.name))
}
