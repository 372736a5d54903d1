//! Identity: what a proved request is called, and of which type it is. Also the answers to handshakes.

use bytes::Bytes;
use secrecy::SecretString;
use subtle::ConstantTimeEq as _;

use super::content::Scope;
use super::prove::Proof;
use super::{Answered, Verifier, published};
use crate::domain::{Code, EventKey, MAX_EVENT_ID, MAX_EVENT_TYPE, Rejection, Reply, VerifiedEvent, VerifiedParts};
use crate::provider::{Handshake, Locator, Place, Provider, Signature, Template, check_host, is_wild};

/// The longest ID of an item, in bytes; more is cut.
const MAX_ITEM_ID: usize = 256;
/// The longest answer to a handshake, in bytes.
const MAX_HANDSHAKE: usize = 4_096;
/// The longest secret that a handshake may bring, in bytes.
const MAX_SECRET: usize = 1_024;

/// Every JSON value that the row looks at.
pub(super) fn json_pointers(provider: &Provider) -> Vec<String> {
    let handshakes = provider.handshakes.iter().flat_map(handshake_places);
    let signatures = provider.signatures.iter().flat_map(signature_places);
    let types = provider.event_type.iter().flat_map(Template::locators);
    let ids = provider.event_id.iter().flat_map(Template::locators);
    let own = provider.signatures.iter().filter(|signature| signature.each.is_none());
    let own = own.filter_map(|signature| if let Place::Json(pointer) = &signature.place { Some(pointer.as_str()) } else { None });
    let pointers = ids.chain(signatures).chain(types).chain(handshakes).filter_map(Locator::json_pointer).chain(own);
    // A place with any item of an array is looked up by itself.
    pointers.filter(|pointer| !is_wild(pointer)).map(str::to_owned).collect()
}

fn handshake_places(handshake: &Handshake) -> Vec<&Locator> {
    let when = handshake.when.iter().map(|(place, _)| place);
    let fetch = handshake.fetch.iter().flat_map(|fetch| fetch.url.locators());
    when.chain(handshake.body.locators()).chain(&handshake.learn).chain(fetch).collect()
}

/// Where a signature has the document's values; those of its items are looked up item by item.
fn signature_places(signature: &Signature) -> Vec<&Locator> {
    let signed = signature.signed.locators().into_iter().filter(|_| signature.is_in_body());
    let timestamp = signature.timestamp.iter().map(|rule| &rule.from);
    let in_item = signed.chain(timestamp).filter(|_| signature.each.is_none());
    let when = signature.when.iter().map(|(place, _)| place);
    let require = signature.require.iter().flat_map(|(place, wanted)| wanted.locators().into_iter().chain([place]));
    let published = signature.published.iter().flat_map(|rule| rule.url.locators());
    in_item.chain(when).chain(require).chain(published).collect()
}

/// Every JSON value that a signature looks at in each item of an array.
pub(super) fn item_pointers(signature: &Signature) -> Vec<String> {
    if signature.each.is_none() {
        return Vec::new();
    }
    let places = signature.signed.locators().into_iter().chain(signature.timestamp.iter().map(|rule| &rule.from));
    let places = places.chain(signature.item_when.iter().map(|(place, _)| place));
    let own = if let Place::Json(pointer) = &signature.place { Some(pointer.as_str()) } else { None };
    places.filter_map(Locator::json_pointer).chain(own).map(str::to_owned).collect()
}

/// Whether the body must be looked into before anything is proved: because the signature stands in it, or because a
/// handshake that is not signed is known by it.
pub(super) fn reads_body_first(provider: &Provider) -> bool {
    let by_body = |handshake: &Handshake| handshake.when.iter().any(|(place, _)| place.json_pointer().is_some());
    provider.signatures.iter().any(Signature::is_in_body)
        || provider.handshakes.iter().any(|handshake| !handshake.signed && by_body(handshake))
}

/// Refuses a request that does not hold what its signature demands of it.
pub(super) fn check_required(signature: &Signature, scope: &Scope<'_>) -> Result<(), Rejection> {
    for (place, wanted) in &signature.require {
        let wanted = scope.render_exactly(wanted);
        if wanted.is_empty() {
            continue;
        }
        if let Some(pointer) = place.json_pointer().filter(|pointer| is_wild(pointer)) {
            if !scope.is_everywhere(pointer, &wanted) {
                let diagnosis = format!("the signature holds, but not every {place} is what it must be");
                return Err(Rejection::new(Code::SignatureMismatch, diagnosis));
            }
            continue;
        }
        let is_there = scope.text(place).is_some_and(|text| bool::from(text.as_bytes().ct_eq(wanted.as_bytes())));
        if !is_there {
            let diagnosis = format!("the signature holds, but the {place} is not what it must be");
            return Err(Rejection::new(Code::SignatureMismatch, diagnosis));
        }
    }
    Ok(())
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
        content_digest: moves.unwrap_or_else(|| scope.body_digest()),
        replay_guard: moves.map(|_| verifier.setup.replay_guard),
        item_ids: provider.item_id.as_ref().map(|place| item_ids(scope, place)).unwrap_or_default(),
        verified_by: proof.verified_by,
        received_at: request.received_at,
    }))
}

