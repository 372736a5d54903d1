//! The bodies of the fuzz targets in `fuzz/`, as plain functions: property tests run the same with random input. They panic
//! when something that must hold does not.

use std::sync::{Arc, OnceLock};

use crate::domain::{RawRequest, Timestamp};
use crate::fixture::{self, Fixture};
use crate::idempotency::{Key, MAX_KEY};
use crate::provider::{Provider, Table, Template};
use crate::verify::{Judgement, Setup, Verifier};

pub use crate::route::fuzzing::{filter, order};
pub use crate::store::words::fuzz as words;
pub use crate::verify::fuzzing::{form, json, signature_list};

/// The built-in table, and a verifier for each of its rows.
struct Rows {
    table: Table,
    verifiers: Vec<Verifier>,
    /// The same without the proof, so that what comes behind it is reached by requests that nobody signed.
    trusting: Vec<Verifier>,
}

fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let table = Table::builtin();
        let verifiers = table.iter().map(|provider| verifier(provider, true)).collect();
        let trusting = table.iter().map(|provider| verifier(provider, false)).collect();
        Rows { table, verifiers, trusting }
    })
}

/// A verifier with the row's example secret, for any URL and parameters.
fn verifier(provider: &Arc<Provider>, verify: bool) -> Verifier {
    let positions = provider.signatures.iter().filter_map(|signature| signature.secret).max().unwrap_or(1);
    // None for a sender that publishes its key.
    let secrets = provider.row.secret.example.iter().flat_map(|secret| vec![secret.clone().into(); positions]).collect();
    let mut setup = Setup { verify, ..Setup::new(Arc::clone(provider), secrets) };
    setup.url = Some("https://hooks.example.com/hooks/any".into());
    setup.params = provider.params().keys().map(|name| (name.clone(), "any".into())).collect();
    Verifier::new("any", setup).expect("the example secret of a row has the form that the row asks for")
}

/// A fixture file: what is read is printed and read again as the same.
///
/// # Panics
/// When it is not.
pub fn fixture_file(bytes: &[u8]) {
    let Ok(fixture) = Fixture::parse(bytes, "any") else { return };
    let again = Fixture::parse(&fixture.print(), "any").expect("what is printed can be read");
    assert_eq!(again.request.body, fixture.request.body);
    assert_eq!(again.expect, fixture.expect);
    assert_eq!(again.at, fixture.at);
}

/// An `Idempotency-Key`: what is read is within its bounds, and the same once it is quoted.
///
/// # Panics
/// When it is not.
pub fn idempotency_key(bytes: &[u8]) {
    let read = |value: &[u8]| Key::read([value].into_iter());
    let Ok(Some(key)) = read(bytes) else { return };
    assert!((1..=MAX_KEY).contains(&key.as_str().len()));
    let quoted = format!("\"{}\"", key.as_str().replace('\\', r"\\").replace('"', "\\\""));
    assert_eq!(read(quoted.as_bytes()), Ok(Some(key)));
}

/// A user's own row: any text is a table or an error, and every verifier of a table that is accepted can be used.
pub fn row(bytes: &[u8]) {
    let Ok(table) = std::str::from_utf8(bytes).map_err(drop).and_then(|text| Table::parse(text).map_err(drop)) else { return };
    for provider in table.iter() {
        let _ = (provider.summary(), provider.coverage(), provider.event_id_covered());
        let setup = Setup::new(Arc::clone(provider), vec!["0123456789abcdef".to_owned().into()]);
        if let Ok(verifier) = Verifier::new("any", setup) {
            let request = plain_request();
            drop(verifier.judge(&request, request.received_at));
        }
    }
}

/// A template: any text is one or an error.
pub fn template(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(Template::parse(text).map(|template| template.locators().len()));
    }
}

/// A secret: any text is a key for a row or an error, whatever its form: PEM, DER in hex or base64, a JWK set.
pub fn key(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for provider in rows().table.iter() {
        let _ = provider.check_secret(text);
        drop(Verifier::new("any", Setup::new(Arc::clone(provider), vec![text.to_owned().into()])));
    }
}

