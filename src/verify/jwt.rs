//! Signatures that are JSON Web Tokens (RFC 7519): pinned algorithms, a key by its `kid`, claims that must say what the row
//! says. Times are checked against the caller's clock.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

use super::content::Scope;
use crate::domain::{Code, Rejection, Timestamp};
use crate::provider::JwtRule;

/// How far the clocks may differ where a token says when it begins and ends.
const LEEWAY: Duration = Duration::from_secs(5);

/// The most keys of a published set.
const MAX_KEYS: usize = 50;

/// Algorithms of which a public key verifies.
const PUBLIC: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The claims of a token.
pub(super) type Claims = Map<String, Value>;

/// A key for tokens.
pub(super) struct TokenKey {
    key: DecodingKey,
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
}

impl TokenKey {
    /// The keys in a secret: the text itself for HMAC; PEM, or a JWK set, for public keys.
    pub(super) fn all(secret: &SecretString, rule: &JwtRule) -> Result<Vec<Self>, &'static str> {
        let text = secret.expose_secret().trim();
        let allowed = |wanted: fn(&Algorithm) -> bool| rule.algorithms.iter().copied().filter(wanted).collect::<Vec<_>>();
        let keys = match text {
            set if set.starts_with('{') => Self::of_set(set, rule)?,
            pem if pem.starts_with("-----BEGIN") => Self::of_pem(pem.as_bytes(), &allowed)?,
            text => {
                let algorithms = allowed(|algorithm| matches!(algorithm, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512));
                vec![Self { key: DecodingKey::from_secret(text.as_bytes()), kid: None, algorithms }]
            }
        };
        match keys.iter().any(|key| !key.algorithms.is_empty()) {
            true => Ok(keys),
            false => Err("is no key of the kind that this sender signs with"),
        }
    }

    fn of_set(text: &str, rule: &JwtRule) -> Result<Vec<Self>, &'static str> {
        const PROBLEM: &str = "is no JWK set with public keys";
        let set: JwkSet = serde_json::from_str(text).map_err(|_| PROBLEM)?;
        let keys = set.keys.iter().map(|jwk| Self::of_jwk(jwk, &rule.algorithms).ok_or(PROBLEM));
        keys.collect()
    }

    fn of_jwk(jwk: &Jwk, algorithms: &[Algorithm]) -> Option<Self> {
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let family = key.family();
        let algorithms = algorithms.iter().copied().filter(|algorithm| algorithm.family() == family).collect();
        Some(Self { key, kid: jwk.common.key_id.clone(), algorithms })
    }

    /// The public keys in a set that a sender publishes; those of kinds that are not known here are passed over.
    pub(super) fn published(text: &str) -> Result<Vec<Self>, &'static str> {
        let set: JwkSet = serde_json::from_str(text).map_err(|_| "is no JWK set")?;
        let keys: Vec<_> = set.keys.iter().take(MAX_KEYS).filter_map(|jwk| Self::of_jwk(jwk, PUBLIC)).collect();
        if keys.is_empty() { Err("is a JWK set without a public key") } else { Ok(keys) }
    }

    /// Whether a token that names this key may have been signed with it.
    pub(super) fn is_of(&self, kid: Option<&str>) -> bool {
        self.kid.is_none() || self.kid.as_deref() == kid
    }

    fn of_pem(pem: &[u8], allowed: &dyn Fn(fn(&Algorithm) -> bool) -> Vec<Algorithm>) -> Result<Vec<Self>, &'static str> {
        let rsa = || DecodingKey::from_rsa_pem(pem).map(|key| (key, allowed(is_rsa)));
        let ec = || DecodingKey::from_ec_pem(pem).map(|key| (key, allowed(is_ec)));
        let ed = || DecodingKey::from_ed_pem(pem).map(|key| (key, allowed(|algorithm| *algorithm == Algorithm::EdDSA)));
        let (key, algorithms) = rsa().or_else(|_| ec()).or_else(|_| ed()).map_err(|_| "is no public key in PEM")?;
        Ok(vec![Self { key, kid: None, algorithms }])
    }
}

fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::RS256 | Algorithm::RS384 | Algorithm::RS512)
}

fn is_ec(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::ES256 | Algorithm::ES384)
}

