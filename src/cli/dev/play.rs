//! Playing recorded requests: each accepted one twice, signed for now, then forged in every way that its sender's row
//! allows; handshakes once. What comes back is compared with what must come back.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use super::watch::Watch;
use crate::cli::{output, send};
use crate::domain::{Clock, Code, EventStatus, SystemClock};
use crate::fixture::{self, Expect, Fixture};
use crate::history::EventFilter;
use crate::history::{History, Paging};
use crate::net::Client;
use crate::provider::{Algorithm, Table};
use crate::verify::Verifier;

/// How far back a stale request is signed: beyond every tolerance.
const STALE_BY: Duration = Duration::from_secs(86_400);
/// How long the deliveries may take to end.
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);

/// Where the play takes place.
pub(super) struct Stage<'a> {
    pub(super) table: &'a Table,
    pub(super) public: SocketAddr,
    pub(super) watch: &'a Watch,
    pub(super) history: &'a History,
}

/// One request and what came of it.
struct Scene {
    provider: String,
    request: String,
    status: u16,
    outcome: String,
    why: String,
    as_expected: bool,
}

/// Everything that was played.
#[derive(Default)]
pub(super) struct Played {
    scenes: Vec<Scene>,
    undelivered: usize,
}

/// Plays the fixtures in their order.
pub(super) async fn play(stage: &Stage<'_>, fixtures: &[(PathBuf, Fixture)]) -> anyhow::Result<Played> {
    let client = Client::new()?;
    let (mut played, mut forged, mut known) = (Played::default(), BTreeSet::new(), BTreeSet::new());
    for (file, fixture) in fixtures {
        let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(requests) = requests(stage, fixture, &mut forged, &mut known)? else { continue };
        for (kind, request, expected) in requests {
            let scene = scene(stage, &client, &request, &expected).await?;
            played.scenes.push(Scene { request: format!("{name}{kind}"), ..scene });
        }
    }
    played.undelivered = wait_until_delivered(stage.history).await?;
    Ok(played)
}

