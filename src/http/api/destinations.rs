//! Destinations: as configured, without secrets, and how they fare; holding and releasing one.

use std::collections::BTreeSet;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use super::examples;
use super::operation::Operation;
use crate::config::{Destination, Retry, Target};
use crate::domain::schema::one_of;
use crate::domain::{Backlog, Clock, Code, LaneState, Lanes, OnDead, Timestamp, print_duration};
use crate::history::{Control, History, PageView};
use crate::http::problem::Problem;
use crate::route::OnFilterError;

/// What the endpoints look at.
pub(in crate::http) struct Destinations {
    /// As configured, in the order of the file.
    pub(in crate::http) configured: Vec<Destination>,
    /// How they fare.
    pub(in crate::http) lanes: Arc<dyn Lanes>,
    /// The time, to tell when something is due.
    pub(in crate::http) clock: Arc<dyn Clock>,
}

/// A destination.
#[derive(Serialize, ToSchema)]
#[schema(as = Destination)]
struct View<'d> {
    name: &'d str,
    #[schema(schema_with = kinds)]
    kind: &'static str,
    /// Where it goes, without credentials, query and arguments; without the path, where the URL came out of a variable.
    target: String,
    from: Vec<&'d str>,
    types: Vec<String>,
    /// Whether there is a filter. Its text may hold a secret.
    filtered: bool,
    #[schema(schema_with = on_filter_errors)]
    on_filter_error: &'static str,
    timeout: String,
    concurrency: usize,
    /// `50/s`; `null` for any number.
    #[schema(required = true)]
    rate_limit: Option<String>,
    #[schema(required = true)]
    order_by: Option<String>,
    #[schema(schema_with = on_deads)]
    on_dead: &'static str,
    retry: RetryView,
    circuit: CircuitView,
    /// Until when nothing goes there because it has said that it is overloaded.
    #[schema(required = true)]
    overloaded_until: Option<Timestamp>,
    /// Whether nothing goes there until it is released.
    paused: bool,
    /// Attempts under way.
    in_flight: usize,
    /// Unfinished deliveries.
    pending: u64,
    #[schema(required = true)]
    oldest_pending_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Retry)]
struct RetryView {
    attempts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    max: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    schedule: Option<Vec<String>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Circuit)]
struct CircuitView {
    #[schema(schema_with = states)]
    state: &'static str,
    /// So many failures one after another open it; `null` for never.
    #[schema(required = true)]
    failures: Option<u32>,
    probe: String,
    max_probe: String,
    /// When the next probe may begin, while it is open.
    #[schema(required = true)]
    next_probe_at: Option<Timestamp>,
}

/// What a destination can be.
const KINDS: [&str; 3] = ["url", "exec", "handler"];
/// How a circuit can be.
const STATES: [&str; 2] = ["closed", "open"];

fn kinds() -> ObjectBuilder {
    one_of(KINDS)
}

fn states() -> ObjectBuilder {
    one_of(STATES)
}

fn on_filter_errors() -> ObjectBuilder {
    let words = [OnFilterError::Deliver, OnFilterError::Skip].map(OnFilterError::as_str);
    one_of(words).description(Some("What becomes of an event for which the filter fails."))
}

fn on_deads() -> ObjectBuilder {
    one_of([OnDead::Skip, OnDead::Hold].map(OnDead::as_str)).description(Some("What becomes of those behind a dead one in its order."))
}

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/destinations", list)
            .called("list_destinations", "Destinations, and how they fare")
            .answers::<PageView<View<'_>>>(200, "All destinations.", &PageView { data: vec![example()], next: None }),
        Operation::get("/api/v1/destinations/{name}", show)
            .called("show_destination", "One destination, and how it fares")
            .answers::<View<'_>>(200, "The destination.", &example()),
        Operation::put("/api/v1/destinations/{name}/pause", pause)
            .called("pause_destination", "Holds a destination")
            .explained("Nothing goes there until it is released, across restarts.")
            .answers::<View<'_>>(200, "The destination.", &View { paused: true, ..example() }),
        Operation::delete("/api/v1/destinations/{name}/pause", resume)
            .called("resume_destination", "Releases a destination")
            .answers::<View<'_>>(200, "The destination.", &example()),
    ]
}

fn example() -> View<'static> {
    let seconds = |seconds: u32| format!("{seconds}s");
    View {
        name: "ledger",
        kind: KINDS[0],
        target: "http://127.0.0.1:3000/stripe".to_owned(),
        from: vec!["stripe"],
        types: vec!["invoice".to_owned()],
        filtered: false,
        on_filter_error: OnFilterError::Deliver.as_str(),
        timeout: seconds(30),
        concurrency: 16,
        rate_limit: Some("50/s".to_owned()),
        order_by: None,
        on_dead: OnDead::Skip.as_str(),
        retry: RetryView { attempts: 12, first: Some(seconds(5)), max: Some("12h".to_owned()), factor: Some(3.0), schedule: None },
        circuit: CircuitView { state: STATES[0], failures: Some(5), probe: seconds(5), max_probe: "5m".to_owned(), next_probe_at: None },
        overloaded_until: None,
        paused: false,
        in_flight: 1,
        pending: 3,
        oldest_pending_at: Some(examples::at(0)),
    }
}