/// The claims of a token that one of the keys has signed; `detached` puts the body where the token leaves its content out.
pub(super) fn claims(token: &str, rule: &JwtRule, keys: &[TokenKey], scope: &Scope<'_>) -> Result<Claims, Rejection> {
    let malformed = |what: &str| Rejection::new(Code::SignatureMalformed, format!("the token cannot be read: {what}"));
    let header = jsonwebtoken::decode_header(token).map_err(|_| malformed("it is no JSON Web Token"))?;
    if is_critical(token) {
        return Err(malformed("it has critical extensions that are not known here"));
    }
    let whole =
        if rule.detached { attached(token, scope).ok_or_else(|| malformed("its content is not left out"))? } else { token.to_owned() };
    // The row says which algorithms there are, whatever a key could do.
    let allowed = |key: &&TokenKey| rule.algorithms.contains(&header.alg) && key.algorithms.contains(&header.alg);
    let fits = |key: &&TokenKey| allowed(key) && key.is_of(header.kid.as_deref());
    for key in keys.iter().filter(fits) {
        let mut validation = Validation::new(header.alg);
        validation.algorithms = vec![header.alg];
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
        if rule.detached {
            // The content is the body, whatever it is: only the signature is asked for.
            if jsonwebtoken::decode::<serde::de::IgnoredAny>(&whole, &key.key, &validation).is_ok() {
                return Ok(Claims::new());
            }
        } else if let Ok(data) = jsonwebtoken::decode::<Claims>(&whole, &key.key, &validation) {
            return Ok(data.claims);
        }
    }
    let what = "the token was not signed with a key of this source, or by an algorithm that its sender does not use";
    Err(Rejection::new(Code::SignatureMismatch, what))
}

/// The ID of the key in a token's header, for an algorithm of the row.
pub(super) fn key_id(token: &str, rule: &JwtRule) -> Option<String> {
    let header = jsonwebtoken::decode_header(token).ok()?;
    header.kid.filter(|_| rule.algorithms.contains(&header.alg))
}

/// Whether the header names extensions that must be understood (RFC 7515 §4.1.11).
fn is_critical(token: &str) -> bool {
    let header = token.split('.').next().and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    let header: Option<Claims> = header.and_then(|json| serde_json::from_slice(&json).ok());
    header.is_none_or(|header| header.contains_key("crit"))
}

fn attached(token: &str, scope: &Scope<'_>) -> Option<String> {
    let (header, signature) = token.split_once("..")?;
    Some(format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(&scope.request.body)))
}

/// Whether every claim says what the row says that it must.
pub(super) fn check_claims(claims: &Claims, rule: &JwtRule, scope: &Scope<'_>) -> Result<(), Rejection> {
    for (name, wanted) in &rule.claims {
        let Some(claim) = claims.get(name) else {
            if rule.without_body.contains(name) && scope.request.body.is_empty() {
                continue;
            }
            return Err(Rejection::new(Code::SignatureMismatch, format!("the token has no claim {name}")));
        };
        let wanted: Vec<_> = wanted.iter().filter_map(|template| scope.render(template)).collect();
        if !values(claim).iter().any(|value| wanted.iter().any(|wanted| is_same(value, wanted))) {
            return Err(Rejection::new(
                Code::SignatureMismatch,
                format!("the token's claim {name} is not what it must be for this request"),
            ));
        }
    }
    Ok(())
}

/// Base64 may come with its padding or without.
fn is_same(value: &str, wanted: &str) -> bool {
    value.trim_end_matches('=').as_bytes().ct_eq(wanted.trim_end_matches('=').as_bytes()).into()
}

/// The texts of a claim; an audience may be several.
fn values(claim: &Value) -> Vec<String> {
    match claim {
        Value::String(text) => vec![text.clone()],
        Value::Number(_) | Value::Bool(_) => vec![claim.to_string()],
        Value::Array(items) => items.iter().flat_map(values).collect(),
        _ => Vec::new(),
    }
}

/// The text of one claim.
pub(super) fn text(claims: &Claims, name: &str) -> Option<String> {
    claims.get(name).map(values).and_then(|values| values.into_iter().next())
}

/// Whether the token is valid now, by what it says of itself.
pub(super) fn check_times(claims: &Claims, rule: &JwtRule, now: Timestamp) -> Result<(), Rejection> {
    let time = |name: &str| claims.get(name).and_then(Value::as_f64).map(|seconds| Timestamp::from_millis((seconds * 1_000.0) as i64));
    if let Some(name) = rule.times.iter().find(|name| time(name).is_none()) {
        return Err(Rejection::new(Code::TimestampMissing, format!("the token has no time {name}")));
    }
    if time("exp").is_some_and(|end| now >= end.plus(LEEWAY)) {
        return Err(Rejection::new(Code::TimestampStale, "the token has expired"));
    }
    if time("nbf").is_some_and(|begin| now.plus(LEEWAY) < begin) {
        return Err(Rejection::new(Code::TimestampStale, "the token is not valid yet"));
    }
    Ok(())
}
