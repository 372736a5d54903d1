//! What a signature covers cannot be changed, byte by byte, and what it does not cover is said so in the row: every accepted
//! fixture is changed in many single places and judged again. Long parts are sampled, always at the same places.

mod change;
mod exceptions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use onceward::domain::{HeaderBuilder, RawRequest, Timestamp};
use onceward::fixture::{self, Expect, Fixture};
use onceward::provider::{Algorithm, Coverage, Locator, Place, Provider, Signature, Table};
use onceward::verify::{Judgement, PublishedKey, Setup, Verifier};
use secrecy::{ExposeSecret as _, SecretString};

use change::changes;
use exceptions::{is_equal, is_idle, same_form};

/// An accepted fixture with the signature that decides about it.
struct Case {
    file: PathBuf,
    fixture: Fixture,
    verifier: Verifier,
    /// What the sender publishes.
    published: Option<PublishedKey>,
    signature: Signature,
    event_id: String,
    at: Timestamp,
}

/// What became of a changed request.
#[derive(Debug, PartialEq)]
enum Outcome {
    Accepted(String),
    Refused,
}

impl Case {
    fn all() -> Vec<Self> {
        let table = Table::builtin();
        crate::fixtures::all().into_iter().filter_map(|(file, fixture)| Self::new(file, fixture, &table)).collect()
    }

    /// The case of a fixture; `None` when it is not accepted.
    fn new(file: PathBuf, fixture: Fixture, table: &Table) -> Option<Self> {
        let Some(Expect::Accepted { event_id, .. }) = fixture.expect.clone() else { return None };
        let verifier = fixture::verifier(&fixture, table, &[]).unwrap();
        let published = fixture::published(&fixture, &verifier).unwrap();
        let signature = deciding(verifier.provider(), &fixture, published.as_ref());
        let at = fixture.at.unwrap();
        Some(Self { file, fixture, verifier, published, signature, event_id, at })
    }

    fn provider(&self) -> &Provider {
        self.verifier.provider()
    }

    fn request(&self) -> &RawRequest {
        &self.fixture.request
    }

    fn judge(&self, request: &RawRequest) -> Outcome {
        judge(&self.verifier, request, self.at, self.published.as_ref())
    }

    fn holds(&self, request: &RawRequest) -> bool {
        self.judge(request) != Outcome::Refused
    }

    /// Every place that the deciding signature rests on.
    fn signed(&self) -> Vec<&Locator> {
        let claims = self.signature.jwt.iter().flat_map(|rule| &rule.claims).flat_map(|(_, templates)| templates);
        let signed = if self.signature.jwt.is_some() { Vec::new() } else { self.signature.signed.locators() };
        signed.into_iter().chain(claims.flat_map(|template| template.locators())).collect()
    }

    fn name(&self) -> String {
        self.file.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string()
    }
}

fn judge(verifier: &Verifier, request: &RawRequest, at: Timestamp, published: Option<&PublishedKey>) -> Outcome {
    match verifier.judge_by(request, at, published) {
        Ok(Judgement::Event(event)) => Outcome::Accepted(event.key.event_id.to_string()),
        // A handshake is answered, and nothing comes of it.
        Ok(Judgement::Handshake(_)) | Err(_) => Outcome::Refused,
    }
}

/// The first way to sign under which the request stands alone.
fn deciding(provider: &Provider, fixture: &Fixture, published: Option<&PublishedKey>) -> Signature {
    let alone = provider.signatures.iter().find(|signature| {
        let row = Provider { signatures: vec![(*signature).clone()], ..provider.clone() };
        let mut table = Table::default();
        table.add(row);
        let verifier = fixture::verifier(fixture, &table, &[]);
        verifier.is_ok_and(|verifier| judge(&verifier, &fixture.request, fixture.at.unwrap(), published) != Outcome::Refused)
    });
    alone.expect("an accepted fixture is proved by one of its row's signatures").clone()
}