/// `GET /api/v1/destinations`
pub(super) async fn list(this: Data<Destinations>, control: Data<Control>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let known = Known::ask(&this, &control, &history).await?;
    let views: Vec<_> = this.configured.iter().map(|destination| known.view(destination)).collect();
    Ok(HttpResponse::Ok().json(PageView { data: views, next: None }))
}

/// `GET /api/v1/destinations/{name}`
pub(super) async fn show(
    path: Path<String>,
    this: Data<Destinations>,
    control: Data<Control>,
    history: Data<History>,
) -> Result<HttpResponse, Problem> {
    let destination = this.named(&path)?;
    Ok(HttpResponse::Ok().json(Known::ask(&this, &control, &history).await?.view(destination)))
}

/// `PUT /api/v1/destinations/{name}/pause`
pub(super) async fn pause(
    path: Path<String>,
    this: Data<Destinations>,
    control: Data<Control>,
    history: Data<History>,
) -> Result<HttpResponse, Problem> {
    control.pause(&this.named(&path)?.name).await?;
    show(path, this, control, history).await
}

/// `DELETE /api/v1/destinations/{name}/pause`
pub(super) async fn resume(
    path: Path<String>,
    this: Data<Destinations>,
    control: Data<Control>,
    history: Data<History>,
) -> Result<HttpResponse, Problem> {
    control.resume(&this.named(&path)?.name).await?;
    show(path, this, control, history).await
}

impl Destinations {
    fn named(&self, name: &str) -> Result<&Destination, Problem> {
        self.configured.iter().find(|destination| *destination.name == *name).ok_or_else(|| Problem::new(Code::NotFound))
    }
}

/// What is known of all destinations at one time.
struct Known {
    now: Timestamp,
    lanes: Vec<LaneState>,
    paused: BTreeSet<String>,
    backlogs: Vec<Backlog>,
}

impl Known {
    async fn ask(this: &Destinations, control: &Control, history: &History) -> Result<Self, Problem> {
        let (paused, backlogs) = (control.paused().await?, history.backlog().await?);
        Ok(Self { now: this.clock.now(), lanes: this.lanes.states(), paused, backlogs })
    }

    fn view<'d>(&self, destination: &'d Destination) -> View<'d> {
        let name = &destination.name;
        let lane = self.lanes.iter().find(|lane| lane.destination == *name);
        let backlog = self.backlogs.iter().find(|backlog| backlog.destination == *name);
        View {
            name,
            kind: kind(&destination.target),
            target: destination.target.shown(),
            from: destination.from.iter().map(|source| &**source).collect(),
            types: destination.types.iter().map(ToString::to_string).collect(),
            filtered: destination.filter.is_some(),
            on_filter_error: destination.on_filter_error.as_str(),
            timeout: print_duration(destination.timeout),
            concurrency: destination.concurrency,
            rate_limit: destination.rate_limit.map(|rate| rate.to_string()),
            order_by: destination.order_by.as_ref().map(ToString::to_string),
            on_dead: destination.on_dead.as_str(),
            retry: retry(&destination.retry),
            circuit: self.circuit(destination, lane),
            overloaded_until: lane.and_then(|lane| lane.overloaded).map(|wait| self.now.plus(wait)),
            paused: self.paused.contains(&**name),
            in_flight: lane.map_or(0, |lane| lane.in_flight),
            pending: backlog.map_or(0, |backlog| backlog.pending),
            oldest_pending_at: backlog.and_then(|backlog| backlog.oldest),
        }
    }

    fn circuit(&self, destination: &Destination, lane: Option<&LaneState>) -> CircuitView {
        let settings = &destination.circuit;
        let next_probe = lane.and_then(|lane| lane.next_probe);
        CircuitView {
            state: STATES[usize::from(next_probe.is_some())],
            failures: settings.failures,
            probe: print_duration(settings.probe),
            max_probe: print_duration(settings.max_probe),
            next_probe_at: next_probe.map(|wait| self.now.plus(wait)),
        }
    }
}

fn kind(target: &Target) -> &'static str {
    match target {
        Target::Url(_) => KINDS[0],
        Target::Exec(_) => KINDS[1],
        Target::Handler(_) => KINDS[2],
    }
}

fn retry(retry: &Retry) -> RetryView {
    match retry {
        Retry::Exponential { attempts, first, max, factor } => RetryView {
            attempts: u64::from(*attempts),
            first: Some(print_duration(*first)),
            max: Some(print_duration(*max)),
            factor: Some(*factor),
            schedule: None,
        },
        Retry::Schedule(waits) => RetryView {
            attempts: waits.len() as u64 + 1,
            first: None,
            max: None,
            factor: None,
            schedule: Some(waits.iter().map(|wait| print_duration(*wait)).collect()),
        },
    }
}