fn event_id(templates: &[Template], scope: &Scope<'_>) -> Result<String, Rejection> {
    let mut too_long = false;
    for template in templates {
        for place in template.locators() {
            if let Locator::Header(name) = place
                && scope.request.headers.all(name).nth(1).is_some()
            {
                return Err(Rejection::new(Code::EventIdMissing, format!("the header {name} came more than once")));
            }
        }
        let Some(id) = scope.render(template).filter(|id| !id.is_empty()) else { continue };
        if id.len() <= MAX_EVENT_ID {
            return Ok(id);
        }
        // An ID made of many may be too long where another place holds one.
        too_long = true;
    }
    if too_long {
        return Err(Rejection::new(Code::EventIdMissing, format!("the event's ID is longer than {MAX_EVENT_ID} bytes")));
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

/// The IDs of the items, in their order, each cut to the length of an event's.
fn item_ids(scope: &Scope<'_>, place: &Locator) -> Vec<String> {
    let mut ids = scope.each(place);
    for id in &mut ids {
        id.truncate(id.floor_char_boundary(MAX_ITEM_ID));
    }
    ids
}

fn event_type(provider: &Provider, scope: &Scope<'_>) -> String {
    let rendered = provider.event_type.iter().find_map(|template| scope.render(template));
    let mut name = rendered.unwrap_or_default();
    if name.len() > MAX_EVENT_TYPE {
        name.truncate(name.floor_char_boundary(MAX_EVENT_TYPE));
    }
    name
}

/// The answer to a handshake, with what must be done before it is given.
pub(super) fn answered(handshake: &Handshake, scope: &Scope<'_>) -> Result<Answered, Rejection> {
    let unreadable = |what: &str| Rejection::new(Code::BodyUnreadable, what);
    let learn = match &handshake.learn {
        None => None,
        Some(place) => {
            let secret = scope.text(place).filter(|text| !text.trim().is_empty() && text.len() <= MAX_SECRET);
            let secret = secret.ok_or_else(|| unreadable("the handshake's secret is missing or too long"))?;
            Some(SecretString::from(secret.into_owned()))
        }
    };
    let visit = match &handshake.fetch {
        None => None,
        Some(fetch) => {
            let url = published::rendered(&fetch.url, scope).ok_or_else(|| unreadable("the handshake's URL is missing"))?;
            let wrong = |problem| Rejection::new(Code::SignatureMismatch, format!("the URL that is to be visited {problem}"));
            check_host(&url, &fetch.hosts).map_err(wrong)?;
            Some(url)
        }
    };
    Ok(Answered { reply: reply(handshake, scope)?, learn, visit })
}

fn reply(handshake: &Handshake, scope: &Scope<'_>) -> Result<Reply, Rejection> {
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

#[cfg(test)]
mod tests {
    use super::super::{Judgement, Setup, Verifier};
    use crate::domain::{Code, Headers, RawRequest, Timestamp};
    use crate::provider::Table;

    #[test]
    fn what_every_item_must_say_is_said_by_every_item() {
        let row = "[a]\nsignature = { header = \"X-S\", require = { \"json:/*/whose\" = \"[{param:whose}]\" } }\n\
                   optional_params = { whose = \"whose\" }";
        let provider = Table::parse(row).unwrap().get("a").unwrap().clone();
        let outcome = |whose: Option<&str>, body: &'static str| {
            let mut setup = Setup::new(provider.clone(), vec!["hush".to_owned().into()]);
            setup.params.extend(whose.map(|whose| ("whose".to_owned(), whose.to_owned())));
            let verifier = Verifier::new("a", setup).unwrap();
            let (method, path, headers, received_at) = ("POST".into(), "/hooks/a".into(), Headers::default(), Timestamp::from_secs(1));
            let (subpath, query, body) = (String::new(), String::new(), body.into());
            let request = RawRequest { method, path, subpath, query, headers, body, received_at };
            let signed = verifier.sign(&request, received_at).unwrap();
            match verifier.judge(&signed, received_at) {
                Ok(Judgement::Event(_)) => Ok(()),
                Ok(Judgement::Handshake(_)) => panic!("no handshake"),
                Err(rejection) => Err(rejection.code),
            }
        };
        let ours = "[{\"whose\":\"us\"},{\"whose\":\"us\"}]";
        assert_eq!(outcome(Some("us"), ours), Ok(()));
        assert_eq!(outcome(None, ours), Ok(()), "nothing is asked for");
        for other in ["[{\"whose\":\"us\"},{\"whose\":\"them\"}]", "[{\"whose\":\"us\"},{}]", "[{\"whose\":\"us,us\"}]", "[]", "{}", "x"] {
            assert_eq!(outcome(Some("us"), other), Err(Code::SignatureMismatch), "{other}");
        }
        assert_eq!(outcome(Some("us,us"), ours), Err(Code::SignatureMismatch));
    }
}
