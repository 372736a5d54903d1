//! HTTP Message Signatures (RFC 9421): the request itself says which of its parts are signed, so the row says which must be.

use sfv::{BareItem, Dictionary, FieldType as _, InnerList, Item, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};

use super::content::Scope;
use super::prove::{self, By, Keys, malformed};
use crate::domain::{Code, Rejection};
use crate::provider::{Algorithm, Locator, Signature};

/// The most signatures of a request that are looked at.
const MAX_SIGNATURES: usize = 5;
/// The most parts that one signature may cover.
const MAX_COMPONENTS: usize = 50;
/// The header that says what is signed.
const INPUT: &str = "signature-input";

/// Whether one of the request's signatures covers what it must and was made with one of the keys.
pub(super) fn matches(keys: &Keys<'_>, value: &str, required: &[String], scope: &mut Scope<'_>) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    let wrong = |what: &str| malformed(signature, what);
    let signatures: Dictionary = Parser::new(value).parse().map_err(|_| wrong("it is no dictionary of structured fields"))?;
    let inputs = inputs(scope).ok_or_else(|| wrong("signature-input is missing, repeated or no dictionary"))?;
    if inputs.len() > MAX_SIGNATURES {
        return Err(wrong("there are too many"));
    }
    let mut refused = None;
    for (label, entry) in &inputs {
        let (ListEntry::InnerList(input), Some(candidate)) = (entry, signatures.get(label).and_then(bytes)) else { continue };
        match matches_one(keys, input, candidate, required, scope) {
            Ok(by) => return Ok(by),
            Err(rejection) => refused = refused.or(Some(rejection)),
        }
    }
    Err(refused.unwrap_or_else(|| wrong("nothing in signature-input belongs to it")))
}

fn matches_one(keys: &Keys<'_>, input: &InnerList, candidate: &[u8], required: &[String], scope: &mut Scope<'_>) -> Result<By, Rejection> {
    let signature = &keys.scheme.signature;
    scope.items = parameters(input);
    let algorithm = scope.text(&Locator::SignatureItem("alg".into()));
    if algorithm.is_some_and(|name| name != algorithm_name(signature.algorithm)) {
        return Err(malformed(signature, "it names an algorithm that its sender does not use"));
    }
    let names = component_names(input).ok_or_else(|| malformed(signature, "it covers a part of a kind that is not known here"))?;
    if let Some(left_out) = required.iter().find(|name| !names.contains(&name.as_str())) {
        let diagnosis = format!("the signature does not cover {left_out}, and so proves nothing of it");
        return Err(Rejection::new(Code::SignatureMismatch, diagnosis));
    }
    let covers_digest = names.contains(&"content-digest");
    let wrong_digest = || Rejection::new(Code::SignatureMismatch, "content-digest is not the digest of the body");
    if covers_digest && scope.request.headers.all("content-digest").count() != 1 {
        return Err(wrong_digest());
    }
    let base = base(&names, input, scope).ok_or_else(|| malformed(signature, "the request has not all that is signed"))?;
    prove::read_timestamp(signature, scope)?;
    let by = keys.iter().find(|(_, key)| key.made(base.as_bytes(), candidate)).map(|(by, _)| by);
    let by = by.ok_or_else(|| prove::mismatch(keys))?;
    // Only now, since hashing the body costs more than the rest.
    if covers_digest && !is_digest_of_body(scope) { Err(wrong_digest()) } else { Ok(by) }
}

/// The ID of the key that the first signature names.
pub(super) fn key_id(signature: &Signature, scope: &Scope<'_>) -> Option<String> {
    signature.components.as_ref()?;
    let inputs = inputs(scope)?;
    let input = inputs.values().find_map(|entry| if let ListEntry::InnerList(input) = entry { Some(input) } else { None })?;
    parameters(input).into_iter().find(|(name, _)| name == "keyid").map(|(_, value)| value.into_owned())
}

/// What each signature covers, by its label.
fn inputs(scope: &Scope<'_>) -> Option<Dictionary> {
    let mut values = scope.request.headers.all(INPUT);
    let (value, None) = (values.next()?, values.next()) else { return None };
    Parser::new(value).parse().ok()
}

fn bytes(entry: &ListEntry) -> Option<&[u8]> {
    match entry {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(bytes), .. }) => Some(bytes),
        _ => None,
    }
}