type Requests = Vec<(&'static str, Fixture, String)>;

/// What is sent for a fixture, with the outcome that must come back; `None` for one that
/// brings no event of its own.
fn requests(
    stage: &Stage<'_>,
    fixture: &Fixture,
    forged: &mut BTreeSet<String>,
    known: &mut BTreeSet<(String, String)>,
) -> anyhow::Result<Option<Requests>> {
    let verifier = fixture::verifier(fixture, stage.table, &[])?;
    let now = SystemClock.now();
    // Only its sender can sign for a public key: such a request cannot be sent as of now.
    let can_sign = verifier.sign(&fixture.request, now).is_ok();
    if !can_sign {
        return Ok(None);
    }
    let signed = |at| anyhow::Ok(Fixture { request: verifier.sign(&fixture.request, at)?, ..fixture.clone() });
    match &fixture.expect {
        // A handshake is signed or not: one that is not must stay so.
        Some(Expect::Handshake(_)) => {
            let is_signed = fixture.request.headers.iter().any(|(name, _)| verifier.signs_in(name));
            let handshake = if is_signed { signed(now)? } else { fixture.clone() };
            Ok(Some(vec![(", handshake", handshake, "handshake".into())]))
        }
        Some(Expect::Accepted { event_id, .. }) => {
            if !known.insert((fixture.provider.clone(), event_id.clone())) {
                return Ok(None);
            }
            let first = signed(now)?;
            let mut requests = vec![("", first.clone(), "accepted".into())];
            // Where nothing but the time tells a sender's events apart, the same again is another one or not, by the clock.
            if !event_id.starts_with("arrival:") {
                requests.push((", again", first.clone(), "duplicate".into()));
            }
            if forged.insert(fixture.provider.clone()) {
                requests.extend(forgeries(&verifier, first, signed(now.minus(STALE_BY))?));
            }
            Ok(Some(requests))
        }
        _ => Ok(None),
    }
}

/// The same request, forged.
fn forgeries(verifier: &Verifier, signed: Fixture, stale: Fixture) -> Requests {
    let signatures = &verifier.provider().signatures;
    if signatures.iter().all(|signature| signature.algorithm == Algorithm::None) {
        return Vec::new();
    }
    let (mut tampered, mut unsigned) = (signed.clone(), signed);
    send::tamper(verifier, &mut tampered);
    unsigned.request = verifier.unsigned(&unsigned.request);
    let mut requests = vec![(", tampered with", tampered, Code::SignatureMismatch.to_string())];
    if signatures.iter().any(|signature| signature.timestamp.is_some()) {
        requests.push((", a day old", stale, Code::TimestampStale.to_string()));
    }
    requests.push((", unsigned", unsigned, Code::SignatureMissing.to_string()));
    requests
}

async fn scene(stage: &Stage<'_>, client: &Client, fixture: &Fixture, expected: &str) -> anyhow::Result<Scene> {
    let base = format!("http://{}/", stage.public).parse()?;
    let response = client.send(send::outgoing(fixture, &base)?).await?;
    let outcome = outcome(&response);
    let why = match outcome.as_str() {
        "accepted" => "first seen: recorded, then dispatched".into(),
        "duplicate" => "seen before: not dispatched".into(),
        "handshake" => "answered, no event".into(),
        _ => stage.watch.take_refusal(),
    };
    let as_expected = outcome == expected;
    Ok(Scene { provider: fixture.provider.clone(), request: String::new(), status: response.status, outcome, why, as_expected })
}

fn outcome(response: &crate::net::Response) -> String {
    let status = response.headers.text("onceward-status").map(str::to_owned);
    let problem = || {
        let document: serde_json::Value = serde_json::from_slice(&response.body).ok()?;
        Some(document.get("type")?.as_str()?.trim_start_matches("onceward:").to_owned())
    };
    status.or_else(problem).unwrap_or_else(|| if response.status < 300 { "handshake".into() } else { "unexplained".into() })
}

/// Waits until every delivery has ended, and returns how many events have not been delivered.
async fn wait_until_delivered(history: &History) -> anyhow::Result<usize> {
    let unfinished = async |status| {
        let filter = EventFilter { status: Some(status), ..EventFilter::default() };
        anyhow::Ok(history.events(filter, Paging::default()).await?.data.len())
    };
    let all_done = async {
        let mut poll = tokio::time::interval(Duration::from_millis(50));
        while unfinished(EventStatus::Pending).await? > 0 {
            poll.tick().await;
        }
        anyhow::Ok(())
    };
    if let Ok(done) = tokio::time::timeout(DELIVERED_WITHIN, all_done).await {
        done?;
    }
    Ok(unfinished(EventStatus::Pending).await? + unfinished(EventStatus::Failing).await? + unfinished(EventStatus::Dead).await?)
}

impl Played {
    /// Shows everything, and whether all of it is as it must be. `delivered` has the requests that the destination got,
    /// by key, where it is ours.
    pub(super) fn show(&self, delivered: Option<HashMap<String, u64>>) -> anyhow::Result<ExitCode> {
        let mut table = output::table(&["provider", "request", "status", "outcome", "why"]);
        for scene in &self.scenes {
            let mark = if scene.as_expected { "" } else { " (NOT AS EXPECTED)" };
            let outcome = format!("{}{mark}", output::clean(&scene.outcome));
            let (request, why) = (output::clean(&scene.request), output::clean(&scene.why));
            table.add_row([scene.provider.clone(), request, scene.status.to_string(), outcome, why]);
        }
        output::line(table)?;
        let count = |outcome: &str| self.scenes.iter().filter(|scene| scene.outcome == outcome).count();
        let (accepted, duplicates, handshakes) = (count("accepted"), count("duplicate"), count("handshake"));
        let refused = self.scenes.len() - accepted - duplicates - handshakes;
        output::line(format!(
            "{} requests: {accepted} accepted, {duplicates} duplicates suppressed, {refused} refused, {handshakes} handshakes answered",
            self.scenes.len()
        ))?;
        let mut wrong = self.scenes.iter().filter(|scene| !scene.as_expected).count() + self.undelivered;
        if let Some(delivered) = delivered {
            let (keys, requests) = (delivered.len(), delivered.values().sum::<u64>());
            output::line(format!("the destination got {requests} requests for {keys} events"))?;
            wrong += usize::from(keys != accepted || requests != accepted as u64);
        }
        if self.undelivered > 0 {
            output::line(format!("{} events are not delivered", self.undelivered))?;
        }
        Ok(ExitCode::from(u8::from(wrong > 0 || self.scenes.is_empty())))
    }
}
