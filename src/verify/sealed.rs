//! Static credentials of refused requests. They are not kept, only a keyed digest of each: enough to tell whether a secret
//! that is configured later is what was sent, by sealing that secret too and comparing.
//!
//! The key lies in the same database. So the digests protect credentials where rows get out without it: through the API,
//! an export, a log. Whoever has the whole database can try guesses against a digest, at the price of one hash each; a
//! random token of usual length stands that, a short password does not.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::ExposeSecret as _;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::content::Scope;
use super::key::Key;
use super::{Scheme, Verifier, form, wire};
use crate::domain::{Code, CredentialPlace, HeaderBuilder, Headers, RawRequest, Rejection, SealKey, SealedCredential, SealedCredentials};
use crate::provider::{Algorithm, Encoding, Locator, Place, Table};

/// The most credentials of a request that are sealed. Senders have one or two; a header that comes twice is refused anyway.
const MAX_CREDENTIALS: usize = 8;

const NOT_KEPT: &str = "the signature stood in a header for credentials, which are not kept: it cannot be verified again";

/// The static credentials of a request as they were sent: to be sealed at once, never to be kept.
pub struct Credentials(Vec<(CredentialPlace, Vec<u8>)>);

impl Credentials {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What may be kept of them.
    pub fn seal(&self, key: &SealKey) -> SealedCredentials {
        let sealed = self.0.iter().map(|(place, value)| SealedCredential {
            place: place.clone(),
            value: hex::encode(digest(key, place, VALUE, value)),
            basic: basic(value).map(|pair| hex::encode(digest(key, place, BASIC, &pair))),
        });
        SealedCredentials(sealed.collect())
    }
}

/// Shows nothing.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials")
    }
}

impl Verifier {
    /// What may be kept of a refused request, and the static credentials that are left out of it. It may be meant for another
    /// source, so that those of every sender of the table count; but nothing that this source's sender may have signed.
    pub fn kept_of_refused(&self, request: &RawRequest, table: &Table) -> (Headers, String, Credentials) {
        let signed = || self.provider().signatures.iter().flat_map(|signature| signature.signed.locators());
        let (own, signs_headers) = (&self.provider().credentials, signed().any(|place| matches!(place, Locator::ListedHeaders(_))));
        let is_foreign = |name: &str| !signs_headers && !self.signs_in(name) && table.is_credential(name);
        let is_credential = |name: &str| name == "authorization" || own.iter().any(|known| known == name) || is_foreign(name);
        let tokens = &self.provider().credential_parameters;
        let signs_url = self.provider().signs_url();
        let is_token = |name: &str| tokens.iter().any(|known| known == name) || (!signs_url && table.is_credential_parameter(name));
        let headers = request.headers.iter().filter(|(name, _)| is_credential(name));
        let headers = headers.map(|(name, value)| (CredentialPlace::Header(name.to_owned()), value.to_vec()));
        let pairs = request.query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(name, _)| is_token(name));
        let pairs = pairs.map(|(name, value)| (CredentialPlace::Query(name.to_owned()), value.as_bytes().to_vec()));
        let credentials = Credentials(headers.chain(pairs).take(MAX_CREDENTIALS).collect());
        (self.storable(&request.headers).without(is_credential), form::without(&request.query, is_token), credentials)
    }

    /// The request with its credentials put back: where a configured secret has the same digest, that secret; else a text
    /// that is none. Everything else that is known of verifying then holds for it. It is for judging alone: what it holds
    /// must not be kept.
    ///
    /// # Errors
    /// [`Rejection`] where the proof was a credential that no digest can stand for.
    pub fn unsealed(&self, request: &RawRequest, sealed: &SealedCredentials, key: &SealKey) -> Result<RawRequest, Rejection> {
        let mut unsealed = request.clone();
        let mut headers = HeaderBuilder::with_capacity(request.headers.encoded().len() + 256);
        for (name, value) in request.headers.iter() {
            headers.push(name, value);
        }
        for credential in &sealed.0 {
            let Some(value) = self.value(request, credential, key)? else { continue };
            match &credential.place {
                CredentialPlace::Header(name) => {
                    headers.push(name, value.as_bytes());
                }
                CredentialPlace::Query(name) => {
                    let and = if unsealed.query.is_empty() { "" } else { "&" };
                    unsealed.query = format!("{}{and}{name}={value}", unsealed.query);
                }
            }
        }
        unsealed.headers = headers.build();
        Ok(unsealed)
    }

    /// What stood where this credential stood; `None` where nothing that proves a request stands.
    fn value(&self, request: &RawRequest, credential: &SealedCredential, key: &SealKey) -> Result<Option<String>, Rejection> {
        let mut stand_in = None;
        for scheme in self.schemes.iter().filter(|scheme| stands_at(scheme, &credential.place)) {
            match is_comparable(scheme) {
                true => {}
                // Another signature may hold.
                false if self.provider().any_signature => continue,
                false => return Err(Rejection::new(Code::SignatureMissing, NOT_KEPT)),
            }
            for secret in &scheme.keys {
                let wanted = self.wanted(request, scheme, secret);
                if let Some(value) = wanted.into_iter().find(|value| is_sealed(credential, scheme, value, key)) {
                    return Ok(Some(value));
                }
            }
            // The digest is as good as any text that is not the secret.
            stand_in = stand_in.or_else(|| Some(written(scheme, &credential.value)));
        }
        Ok(stand_in)
    }

    /// The values that this secret would have stood there with.
    fn wanted(&self, request: &RawRequest, scheme: &Scheme, secret: &Key) -> Vec<String> {
        let signature = &scheme.signature;
        let bare = match secret {
            Key::Sent(secret) if signature.algorithm == Algorithm::Token && signature.prefix_optional => {
                Some(secret.expose_secret().to_owned())
            }
            _ => None,
        };
        let timestamp =
            signature.timestamp.as_ref().and_then(|rule| Scope::new(request, &self.setup).text(&rule.from).map(Cow::into_owned));
        let value = self.signature_value(scheme, secret, request, timestamp);
        value.ok().into_iter().chain(bare).collect()
    }
}