/// The parameters as items of the signature.
fn parameters<'a>(input: &InnerList) -> Vec<(std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)> {
    let text = |value: &BareItem| match value {
        BareItem::String(text) => Some(text.as_str().to_owned()),
        BareItem::Token(text) => Some(text.as_str().to_owned()),
        BareItem::Integer(number) => Some(number.to_string()),
        _ => None,
    };
    let known = input.params.iter().filter_map(|(name, value)| Some((name.as_str().to_owned().into(), text(value)?.into())));
    known.collect()
}

/// The names of the covered components; `None` where one has parameters, or there are too many.
fn component_names(input: &InnerList) -> Option<Vec<&str>> {
    if input.items.len() > MAX_COMPONENTS {
        return None;
    }
    if !input.items.iter().all(|item| item.params.is_empty()) {
        return None;
    }
    input.items.iter().map(|item| item.bare_item.as_string().map(sfv::StringRef::as_str)).collect()
}

/// The signature base (RFC 9421 §2.5); `None` where a component is not there, or is named twice.
fn base(names: &[&str], input: &InnerList, scope: &Scope<'_>) -> Option<String> {
    let mut base = String::new();
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return None;
        }
        base = base + "\"" + name + "\": " + &component(name, scope)? + "\n";
    }
    let params = vec![ListEntry::InnerList(input.clone())].serialize()?;
    Some(base + "\"@signature-params\": " + &params)
}

