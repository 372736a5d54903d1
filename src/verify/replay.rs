//! Replays: whether the content of a request could come back under another ID, and what that content is.

use sha2::{Digest as _, Sha256};

use super::content::Scope;
use crate::provider::{Locator, Provider, Signature, Template};

/// The content of requests whose ID the signature does not cover: what is signed beside timestamps and IDs.
pub(super) struct Content(Vec<Locator>);

impl Content {
    /// The content of what this signature proves, `None` for what comes unproved. There is none where the same content
    /// cannot have two IDs, or has them by design.
    pub(super) fn new(provider: &Provider, signature: Option<&Signature>, ids: &[Template]) -> Option<Self> {
        // An ID that follows from the body does not follow from what is signed, where the body can be written otherwise.
        let is_rewritable = signature.is_some_and(Signature::covers_rewritable_body);
        let may_move = !provider.row.event_id_signed && !repeats(ids) && (is_rewritable || !follow_from_the_body(provider, ids));
        may_move.then(|| Self(signature.map_or_else(Vec::new, |signature| places(signature, ids))))
    }

    /// Its digest; `None` when there is no content: what is empty is the same for all.
    pub(super) fn digest(&self, scope: &Scope<'_>) -> Option<[u8; 32]> {
        let values: Vec<_> = match &self.0[..] {
            [] => scope.bytes(&Locator::Body).into_iter().collect(),
            places => places.iter().map(|place| scope.bytes(place).unwrap_or_default()).collect(),
        };
        match &values[..] {
            values if values.iter().all(|value| value.is_empty()) => None,
            [value] => Some(Sha256::digest(value).into()),
            values => {
                let mut digest = Sha256::new();
                for value in values {
                    digest.update((value.len() as u64).to_be_bytes());
                    digest.update(value);
                }
                Some(digest.finalize().into())
            }
        }
    }
}

/// Whether the sender's events are told apart by their arrival, since it repeats the same content for different ones.
fn repeats(ids: &[Template]) -> bool {
    ids.iter().flat_map(Template::locators).any(|place| *place == Locator::Arrival)
}

/// Whether the same body always has the same ID. What is read from a form depends on the content type as well, so that there
/// must not be another place to fall back to.
fn follow_from_the_body(provider: &Provider, ids: &[Template]) -> bool {
    let mut places = ids.iter().flat_map(Template::locators);
    let by_form = |place: &Locator| match place {
        Locator::Form(_) | Locator::FormSorted => true,
        Locator::Json(_) | Locator::Document => provider.row.json_field.is_some(),
        _ => false,
    };
    let in_body = |place: &Locator| {
        let digest = matches!(place, Locator::BodyDigest | Locator::BodySha256 | Locator::BodySha256Base64 | Locator::BodySha256Base64Url);
        digest || matches!(place, Locator::Body | Locator::Document | Locator::Json(_) | Locator::Form(_) | Locator::FormSorted)
    };
    places.all(|place| in_body(place) && (ids.len() == 1 || !by_form(place)))
}