fn stands_at(scheme: &Scheme, place: &CredentialPlace) -> bool {
    match (&scheme.signature.place, place) {
        (Place::Header(name), CredentialPlace::Header(at)) | (Place::Query(name), CredentialPlace::Query(at)) => name == at,
        _ => false,
    }
}

/// Whether the receiver can make what the sender has sent: a secret, or a signature with nothing else beside it.
fn is_comparable(scheme: &Scheme) -> bool {
    let makes = |key: &Key| matches!(key, Key::Sent(_) | Key::Mac(_) | Key::Hashed(_));
    scheme.signature.items.is_none() && scheme.keys.iter().all(makes)
}

/// Text in the form in which this way to sign has it.
fn written(scheme: &Scheme, text: &str) -> String {
    match scheme.signature.algorithm {
        Algorithm::Basic => format!("Basic {}", wire::encode(text.as_bytes(), Encoding::Base64)),
        algorithm if algorithm.sends_secret() => format!("{}{text}", scheme.signature.prefix),
        _ => format!("{}{}", scheme.signature.prefix, wire::encode(text.as_bytes(), scheme.signature.encoding)),
    }
}

/// Whether the credential was this value: for Basic authentication, however it was written.
fn is_sealed(credential: &SealedCredential, scheme: &Scheme, value: &str, key: &SealKey) -> bool {
    let place = &credential.place;
    let is = |known: &str, digest: [u8; 32]| bool::from(known.as_bytes().ct_eq(hex::encode(digest).as_bytes()));
    match (scheme.signature.algorithm, &credential.basic) {
        (Algorithm::Basic, Some(known)) => basic(value.as_bytes()).is_some_and(|pair| is(known, digest(key, place, BASIC, &pair))),
        _ => is(&credential.value, digest(key, place, VALUE, value.as_bytes())),
    }
}

fn basic(value: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(value).ok().and_then(|text| wire::basic(text).ok())
}

const VALUE: &[u8] = b"value";
const BASIC: &[u8] = b"basic";

