//! Signatures made and judged by the senders' own published libraries. `recommended` is what a strict receiver answers;
//! vectors marked `policy` are those on which implementations may differ.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use onceward::domain::{RawRequest, Timestamp};
use onceward::provider::Table;
use onceward::verify::{Judgement, Setup, Verifier};
use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    id: String,
    provider: String,
    method: String,
    headers: BTreeMap<String, String>,
    body_b64: String,
    now: i64,
    #[serde(default)]
    secret: String,
    secrets: Option<Vec<String>>,
    recommended: String,
    policy: Option<String>,
}

/// Whether the signature holds. Some vectors carry no event ID, which is another question.
fn holds(vector: &Vector, table: &Table) -> bool {
    let secrets = vector.secrets.clone().unwrap_or_else(|| vec![vector.secret.clone()]);
    let setup = Setup::new(table.get(&vector.provider).unwrap().clone(), secrets.into_iter().map(Into::into).collect());
    let now = Timestamp::from_secs(vector.now);
    let request = RawRequest {
        method: vector.method.clone(),
        path: format!("/hooks/{}", vector.provider),
        subpath: String::new(),
        query: String::new(),
        headers: vector.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
        body: STANDARD.decode(&vector.body_b64).unwrap().into(),
        received_at: now,
    };
    match Verifier::new("vectors", setup).unwrap().judge(&request, now) {
        Ok(Judgement::Event(_) | Judgement::Handshake(_)) => true,
        Err(rejection) => rejection.code.status() == 400,
    }
}

#[test]
fn the_senders_own_libraries_agree_with_every_judgement() {
    let file: File = serde_json::from_str(include_str!("../data/vectors.json")).unwrap();
    let table = Table::builtin();
    let judged: Vec<_> = file.vectors.iter().filter(|vector| vector.policy.is_none()).collect();
    assert!(judged.len() > 50);
    for vector in judged {
        assert_eq!(holds(vector, &table), vector.recommended == "valid", "{}", vector.id);
    }
}

#[test]
fn where_libraries_differ_the_strict_answer_is_ours() {
    let file: File = serde_json::from_str(include_str!("../data/vectors.json")).unwrap();
    let table = Table::builtin();
    for vector in file.vectors.iter().filter(|vector| vector.policy.is_some()) {
        assert_eq!(holds(vector, &table), vector.recommended == "valid", "{} ({:?})", vector.id, vector.policy);
    }
}
