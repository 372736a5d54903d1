//! Identity: what a proved request is called, and of which type it is. Also the answers to handshakes.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Verifier;
use super::content::Scope;
use super::prove::Proof;
use crate::domain::{Code, EventKey, Rejection, Reply, VerifiedEvent, VerifiedParts};
use crate::provider::{Handshake, Locator, Place, Provider, Signature, Template};

/// The longest event ID, in bytes.
const MAX_EVENT_ID: usize = 1_024;
/// The longest event type, in bytes; more is cut.
const MAX_EVENT_TYPE: usize = 256;
/// The longest answer to a handshake, in bytes.
const MAX_HANDSHAKE: usize = 4_096;

/// Every JSON value that the row looks at.
pub(super) fn json_pointers(provider: &Provider) -> Vec<String> {
    let types = provider.event_type.iter().flat_map(|template| template.locators());
    let handshakes =
        provider.handshakes.iter().flat_map(|handshake| handshake.when.iter().map(|(place, _)| place).chain(handshake.body.locators()));
    let timestamps = provider.signatures.iter().filter_map(|signature| signature.timestamp.as_ref()).map(|rule| &rule.from);
    let signed = provider.signatures.iter().filter(|signature| in_body(signature)).flat_map(|signature| signature.signed.locators());
    let own = provider.signatures.iter().filter_map(|signature| match &signature.place {
        Place::Json(pointer) => Some(pointer.clone()),
        _ => None,
    });
    let ids = provider.event_id.iter().flat_map(Template::locators);
    let places = ids.chain(signed).chain(types).chain(handshakes).chain(timestamps);
    places.filter_map(Locator::json_pointer).map(str::to_owned).chain(own).collect()
}

/// Whether the signature stands in the body.
fn in_body(signature: &Signature) -> bool {
    matches!(signature.place, Place::Json(_) | Place::Form(_))
}

/// Whether the body must be looked into before anything is proved: because the signature stands in it, or because a
/// handshake that is not signed is known by it.
pub(super) fn reads_body_first(provider: &Provider) -> bool {
    let by_body = |handshake: &Handshake| handshake.when.iter().any(|(place, _)| place.json_pointer().is_some());
    provider.signatures.iter().any(in_body) || provider.handshakes.iter().any(|handshake| !handshake.signed && by_body(handshake))
}

/// Whether events come by this method, or only handshakes.
pub(super) fn takes_events_by(provider: &Provider, method: &str) -> bool {
    match provider.row.methods.is_empty() {
        true => method == "POST",
        false => provider.row.methods.iter().any(|known| known.eq_ignore_ascii_case(method)),
    }
}

/// Where the ID of a request that this signature proves may be. Where the row says that the ID is signed, a header counts
/// only if this very signature covers it: a sender with two sets of headers signs one of them.
pub(super) fn trusted_ids(provider: &Provider, signature: &Signature) -> Vec<Template> {
    let signed = signature.signed.locators();
    let is_trusted = |place: &&Locator| !(provider.row.event_id_signed && matches!(place, Locator::Header(_))) || signed.contains(place);
    provider.event_id.iter().filter(|template| template.locators().iter().all(is_trusted)).cloned().collect()
}

/// The event that a proved request brings.
pub(super) fn event(verifier: &Verifier, scope: &Scope<'_>, proof: Proof<'_>) -> Result<VerifiedEvent, Rejection> {
    let (request, provider) = (scope.request, verifier.provider());
    let event_id = event_id(proof.event_id, scope)?;
    let moves = proof.content.and_then(|content| content.digest(scope));
    Ok(VerifiedEvent::attest(VerifiedParts {
        key: EventKey { source: verifier.source.clone(), event_id: event_id.into() },
        provider: provider.name.clone(),
        event_type: event_type(provider, scope),
        method: request.method.clone(),
        subpath: request.subpath.clone(),
        query: verifier.storable_query(&request.query),
        headers: verifier.storable(&request.headers),
        body: request.body.clone(),
        content_digest: moves.unwrap_or_else(|| Sha256::digest(&request.body).into()),
        replay_guard: moves.map(|_| verifier.setup.replay_guard),
        verified_by: proof.verified_by,
        received_at: request.received_at,
    }))
}

fn event_id(templates: &[Template], scope: &Scope<'_>) -> Result<String, Rejection> {
    for template in templates {
        for place in template.locators() {
            if let Locator::Header(name) = place
                && scope.request.headers.all(name).nth(1).is_some()
            {
                return Err(Rejection::new(Code::EventIdMissing, format!("the header {name} came more than once")));
            }
        }
        let Some(id) = scope.render(template).filter(|id| !id.is_empty()) else { continue };
        if id.len() > MAX_EVENT_ID {
            return Err(Rejection::new(Code::EventIdMissing, format!("the event's ID is longer than {MAX_EVENT_ID} bytes")));
        }
        return Ok(id);
    }
    let places = templates.iter().flat_map(Template::locators);
    let is_json = places.clone().any(|place| place.json_pointer().is_some());
    let names = places.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match &scope.json_error {
        Some(error) if is_json => {
            Err(Rejection::new(Code::BodyUnreadable, format!("the event's ID is in the {names}, and the body is not JSON: {error}")))
        }
        _ => Err(Rejection::new(Code::EventIdMissing, format!("there is no ID in the {names}"))),
    }
}

fn event_type(provider: &Provider, scope: &Scope<'_>) -> String {
    let rendered = provider.event_type.iter().find_map(|template| scope.render(template));
    let mut name = rendered.unwrap_or_default();
    if name.len() > MAX_EVENT_TYPE {
        name.truncate(name.floor_char_boundary(MAX_EVENT_TYPE));
    }
    name
}

/// The answer to a handshake.
pub(super) fn handshake_reply(handshake: &Handshake, scope: &Scope<'_>) -> Result<Reply, Rejection> {
    let is_json = handshake.content_type.contains("json");
    let body = if is_json { scope.render_json(&handshake.body) } else { scope.render(&handshake.body) };
    let body = body.filter(|body| body.len() <= MAX_HANDSHAKE);
    let body = body.ok_or_else(|| Rejection::new(Code::BodyUnreadable, "the handshake's challenge is missing or too long"))?;
    let mut headers = vec![
        ("content-type".into(), handshake.content_type.clone()),
        // What is echoed came from outside: no browser may take it for anything else.
        ("x-content-type-options".into(), "nosniff".into()),
    ];
    for (name, template) in &handshake.headers {
        let value = scope.render(template).filter(|value| value.len() <= MAX_HANDSHAKE && !value.contains(char::is_control));
        headers.extend(value.map(|value| (name.clone(), value)));
    }
    Ok(Reply { status: handshake.status, headers, body: Bytes::from(body) })
}