/// What is found in all cases, worked through side by side.
fn each(look: impl Fn(&Case) -> Vec<String> + Sync) -> Vec<String> {
    let cases = Case::all();
    assert!(cases.len() > 300, "the fixtures were not found");
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    std::thread::scope(|scope| {
        let look = &look;
        let running: Vec<_> = cases
            .chunks(cases.len().div_ceil(threads))
            .map(|part| scope.spawn(move || part.iter().flat_map(look).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn no_byte_of_what_is_signed_can_be_changed() {
    let offences = each(|case| {
        let mut found = Vec::new();
        found.extend(signature_changes(case));
        found.extend(header_changes(case));
        found.extend(url_changes(case));
        found.extend(body_changes(case).1);
        found
    });
    assert!(offences.is_empty(), "{} accepted:\n{}", offences.len(), offences.join("\n"));
}

#[test]
fn a_body_that_is_not_covered_is_said_so_by_its_row() {
    let accepted: BTreeSet<String> =
        each(|case| if body_changes(case).0 > 0 { vec![case.provider().name.to_string()] } else { Vec::new() }).into_iter().collect();
    for provider in Table::builtin().iter() {
        let open = !matches!(provider.coverage(), Coverage::Body | Coverage::Checksum);
        // An equal writing of a form is accepted, and nothing else is.
        if open {
            assert!(accepted.contains(&*provider.name), "{}: every change of the body is refused, and the row says less", provider.name);
        }
    }
}

#[test]
fn an_id_that_is_covered_cannot_be_changed_and_another_can() {
    let changed = each(|case| id_changes(case).into_iter().map(|what| format!("{}\t{what}", case.provider().name)).collect());
    let mut by_provider: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in &changed {
        let (name, what) = line.split_once('\t').unwrap();
        by_provider.entry(name).or_default().push(what);
    }
    let mut wrong = Vec::new();
    for provider in Table::builtin().iter() {
        let found = by_provider.get(&*provider.name);
        let is_arrival = provider.event_id.iter().any(|template| template.locators() == [&Locator::Arrival]);
        match (provider.event_id_covered(), found) {
            (true, Some(found)) => wrong.push(format!("{}: the row says that the ID is signed; {}", provider.name, found.join("; "))),
            // No single byte keeps a checksum.
            (false, None) if provider.coverage() == Coverage::Checksum => {}
            (false, None) if !is_arrival => wrong.push(format!("{}: the ID cannot be changed, and the row does not say so", provider.name)),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_request_holds_under_the_secret_of_another_source() {
    let secrets: Vec<SecretString> = crate::fixtures::all().into_iter().flat_map(|(_, fixture)| fixture.secrets).collect();
    let others = |case: &Case| {
        let own: BTreeSet<_> = case.fixture.secrets.iter().map(key_material).collect();
        let is_usable = |secret: &SecretString| case.provider().check_secret(secret.expose_secret()).is_ok();
        let others = secrets.iter().filter(|secret| !own.contains(&key_material(secret)) && is_usable(secret));
        // Neighbours of the same sender come first, then others from all over the folder.
        let step = secrets.len() / 8;
        others.clone().take(2).chain(others.step_by(step)).cloned().collect::<Vec<_>>()
    };
    let offences = each(|case| {
        if case.signature.algorithm == Algorithm::None {
            return Vec::new();
        }
        let under = |secret: SecretString| {
            let setup = Setup { url: case.fixture.url.clone(), ..Setup::new(Arc::clone(case.verifier.provider()), vec![secret]) };
            let setup = Setup { params: case.fixture.params.iter().cloned().collect(), ..setup };
            Verifier::new("other", setup).ok().filter(|verifier| judge(verifier, case.request(), case.at, None) != Outcome::Refused)
        };
        others(case).into_iter().filter_map(under).map(|_| case.name()).collect()
    });
    assert!(offences.is_empty(), "{offences:?}");
}

/// What two secrets have in common when they are one key: a JWK set may say more than its keys.
fn key_material(secret: &SecretString) -> String {
    let text = secret.expose_secret();
    let set: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let key = set.pointer("/keys/0").map(|key| format!("{}{}", key["n"], key["x"]));
    key.unwrap_or_else(|| text.to_owned())
}

#[test]
fn a_row_that_says_too_much_is_found_out() {
    let token = r#"[github]
signature = { header = "X-Hub-Signature-256", algorithm = "token" }
covers = "body"
event_id = ["json:/after"]
event_id_signed = true
"#;
    let table = Table::parse(token).unwrap();
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/github/push.http");
    let mut fixture = fixture::load_file(&file).unwrap();
    fixture.secrets = vec![fixture.request.headers.text("x-hub-signature-256").unwrap().to_owned().into()];
    let case = Case::new(file, fixture, &table).unwrap();
    let (accepted, wrong) = body_changes(&case);
    assert!(accepted > 0 && wrong.len() == accepted, "{wrong:?}");
    assert!(!id_changes(&case).is_empty());
    assert!(signature_changes(&case).is_empty());
}

/// Changes of the signature itself, wherever it stands outside the body.
fn signature_changes(case: &Case) -> Vec<String> {
    let request = case.request();
    let mut found = Vec::new();
    match &case.signature.place {
        Place::Header(name) => found.extend(in_header(case, name)),
        Place::Headers(family) => {
            let names: BTreeSet<_> =
                request.headers.iter().map(|(name, _)| name).filter(|name| name.starts_with(family.as_str())).collect();
            names.into_iter().for_each(|name| found.extend(in_header(case, name)));
        }
        Place::Query(_) => {
            let changed = changes(request.query.as_bytes()).into_iter().filter_map(|(change, query)| {
                let query = String::from_utf8(query).ok()?;
                case.holds(&RawRequest { query, ..request.clone() }).then(|| format!("{}: query, {change}", case.name()))
            });
            // What is beside the token in a query is no part of it.
            found.extend(changed.filter(|_| !request.query.contains('&')));
        }
        Place::Json(_) | Place::Form(_) | Place::Nowhere => {}
    }
    found
}

/// Changes of the headers that are signed, or that hold the signed time.
fn header_changes(case: &Case) -> Vec<String> {
    let times = case.signature.timestamp.as_ref().map(|rule| &rule.from);
    let names: BTreeSet<_> = case
        .signed()
        .into_iter()
        .chain(times)
        .filter_map(|place| if let Locator::Header(name) = place { Some(name) } else { None })
        .collect();
    names.into_iter().flat_map(|name| in_header(case, name)).collect()
}

/// The changes of one header that are accepted, although the request rests on what was changed.
fn in_header(case: &Case, name: &str) -> Vec<String> {
    let request = case.request();
    let Some(value) = request.headers.get(name) else { return Vec::new() };
    let mut found = Vec::new();
    for (change, new) in changes(value) {
        if case.holds(&with_header(request, name, Some(&new))) && !is_equal(case, name, value, &new) && !is_idle(case, name, value, change)
        {
            found.push(format!("{}: header {name}, {change}: {}", case.name(), String::from_utf8_lossy(&new)));
        }
    }
    // Where the row has several ways to sign, or several headers for one, another may stand in.
    let is_only = case.provider().signatures.len() == 1 && !matches!(case.signature.place, Place::Headers(_));
    if is_only && case.holds(&with_header(request, name, None)) {
        found.push(format!("{}: header {name} left out", case.name()));
    }
    found
}

/// Changes of the URL: of the one that is configured, and of what the request adds to it.
fn url_changes(case: &Case) -> Vec<String> {
    let (request, mut found) = (case.request(), Vec::new());
    let signs = |wanted: &[Locator]| case.signed().into_iter().any(|place| wanted.contains(place));
    if signs(&[Locator::Method]) && case.holds(&RawRequest { method: "PUT".into(), ..request.clone() }) {
        found.push(format!("{}: another method", case.name()));
    }
    if !signs(&[Locator::Url, Locator::UrlSha256, Locator::UrlUnescaped, Locator::UrlFormSorted]) {
        return found;
    }
    let url = case.fixture.url.clone().unwrap();
    let base = url.split(['?', '#']).next().unwrap();
    for (change, new) in changes(base.as_bytes()) {
        let Ok(new) = String::from_utf8(new) else { continue };
        // What follows these is no part of the URL that is signed.
        if new.contains(['?', '#']) {
            continue;
        }
        let setup = Setup {
            url: Some(new),
            params: case.fixture.params.iter().cloned().collect(),
            ..Setup::new(Arc::clone(case.verifier.provider()), case.fixture.secrets.clone())
        };
        let verifier = Verifier::new("other", setup).unwrap();
        if judge(&verifier, request, case.at, case.published.as_ref()) != Outcome::Refused {
            found.push(format!("{}: configured URL, {change}", case.name()));
        }
    }
    let queries = changes(request.query.as_bytes()).into_iter().filter_map(|(_, query)| String::from_utf8(query).ok());
    for query in queries.chain(["x=1".to_owned()]).filter(|query| *query != request.query) {
        let same = signs(&[Locator::UrlFormSorted])
            && form_urlencoded::parse(query.as_bytes()).eq(form_urlencoded::parse(request.query.as_bytes()));
        if !same && case.holds(&RawRequest { query: query.clone(), ..request.clone() }) {
            found.push(format!("{}: query {query}", case.name()));
        }
    }
    if case.holds(&RawRequest { subpath: format!("{}/x", request.subpath), ..request.clone() }) {
        found.push(format!("{}: a deeper path", case.name()));
    }
    found
}

/// How many changes of the body are accepted, and those among them that must not be.
fn body_changes(case: &Case) -> (usize, Vec<String>) {
    let (request, coverage) = (case.request(), case.provider().coverage());
    let (mut accepted, mut wrong) = (0, Vec::new());
    let signed = match &coverage {
        Coverage::Fields(names) => names.iter().flat_map(|name| change::field_spans(&request.body, name)).collect(),
        _ => Vec::new(),
    };
    let sampled = changes(&request.body);
    let within = signed.iter().flat_map(|span| change::changes_within(&request.body, span.clone()));
    for (change, body) in sampled.into_iter().chain(within) {
        let body = bytes::Bytes::from(body);
        if !case.holds(&RawRequest { body: body.clone(), ..request.clone() }) {
            continue;
        }
        accepted += 1;
        let must_not = match coverage {
            Coverage::Body | Coverage::Checksum => true,
            Coverage::Fields(_) => signed.iter().any(|span| change.is_within(span)),
            Coverage::Nothing => false,
        };
        if must_not && !same_form(case, &body) {
            wrong.push(format!("{}: body, {change}: {}", case.name(), String::from_utf8_lossy(&body)));
        }
    }
    (accepted, wrong)
}

/// Changes that are accepted under another ID: of the body, of headers that may hold it, of headers left out.
fn id_changes(case: &Case) -> Vec<String> {
    let request = case.request();
    let mut changed: Vec<(String, RawRequest)> = Vec::new();
    for (change, body) in changes(&request.body) {
        changed.push((format!("body, {change}"), RawRequest { body: body.into(), ..request.clone() }));
    }
    let longer = [&request.body, &b"&"[..]].concat();
    changed.push(("a form written otherwise".into(), RawRequest { body: longer.into(), ..request.clone() }));
    let names: BTreeSet<_> = request.headers.iter().map(|(name, _)| name).collect();
    changed.extend(names.iter().map(|name| (format!("{name} left out"), with_header(request, name, None))));
    let in_id = case.provider().event_id.iter().flat_map(|template| template.locators());
    for name in in_id.filter_map(|place| if let Locator::Header(name) = place { Some(name.as_str()) } else { None }) {
        changed.push((format!("{name} changed"), with_header(request, name, Some(b"another-id"))));
    }
    let other = |(what, request): (String, RawRequest)| match case.judge(&request) {
        Outcome::Accepted(id) if id != case.event_id => Some(format!("{what} ({})", case.name())),
        _ => None,
    };
    changed.into_iter().filter_map(other).collect()
}

/// The request with another value of one header, or without it.
fn with_header(request: &RawRequest, name: &str, value: Option<&[u8]>) -> RawRequest {
    let mut headers = HeaderBuilder::default();
    for (field, old) in request.headers.iter().filter(|(field, _)| *field != name) {
        headers.push(field, old);
    }
    if let Some(value) = value {
        headers.push(name, value);
    }
    RawRequest { headers: headers.build(), ..request.clone() }
}