/// The value of a component.
fn component(name: &str, scope: &Scope<'_>) -> Option<String> {
    let url = || scope.text(&Locator::Url).and_then(|url| url::Url::parse(&url).ok());
    match name {
        "@method" => Some(scope.request.method.clone()),
        "@target-uri" => scope.text(&Locator::Url).map(std::borrow::Cow::into_owned),
        "@authority" => url().map(|url| url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()),
        "@scheme" => url().map(|url| url.scheme().to_owned()),
        "@path" => url().map(|url| url.path().to_owned()),
        "@query" => Some(format!("?{}", scope.request.query)),
        derived if derived.starts_with('@') => None,
        field => {
            let values: Option<Vec<&str>> = scope.request.headers.all(field).map(|value| std::str::from_utf8(value).ok()).collect();
            let values = values.filter(|values| !values.is_empty())?;
            Some(values.iter().map(|value| value.trim()).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether every digest that is given and known is the body's, and one is (RFC 9530).
fn is_digest_of_body(scope: &Scope<'_>) -> bool {
    let mut values = scope.request.headers.all("content-digest");
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(digests) = Parser::new(value).parse::<Dictionary>() else { return false };
    let body = &scope.request.body;
    let is_right = |(name, entry): (&sfv::Key, &ListEntry)| match name.as_str() {
        "sha-256" => Some(bytes(entry) == Some(&Sha256::digest(body)[..])),
        "sha-512" => Some(bytes(entry) == Some(&Sha512::digest(body)[..])),
        _ => None,
    };
    let known: Vec<bool> = digests.iter().filter_map(is_right).collect();
    !known.is_empty() && known.into_iter().all(|right| right)
}

/// The name of an algorithm in a signature's parameters (RFC 9421 §6.2.2).
fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::RsaSha256 => "rsa-v1_5-sha256",
        other => other.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Judgement, Setup, Verifier};
    use super::*;
    use crate::domain::{HeaderBuilder, RawRequest, Timestamp};
    use crate::provider::Table;

    const BODY: &str = "{\"hello\": \"world\"}";
    /// The request of RFC 9421, appendix B.2.
    const FIELDS: &[(&str, &str)] = &[
        ("host", "example.com"),
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("content-type", "application/json"),
        ("content-digest", "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"),
        ("content-length", "18"),
    ];
    const ED25519: &str =
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----";
    const SHARED: &str = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==";
    const B26: [(&str, &str); 2] = [
        (
            "signature-input",
            "sig-b26=(\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" \"content-length\");created=1618884473;keyid=\"test-key-ed25519\"",
        ),
        ("signature", "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"),
    ];
    const B25: [(&str, &str); 2] = [
        ("signature-input", "sig-b25=(\"date\" \"@authority\" \"content-type\");created=1618884473;keyid=\"test-shared-secret\""),
        ("signature", "sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"),
    ];

    fn verifier(algorithm: &str, form: &str, components: &str, secret: &str) -> Verifier {
        let row = format!(
            "[a]\nsignature = {{ header = \"Signature\", algorithm = \"{algorithm}\", components = {components} }}\n\
             secret = {{ key = \"{form}\" }}\ntimestamp = {{ from = \"signature:created\" }}"
        );
        let setup = Setup::new(Table::parse(&row).unwrap().get("a").unwrap().clone(), vec![secret.to_owned().into()]);
        Verifier::new("a", Setup { url: Some("https://example.com/foo".into()), ..setup }).unwrap()
    }

    fn judge(verifier: &Verifier, fields: &[(&str, &str)], body: &str) -> Result<(), Code> {
        let mut headers = HeaderBuilder::default();
        for (name, value) in fields {
            headers.push(name, value.as_bytes());
        }
        let now = Timestamp::from_secs(1_618_884_475);
        let (method, path, query, body) = ("POST".into(), "/hooks/a".into(), "param=Value&Pet=dog".into(), body.as_bytes().to_vec().into());
        let request = RawRequest { method, path, subpath: String::new(), query, headers: headers.build(), body, received_at: now };
        match verifier.judge(&request, now) {
            Ok(Judgement::Event(_)) => Ok(()),
            Ok(Judgement::Handshake(_)) => panic!("no handshake"),
            Err(rejection) => Err(rejection.code),
        }
    }

    /// The fields of the request with these two, some changed.
    fn with<'a>(signed: [(&'a str, &'a str); 2], changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let value = |name: &str, value: &'a str| changed.iter().find(|(other, _)| *other == name).map_or(value, |(_, value)| value);
        FIELDS.iter().chain(&signed).map(|(name, text)| (*name, value(name, text))).collect()
    }

    #[test]
    fn the_examples_of_the_rfc_hold_and_what_they_cover_cannot_be_changed() {
        let ed25519 = verifier("ed25519", "public", "[\"@method\"]", ED25519);
        assert_eq!(judge(&ed25519, &with(B26, &[]), BODY), Ok(()));
        assert_eq!(judge(&ed25519, &with(B26, &[("content-type", "text/json")]), BODY), Err(Code::SignatureMismatch));
        assert_eq!(judge(&ed25519, &with(B26, &[("content-digest", "sha-512=:AA==:")]), BODY), Ok(()), "it does not cover it");
        let hmac = verifier("hmac-sha256", "base64", "[\"date\"]", SHARED);
        assert_eq!(judge(&hmac, &with(B25, &[]), BODY), Ok(()));
        assert_eq!(judge(&hmac, &with(B25, &[("date", "Tue, 20 Apr 2021 02:07:56 GMT")]), BODY), Err(Code::SignatureMismatch));
        assert_eq!(judge(&hmac, &with(B26, &[]), BODY), Err(Code::SignatureMismatch));
    }

    #[test]
    fn what_must_be_covered_must_be_covered_and_be_right() {
        let hmac = verifier("hmac-sha256", "base64", "[\"content-digest\"]", SHARED);
        assert_eq!(judge(&hmac, &with(B25, &[]), BODY), Err(Code::SignatureMismatch));
        let signed = |params: &str| {
            let input = format!("(\"content-digest\"){params}");
            let base = format!("\"content-digest\": {}\n\"@signature-params\": {input}", FIELDS[3].1);
            let key = crate::provider::KeyForm::Base64.key(SHARED).unwrap();
            let mut mac = <hmac::Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key).unwrap();
            hmac::Mac::update(&mut mac, base.as_bytes());
            let tag = hmac::Mac::finalize(mac).into_bytes();
            (format!("a={input}"), format!("a=:{}:", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, tag)))
        };
        let outcome = |params: &str, body: &str| {
            let (input, signature) = signed(params);
            judge(&hmac, &with([("signature-input", &input), ("signature", &signature)], &[]), body)
        };
        assert_eq!(outcome(";created=1618884473", BODY), Ok(()));
        assert_eq!(outcome(";created=1618884473;alg=\"hmac-sha256\";expires=1618884476", BODY), Ok(()));
        assert_eq!(outcome(";created=1618884473", "{\"hello\": \"worlds\"}"), Err(Code::SignatureMismatch));
        assert_eq!(outcome(";created=1618884473;expires=1618884475", BODY), Err(Code::TimestampStale));
        assert_eq!(outcome(";created=1618884473;alg=\"ed25519\"", BODY), Err(Code::SignatureMalformed));
        assert_eq!(outcome(";created=1618880000", BODY), Err(Code::TimestampStale));
        assert_eq!(outcome("", BODY), Err(Code::TimestampMissing));
    }

    proptest::proptest! {
        #[test]
        fn any_fields_are_read_or_explained(input in "[a-z0-9=();\"@, :?*.-]{0,80}", signature in "[a-zA-Z0-9=:, ]{0,80}") {
            let hmac = verifier("hmac-sha256", "base64", "[\"date\"]", SHARED);
            let fields = with([("signature-input", &input), ("signature", &signature)], &[]);
            proptest::prop_assert!(judge(&hmac, &fields, BODY).is_err());
        }
    }
}
