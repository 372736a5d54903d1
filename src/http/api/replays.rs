//! Replays: of one event, and jobs over many; and making many dead deliveries due again, which is a job, too.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::events;
use super::params::{Params, invalid};
use crate::config::suggestion;
use crate::domain::{Code, EventStatus, Timestamp};
use crate::history::{DeliveryFilter, EventFilter};
use crate::http::body::{self, Budget, MAX_ORDER, ORDER_TIMEOUT};
use crate::http::idempotent;
use crate::http::problem::Problem;
use crate::replay::{DEFAULT_RATE, JobView, MOST_RATE, ReplayError, Replays, Work};

/// When to come back where too many jobs run.
const JOBS_RETRY_AFTER: Duration = Duration::from_secs(60);

/// What is asked for one event.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    destinations: Option<Vec<String>>,
}

/// `POST /api/v1/events/{source}/{event_id}/replay`
pub(super) async fn one(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    replays: Data<Replays>,
) -> Result<HttpResponse, Problem> {
    let One { destinations } = read(&request, payload).await?;
    let deliveries = replays.one(&events::key(path), destinations.map(names).as_deref(), idempotent::claim(&request)).await?;
    Ok(HttpResponse::Created().json(serde_json::json!({ "deliveries": deliveries })))
}

/// What is asked for many events.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    filter: Option<Events>,
    destinations: Option<Vec<String>>,
    rate: Option<u32>,
}

/// Which events; the names are those of the list's parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    source: Option<String>,
    r#type: Option<String>,
    status: Option<String>,
    event_id: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `POST /api/v1/replays`
pub(super) async fn begin(request: HttpRequest, payload: Payload, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    let Many { filter, destinations, rate } = read(&request, payload).await?;
    let filter = filter.ok_or_else(no_filter)?;
    let destinations = destinations.map(names);
    let filter = EventFilter {
        source: filter.source,
        event_type: filter.r#type,
        status: filter.status.as_deref().map(status).transpose()?,
        event_id: filter.event_id,
        since: time("since", filter.since.as_deref())?,
        until: time("until", filter.until.as_deref())?,
    };
    accepted(replays.begin(Work::Replay { filter, destinations }, self::rate(rate)?, idempotent::claim(&request)).await?)
}

/// What is asked for many dead deliveries.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Dead {
    filter: Option<Deliveries>,
    rate: Option<u32>,
}

/// Which dead deliveries; the names are those of the list's parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deliveries {
    destination: Option<String>,
    source: Option<String>,
    since: Option<String>,
    until: Option<String>,
}

/// `POST /api/v1/deliveries/retry`
pub(super) async fn retry(request: HttpRequest, payload: Payload, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    let Dead { filter, rate } = read(&request, payload).await?;
    let filter = filter.ok_or_else(no_filter)?;
    let filter = DeliveryFilter {
        status: None,
        destination: filter.destination,
        source: filter.source,
        since: time("since", filter.since.as_deref())?,
        until: time("until", filter.until.as_deref())?,
    };
    accepted(replays.begin(Work::Retry { filter }, self::rate(rate)?, idempotent::claim(&request)).await?)
}

/// `GET /api/v1/replays`
pub(super) async fn list(request: HttpRequest, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(replays.jobs(paging).await?))
}

/// `GET /api/v1/replays/{id}`
pub(super) async fn show(path: Path<String>, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    found(replays.job(id(&path)?).await?)
}

/// `POST /api/v1/replays/{id}/cancel`
pub(super) async fn cancel(path: Path<String>, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    found(replays.call_off(id(&path)?).await?)
}

fn id(path: &Path<String>) -> Result<i64, Problem> {
    path.parse().map_err(|_| Problem::new(Code::NotFound))
}

fn found(job: Option<JobView>) -> Result<HttpResponse, Problem> {
    job.map(|job| HttpResponse::Ok().json(job)).ok_or_else(|| Problem::new(Code::NotFound))
}

#[expect(clippy::unnecessary_wraps, reason = "handlers end with it")]
fn accepted(job: JobView) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Accepted().json(job))
}

fn names(names: Vec<String>) -> Vec<Arc<str>> {
    names.into_iter().map(Arc::from).collect()
}

/// The body as JSON; an empty one says nothing.
async fn read<T: DeserializeOwned + Default>(request: &HttpRequest, payload: Payload) -> Result<T, Problem> {
    let body = body::read(request, payload, MAX_ORDER, ORDER_TIMEOUT, &Budget::new(MAX_ORDER)).await.map_err(Problem::new)?;
    match body.trim_ascii() {
        b"" => Ok(T::default()),
        json => serde_json::from_slice(json).map_err(|error| invalid("body", error)),
    }
}

/// Everything is asked for by an empty filter, never by forgetting it.
fn no_filter() -> Problem {
    invalid("filter", "say which; {} is all")
}

fn rate(rate: Option<u32>) -> Result<u32, Problem> {
    let rate = rate.unwrap_or(DEFAULT_RATE);
    let is_allowed = (1..=MOST_RATE).contains(&rate);
    is_allowed.then_some(rate).ok_or_else(|| invalid("rate", format!("a number from 1 to {MOST_RATE}, which is of events a second")))
}

fn time(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    text.map(|text| Timestamp::parse(text).map_err(|error| invalid(name, error))).transpose()
}

fn status(name: &str) -> Result<EventStatus, Problem> {
    let found = EventStatus::ALL.into_iter().find(|status| status.as_str() == name);
    found.ok_or_else(|| invalid("status", format!("one of {}", EventStatus::ALL.map(EventStatus::as_str).join(", "))))
}

impl From<ReplayError> for Problem {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::UnknownEvent => Self::new(Code::NotFound),
            ReplayError::Gone | ReplayError::Unrouted => Self::new(Code::Conflict).detail(error.to_string()),
            ReplayError::TooMany => Self::new(Code::Conflict).detail(error.to_string()).retry_after(Some(JOBS_RETRY_AFTER)),
            ReplayError::UnknownDestination { ref name, ref known } => {
                let near = suggestion(name, known.iter().map(|name| &**name));
                invalid("destinations", format!("{error}{near}"))
            }
            ReplayError::NoDestinations => invalid("destinations", "name at least one, or leave it out for those that the routes say"),
            ReplayError::Store(error) => error.into(),
        }
    }
}
