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
    #[serde(default)]
    method: String,
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body_b64: String,
    #[serde(default)]
    now: i64,
    #[serde(default)]
    secret: String,
    secrets: Option<Vec<String>>,
    url: Option<String>,
    audience: Option<String>,
    certificate_pem: Option<String>,
    public_key: Option<String>,
    key_id: Option<String>,
    webhook_id: Option<String>,
    recommended: String,
    policy: Option<String>,
}

/// Whether the signature holds. Some vectors carry no event ID, which is another question.
fn holds(vector: &Vector, table: &Table) -> bool {
    let public = vector.certificate_pem.clone().or_else(|| vector.public_key.clone());
    let secret = public.unwrap_or_else(|| vector.secret.clone());
    let secrets = vector.secrets.clone().unwrap_or_else(|| vec![secret]);
    let mut setup = Setup::new(table.get(&vector.provider).unwrap().clone(), secrets.into_iter().map(Into::into).collect());
    setup.url.clone_from(&vector.url);
    let query = vector.url.as_deref().and_then(|url| url.split_once('?')).map_or("", |(_, query)| query);
    // What a source configures beside the secret, under the names of the rows.
    let email = vector.audience.as_ref().map(|_| "sa@p.iam.gserviceaccount.com".to_owned());
    let params = [
        ("audience", vector.audience.clone()),
        ("email", email),
        ("public_key", vector.key_id.clone()),
        ("key_id", vector.key_id.clone()),
        ("webhook_id", vector.webhook_id.clone()),
    ];
    setup.params = params.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    let now = Timestamp::from_secs(vector.now);
    let request = RawRequest {
        method: vector.method.clone(),
        path: format!("/hooks/{}", vector.provider),
        subpath: String::new(),
        query: query.to_owned(),
        headers: vector.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect(),
        body: STANDARD.decode(&vector.body_b64).unwrap().into(),
        received_at: now,
    };
    // A secret that proves nothing is refused when it is configured.
    let Ok(verifier) = Verifier::new("vectors", setup) else { return false };
    match verifier.judge(&request, now) {
        Ok(Judgement::Event(_) | Judgement::Handshake(_)) => true,
        Err(rejection) => rejection.code.status() == 400,
    }
}

#[test]
fn the_senders_own_libraries_agree_with_every_judgement() {
    let file: File = serde_json::from_str(include_str!("../data/vectors.json")).unwrap();
    let table = Table::builtin();
    let known = |vector: &&Vector| table.get(&vector.provider).is_some() && !OURS.iter().any(|(id, _)| *id == vector.id);
    let judged: Vec<_> = file.vectors.iter().filter(known).filter(|vector| vector.policy.is_none()).collect();
    assert!(judged.len() > 50);
    let wrong = judged.iter().filter(|vector| holds(vector, &table) != expected(vector));
    let wrong: Vec<_> = wrong.map(|vector| &vector.id).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn where_libraries_differ_the_strict_answer_is_ours_but_where_said_otherwise() {
    let file: File = serde_json::from_str(include_str!("../data/vectors.json")).unwrap();
    let table = Table::builtin();
    let known = |vector: &&Vector| table.get(&vector.provider).is_some();
    for vector in file.vectors.iter().filter(known) {
        let ours = OURS.iter().find(|(id, _)| *id == vector.id).map(|(_, holds)| *holds);
        if vector.policy.is_some() || ours.is_some() {
            assert_eq!(holds(vector, &table), ours.unwrap_or(expected(vector)), "{} ({:?})", vector.id, vector.policy);
        }
    }
}

fn expected(vector: &Vector) -> bool {
    matches!(vector.recommended.as_str(), "valid" | "handshake")
}

/// Vectors that we judge otherwise, with our answer.
const OURS: &[(&str, bool)] = &[
    // The URL is the one that was given to the sender. A library that is handed another tries it with a port as well; here
    // the one that is configured must be the right one.
    ("twilio-ok-port-signed-receiver-none", false),
];