/// What is signed, but for timestamps and IDs beside the body; nothing where that is the body alone, or nothing is signed.
fn places(signature: &Signature, ids: &[Template]) -> Vec<Locator> {
    let ids: Vec<_> = ids.iter().flat_map(Template::locators).collect();
    let is_time = |place: &Locator| *place == Locator::Timestamp || signature.timestamp.as_ref().is_some_and(|rule| rule.from == *place);
    let is_beside =
        |place: &Locator| matches!(place, Locator::Secret | Locator::SignatureItem(_) | Locator::Param(_) | Locator::ListedHeaders(_));
    let is_id = |place: &Locator| matches!(place, Locator::Header(_) | Locator::Query(_) | Locator::Claim(_)) && ids.contains(&place);
    let signed = signature.signed.locators().into_iter();
    signed.filter(|place| !is_time(place) && !is_beside(place) && !is_id(place)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Judgement, Setup, Verifier};
    use crate::domain::{HeaderBuilder, RawRequest, ReplayGuard, Timestamp};
    use crate::provider::Table;

    /// What is digested of an unverified request under a row with these keys, if it is looked for at all.
    fn digest(row: &str, headers: &[(&str, &str)], query: &str, body: &'static str) -> Option<[u8; 32]> {
        let table = Table::parse(&format!("[a]\n{row}")).unwrap();
        let mut setup = Setup::new(table.get("a").unwrap().clone(), vec!["hush".to_owned().into()]);
        setup.url = Some("https://a.example/hooks/a".into());
        setup.params = BTreeMap::new();
        let verifier = Verifier::new("a", setup).unwrap();
        let mut fields = HeaderBuilder::default();
        for (name, value) in headers {
            fields.push(name, value.as_bytes());
        }
        let request = RawRequest {
            method: "POST".into(),
            path: "/hooks/a".into(),
            subpath: String::new(),
            query: query.into(),
            headers: fields.build(),
            body: body.as_bytes().into(),
            received_at: Timestamp::from_secs(1),
        };
        let signed = verifier.sign(&request, Timestamp::from_secs(1)).unwrap();
        let Ok(Judgement::Event(event)) = verifier.judge(&signed, Timestamp::from_secs(1)) else { panic!("it is an event") };
        assert!(event.replay_guard.is_none_or(|guard| guard == ReplayGuard::Mark));
        event.replay_guard.map(|_| event.content_digest)
    }

    const SIGNED: &str = "signature = { header = \"X-S\" }\n";

    #[test]
    fn content_is_looked_for_only_where_it_can_come_under_another_id() {
        let headers = [("x-id", "1")];
        let digest = |row: &str| digest(&format!("{SIGNED}{row}"), &headers, "", "{\"id\":\"1\"}");
        for moves in ["['header:X-Id']", "['header:X-Id', 'sha256']", "['json:/id', 'header:X-Id']"] {
            assert!(digest(&format!("event_id = {moves}")).is_some(), "{moves}");
        }
        for stays in ["[]", "['sha256']", "['json:/id']", "['json:/id', 'sha256']", "['arrival']", "['json:/none', 'arrival']"] {
            assert!(digest(&format!("event_id = {stays}")).is_none(), "{stays}");
        }
        let signed = "signed = \"{header:X-Id}.{body}\"\nevent_id = ['header:X-Id']\nevent_id_signed = true";
        assert!(digest(signed).is_none());
        assert!(digest("event_id = ['json:/id', 'sha256']\njson_field = 'payload'").is_some(), "by another content type it is no form");
    }

    #[test]
    fn timestamps_and_ids_beside_the_content_are_no_part_of_it() {
        let row = "signature = { header = \"X-S\" }\nsigned = \"{timestamp}.{header:X-Id}.{body}\"\n\
                   timestamp = { from = \"header:X-T\" }\nevent_id = ['header:X-Id']";
        let plain = digest(row, &[("x-id", "1"), ("x-t", "1")], "", "same");
        assert!(plain.is_some());
        assert_eq!(plain, digest(row, &[("x-id", "2"), ("x-t", "1")], "", "same"));
        assert_eq!(plain, digest(&format!("{SIGNED}event_id = ['header:X-Id']"), &[("x-id", "3")], "a=b", "same"), "SHA-256 of the body");
        assert_ne!(plain, digest(row, &[("x-id", "2"), ("x-t", "1")], "", "other"));
    }

    #[test]
    fn what_is_signed_beside_the_body_is_content_too() {
        let row = "signature = { header = \"X-S\" }\nsigned = \"{url}{form_sorted}\"\nevent_id = ['header:X-Id']";
        let form = ("content-type", "application/x-www-form-urlencoded");
        let plain = digest(row, &[("x-id", "1"), form], "to=a", "b=2&a=1");
        assert!(plain.is_some());
        assert_eq!(plain, digest(row, &[("x-id", "2"), form], "to=a", "a=1&b=2"), "the order is not signed");
        assert_ne!(plain, digest(row, &[("x-id", "2"), form], "to=b", "b=2&a=1"));
    }

    #[test]
    fn a_body_that_can_be_written_otherwise_under_its_signature_is_the_same_content() {
        let sorted = "signature = { header = \"X-S\" }\nsigned = \"{url}{form_sorted}\"";
        let plain = digest(sorted, &[], "", "b=x+y&a=1");
        assert!(plain.is_some());
        assert_eq!(plain, digest(sorted, &[], "", "a=1&b=x%20y"));
        assert_ne!(plain, digest(sorted, &[], "", "a=1&b=z"));
        let canonical = "signature = { header = \"X-S\" }\nsigned = \"{canonical_json}\"";
        let plain = digest(canonical, &[], "", "{\"b\":1,\"a\":2}");
        assert!(plain.is_some());
        assert_eq!(plain, digest(canonical, &[], "", " {\"a\": 2, \"b\": 1}"));
        let sum = "signature = { header = \"X-S\" }\nsigned = \"{header:x-time}{body_crc32}\"\nevent_id = ['json:/id']";
        assert!(digest(sum, &[("x-time", "1")], "", "{\"id\":1}").is_some());
        let fields = "signature = { header = \"X-S\" }\nsigned = \"{header:x-time}\"";
        assert!(digest(fields, &[("x-time", "1")], "", "{}").is_none(), "other events may have the same fields");
    }

    #[test]
    fn nothing_is_like_nothing_else() {
        assert_eq!(digest(&format!("{SIGNED}event_id = ['header:X-Id']"), &[("x-id", "1")], "a=b", ""), None);
    }
}