/// A token under every row that takes one.
pub fn token(bytes: &[u8]) {
    let request = plain_request();
    for verifier in &rows().verifiers {
        let tokens = verifier.provider().signatures.iter().filter(|signature| signature.jwt.is_some());
        for signature in tokens {
            if let crate::provider::Place::Header(name) = &signature.place {
                let value = [signature.prefix.as_bytes(), bytes].concat();
                let headers = [(name.as_str(), &value[..])].into_iter().collect();
                refused(verifier, &RawRequest { headers, ..request.clone() });
            }
        }
    }
}

/// A request, as a fixture file, under its own row and secrets; under a row that the bytes choose where it names none.
pub fn request(bytes: &[u8]) {
    let Ok(fixture) = Fixture::parse(bytes, "any") else { return };
    let Rows { table, verifiers, .. } = rows();
    let now = fixture.at.unwrap_or(fixture.request.received_at);
    if let Ok(verifier) = fixture::verifier(&fixture, table, &[]) {
        drop(verifier.judge(&fixture.request, now));
    }
    let chosen = bytes.iter().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % verifiers.len();
    judge(chosen, &fixture.request, now);
}

/// A request under one row, by its place in the table; returns whether there is such a row.
pub fn judge(row: usize, request: &RawRequest, now: Timestamp) -> bool {
    let Rows { verifiers, trusting, .. } = rows();
    let (Some(verifier), Some(trusting)) = (verifiers.get(row), trusting.get(row)) else { return false };
    drop(verifier.judge(request, now));
    drop(trusting.judge(request, now));
    drop(verifier.sign(request, now));
    true
}

/// Nobody guesses a signature.
fn refused(verifier: &Verifier, request: &RawRequest) {
    if let Ok(Judgement::Event(_)) = verifier.judge(request, request.received_at) {
        panic!("{} took a request that nobody signed", verifier.provider().name);
    }
}

fn plain_request() -> RawRequest {
    RawRequest {
        method: "POST".into(),
        path: "/hooks/any".into(),
        subpath: String::new(),
        query: String::new(),
        headers: crate::domain::Headers::default(),
        body: (&br#"{"id":"1","type":"any"}"#[..]).into(),
        received_at: Timestamp::from_secs(1_767_323_045),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that get past the first look more often than random ones.
    fn likely() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[\\[\\]{}\":,0-9a-z\\\\ =&%+.]{0,200}".prop_map(String::into_bytes),
            "(v1[,=][A-Za-z0-9+/=]{0,40}[ ,]?){0,30}".prop_map(String::into_bytes),
        ]
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let line = prop_oneof![
            "[A-Za-z-]{1,20}: [ -~]{0,40}",
            "(X-Hub-Signature-256|Authorization|X-Signature|Content-Type|webhook-id): [ -~]{0,60}",
        ];
        ("(POST|GET|HEAD) /hooks/[a-z/]{0,10}(\\?[a-z=&%0-9.]{0,20})?", proptest::collection::vec(line, 0..12), likely())
            .prop_map(|(start, lines, body)| [format!("{start} HTTP/1.1\n{}\n\n", lines.join("\n")).into_bytes(), body].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_comes_is_taken_or_refused(bytes in likely()) {
            for body in [signature_list, form, json, fixture_file, row, template, key, token, filter, order, idempotency_key, words] {
                body(&bytes);
            }
        }

        #[test]
        fn whatever_is_asked_of_a_body_is_found_or_not(filter_text in "(body|headers|type|[a-z]{1,3}|[.\\[\\]()=&|!<>+\"'0-9,? ]){0,12}",
                pointer in "(/(a|b|0|1|~0|~1|))(/(a|b|0|1|)){0,3}", body in "(\\{\"a\":|\\{\"b\":|\\[|\\]|\\}|,|1|\"a\"|null){0,12}") {
            filter(format!("{filter_text}\0{body}").as_bytes());
            order(format!("{pointer}\0{body}").as_bytes());
            order(format!("{pointer}\0{{\"a\":[{{\"b\":1,\"a\":[2,3]}},4],\"\":{{\"b\":\"x\",\"~\":5,\"/\":6}}}}").as_bytes());
        }

        #[test]
        fn whatever_request_comes_is_judged_by_every_row(bytes in message()) {
            request(&bytes);
            if let Ok(fixture) = Fixture::parse(&bytes, "any") {
                for at in 0.. {
                    if !judge(at, &fixture.request, fixture.request.received_at) {
                        break;
                    }
                }
            }
        }
    }
}
