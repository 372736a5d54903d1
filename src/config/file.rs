//! The file as written: the keys of this version and the form of their values. What they mean is `resolve`'s.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::de::value::SeqAccessDeserializer;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::provider::Row;

/// Keys that are reserved for what this version does not do yet, by the table that holds them.
pub(super) const PLANNED: &[(&str, &[&str])] = &[(
    "sources",
    &["ack_wait", "catch_up", "event_id", "queue", "reply", "reply_timeout", "schedule", "store_errors", "stream", "timezone"],
)];

/// Providers that are reserved for what this version does not do yet.
pub(super) const PLANNED_PROVIDERS: &[&str] = &["idempotency-key"];

/// A text that must not be shown.
#[derive(Debug, Clone)]
pub(super) struct Secret(pub(super) SecretString);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// A text that must not be shown, or a list of them.
pub(super) struct OneOrMany(pub(super) Vec<Secret>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor)
    }
}

struct OneOrManyVisitor;

impl<'de> Visitor<'de> for OneOrManyVisitor {
    type Value = OneOrMany;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, or a list of them")
    }

    fn visit_str<E>(self, text: &str) -> Result<OneOrMany, E> {
        Ok(OneOrMany(vec![Secret(text.into())]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<OneOrMany, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(OneOrMany)
    }
}

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) database: Option<String>,
    pub(super) public_url: Option<String>,
    pub(super) workers: Option<i64>,
    #[serde(default)]
    pub(super) admin: Admin,
    #[serde(default)]
    pub(super) retention: Retention,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) alerts: Alerts,
    #[serde(default)]
    pub(super) sources: BTreeMap<String, Source>,
    #[serde(default)]
    pub(super) destinations: BTreeMap<String, Destination>,
    #[serde(default)]
    pub(super) providers: BTreeMap<String, Row>,
}

/// `tls`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

/// `[admin]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Admin {
    pub(super) listen: Option<String>,
    pub(super) token: Option<Secret>,
    #[serde(default)]
    pub(super) tokens: BTreeMap<String, Token>,
}

/// `[admin.tokens.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Token {
    pub(super) token: Option<Secret>,
    pub(super) role: Option<String>,
}

/// `[retention]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retention {
    pub(super) bodies: Option<String>,
    pub(super) ids: Option<String>,
    pub(super) audit: Option<String>,
    pub(super) answers: Option<String>,
}

/// `[alerts]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    pub(super) rejections: Option<String>,
}

/// `[limits]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) header_timeout: Option<String>,
    pub(super) body_timeout: Option<String>,
    pub(super) headers: Option<String>,
    pub(super) connections: Option<i64>,
    pub(super) queue_requests: Option<i64>,
    pub(super) keep_alive: Option<String>,
    pub(super) bodies: Option<String>,
    pub(super) queue_bytes: Option<String>,
    pub(super) rejections: Option<i64>,
    pub(super) rejection_bytes: Option<String>,
}

/// `[sources.NAME]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    pub(super) provider: Option<String>,
    pub(super) secret: Option<Secret>,
    pub(super) secrets: Option<Vec<Secret>>,
    pub(super) forward: Option<String>,
    pub(super) url: Option<String>,
    #[serde(default)]
    pub(super) params: BTreeMap<String, String>,
    pub(super) tolerance: Option<String>,
    pub(super) max_body: Option<String>,
    pub(super) rate_limit: Option<String>,
    pub(super) verify: Option<String>,
    pub(super) replay_guard: Option<String>,
    pub(super) search: Option<bool>,
}

/// `[destinations.NAME]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Destination {
    pub(super) from: Option<Vec<String>>,
    pub(super) types: Option<Vec<String>>,
    pub(super) filter: Option<String>,
    pub(super) on_filter_error: Option<String>,
    pub(super) url: Option<String>,
    pub(super) exec: Option<Vec<String>>,
    pub(super) handler: Option<String>,
    pub(super) append_path: Option<bool>,
    pub(super) headers: Option<BTreeMap<String, Secret>>,
    pub(super) bearer: Option<Secret>,
    pub(super) basic: Option<Secret>,
    pub(super) tls: Option<ClientTls>,
    pub(super) connect_timeout: Option<String>,
    pub(super) sign: Option<OneOrMany>,
    pub(super) env: Option<BTreeMap<String, Secret>>,
    pub(super) dir: Option<String>,
    pub(super) dead_on: Option<Vec<i64>>,
    pub(super) timeout: Option<String>,
    pub(super) concurrency: Option<i64>,
    pub(super) rate_limit: Option<String>,
    pub(super) order_by: Option<String>,
    pub(super) on_dead: Option<String>,
    pub(super) retry: Option<Retry>,
    pub(super) circuit: Option<Circuit>,
}

/// `tls` of a destination.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientTls {
    pub(super) ca: Option<String>,
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

/// `circuit` of a destination.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Circuit {
    pub(super) failures: Option<i64>,
    pub(super) probe: Option<String>,
    pub(super) max_probe: Option<String>,
}

/// `retry` of a destination.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retry {
    pub(super) attempts: Option<i64>,
    pub(super) first: Option<String>,
    pub(super) max: Option<String>,
    pub(super) factor: Option<f64>,
    pub(super) schedule: Option<Vec<String>>,
}