/// With its place and form, so that digests of the same secret elsewhere are others.
fn digest(key: &SealKey, place: &CredentialPlace, form: &[u8], value: &[u8]) -> [u8; 32] {
    let (kind, name) = match place {
        CredentialPlace::Header(name) => (&b"header"[..], name),
        CredentialPlace::Query(name) => (&b"query"[..], name),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).expect("HMAC takes a key of any length");
    for part in [kind, name.as_bytes(), form] {
        mac.update(part);
        mac.update(&[0]);
    }
    mac.update(value);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::super::{Judgement, Setup};
    use super::*;
    use crate::domain::Timestamp;

    const KEY: [u8; 32] = [9; 32];

    impl Verifier {
        fn credentials(&self, request: &RawRequest) -> Credentials {
            self.kept_of_refused(request, &Table::default()).2
        }

        fn judge_sealed(
            &self,
            request: &RawRequest,
            sealed: &SealedCredentials,
            key: &SealKey,
            now: Timestamp,
        ) -> Result<Judgement, Rejection> {
            self.judge(&self.unsealed(request, sealed, key)?, now)
        }
    }

    fn verifier(row: &str, secrets: &[&str]) -> Verifier {
        let table = Table::parse(&format!("[a]\n{row}")).unwrap();
        let secrets = secrets.iter().map(|secret| (*secret).to_owned().into()).collect();
        Verifier::new("a", Setup::new(Arc::clone(table.get("a").unwrap()), secrets)).unwrap()
    }

    fn request(headers: &[(&str, &str)], query: &str) -> RawRequest {
        let headers: Headers = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let received_at = Timestamp::from_secs(1);
        let (method, path, query) = ("POST".into(), "/hooks/a".into(), query.into());
        RawRequest { method, path, subpath: String::new(), query, headers, body: "{}".into(), received_at }
    }

    /// What comes of a request that a verifier with `secrets[0]` has refused, under one with `secrets[1]`.
    fn again(row: &str, secrets: [&[&str]; 2], request: &RawRequest) -> Result<String, Code> {
        let [before, after] = secrets.map(|secrets| verifier(row, secrets));
        let now = request.received_at;
        let refused = before.judge(request, now).unwrap_err();
        let sealed = before.credentials(request).seal(&SealKey::new(KEY));
        let query = before.storable_query(&request.query);
        let kept = RawRequest { headers: before.storable(&request.headers), query, ..request.clone() };
        assert!(!format!("{:?} {sealed:?} {}", before.credentials(request), kept.query).contains("right"));
        let still = before.judge_sealed(&kept, &sealed, &SealKey::new(KEY), now).unwrap_err();
        assert_eq!(still.code, refused.code, "nothing has changed: {}", still.diagnosis);
        match after.judge_sealed(&kept, &sealed, &SealKey::new(KEY), now) {
            Ok(Judgement::Event(event)) => {
                assert!(event.headers.get("authorization").is_none() && !event.query.contains("right"));
                assert!(before.judge_sealed(&kept, &sealed, &SealKey::new([1; 32]), now).is_err());
                Ok(event.verified_by.clone())
            }
            Ok(Judgement::Handshake(_)) => panic!("an event"),
            Err(rejection) => Err(rejection.code),
        }
    }

    const TOKEN: &str = "signature = { header = \"X-Token\", algorithm = \"token\" }";
    const BEARER: &str = "signature = { header = \"Authorization\", algorithm = \"token\", prefix = \"Bearer \", prefix_optional = true }";
    const BASIC_AUTH: &str = "signature = { header = \"Authorization\", algorithm = \"basic\" }";
    const QUERY: &str = "signature = { from = \"query:Token\", algorithm = \"token\" }";

    #[test]
    fn a_credential_holds_once_the_secret_is_the_one_that_was_sent() {
        let one = Ok("secret:1".to_owned());
        let mended = [&["wrong"][..], &["right"]];
        assert_eq!(again(TOKEN, mended, &request(&[("x-token", "right")], "")), one);
        assert_eq!(again(BEARER, mended, &request(&[("authorization", "Bearer right")], "")), one);
        assert_eq!(again(BEARER, mended, &request(&[("authorization", "right")], "")), one);
        assert_eq!(again(QUERY, mended, &request(&[], "a=b&Token=right&c")), one);
        let basic = ["u:wrong", "u:right"];
        for scheme in ["Basic", "basic", "BASIC "] {
            let value = format!("{scheme} {}", STANDARD.encode("u:right"));
            assert_eq!(again(BASIC_AUTH, [&basic[..1], &basic[1..]], &request(&[("authorization", &value)], "")), one, "{scheme}");
        }
        assert_eq!(again(TOKEN, [&["wrong"], &["new", "right"]], &request(&[("x-token", "right")], "")), Ok("secret:2".into()));
    }

    #[test]
    fn another_secret_does_not_hold() {
        let mismatch = Err(Code::SignatureMismatch);
        let other = [&["wrong"][..], &["other"]];
        assert_eq!(again(TOKEN, other, &request(&[("x-token", "right")], "")), mismatch);
        assert_eq!(again(QUERY, other, &request(&[], "Token=right")), mismatch);
        let value = format!("Basic {}", STANDARD.encode("u:right"));
        assert_eq!(again(BASIC_AUTH, [&["u:wrong"], &["u:other"]], &request(&[("authorization", &value)], "")), mismatch);
        // The digest itself is no secret, nor is what a credential in another place was.
        let sealed = verifier(TOKEN, &["wrong"]).credentials(&request(&[("x-token", "right")], "")).seal(&SealKey::new(KEY));
        assert_eq!(again(TOKEN, [&["wrong"], &["x", "y"]], &request(&[("x-token", &sealed.0[0].value)], "")), mismatch);
        assert_eq!(again(TOKEN, [&["wrong"], &["right"]], &request(&[("authorization", "right")], "")), Err(Code::SignatureMissing));
    }

    #[test]
    fn a_credential_that_comes_twice_is_still_refused() {
        let twice = [("x-token", "right"), ("x-token", "right")];
        assert_eq!(again(TOKEN, [&["wrong"], &["right"]], &request(&twice, "")), Err(Code::SignatureMalformed));
    }

    #[test]
    fn a_signature_among_credentials_is_made_again_and_compared() {
        let row = "signature = { header = \"Authorization\", prefix = \"HMAC \", encoding = \"base64\" }";
        let signed = verifier(row, &["right"]).sign(&request(&[], ""), Timestamp::from_secs(1)).unwrap();
        assert_eq!(again(row, [&["wrong"], &["right"]], &signed), Ok("secret:1".into()));
        assert_eq!(again(row, [&["wrong"], &["other"]], &signed), Err(Code::SignatureMismatch));
    }

    #[test]
    fn a_token_that_only_its_sender_can_make_cannot_be_verified_again() {
        let row = "signature = { header = \"Authorization\", algorithm = \"jwt\", jwt = { algorithms = [\"HS256\"] } }";
        let (verifier, request) = (verifier(row, &["right"]), request(&[("authorization", "a.b.c")], ""));
        let sealed = verifier.credentials(&request).seal(&SealKey::new(KEY));
        let kept = RawRequest { headers: verifier.storable(&request.headers), ..request };
        let refused = verifier.judge_sealed(&kept, &sealed, &SealKey::new(KEY), Timestamp::from_secs(1)).unwrap_err();
        assert!(refused.code == Code::SignatureMissing && refused.diagnosis.contains("cannot be verified again"), "{refused:?}");
    }

    #[test]
    fn the_same_secret_in_two_places_has_two_digests() {
        let row = "credentials = [\"X-Other\"]\nsignature = { header = \"X-Token\", algorithm = \"token\" }";
        let request = request(&[("x-token", "right"), ("x-other", "right"), ("authorization", "right")], "");
        let sealed = verifier(row, &["right"]).credentials(&request).seal(&SealKey::new(KEY)).0;
        assert_eq!(sealed.len(), 3);
        assert!(sealed[0].value != sealed[1].value && sealed[1].value != sealed[2].value && sealed[0].value != sealed[2].value);
    }
}
