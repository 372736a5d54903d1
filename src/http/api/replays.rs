//! Replays: of one event, and jobs over many; and making many dead deliveries due again, which is a job, too.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};

use super::input::Object;
use super::operation::Operation;
use super::parameters::paging;
use super::params::{Params, invalid, sought};
use super::{events, examples, input};
use crate::config::suggestion;
use crate::domain::{Code, EventStatus, Timestamp};
use crate::history::{DeliveryFilter, DeliveryView, EventFilter, PageView};
use crate::http::idempotent;
use crate::http::problem::Problem;
use crate::replay::{DEFAULT_RATE, JobView, MOST_RATE, ReplayError, Replays, Work};

/// When to come back where too many jobs run.
const JOBS_RETRY_AFTER: Duration = Duration::from_secs(60);

pub(super) fn operations() -> Vec<Operation> {
    let many = json!({ "filter": { "source": "stripe", "since": examples::at(0) }, "destinations": ["ledger"], "rate": 50 });
    let dead = json!({ "filter": { "destination": "ledger" } });
    vec![
        Operation::post("/api/v1/events/{source}/{event_id}/replay", one)
            .called("replay_event", "Delivers an event again")
            .reads::<One>(Required::False, json!({ "destinations": ["ledger"] }))
            .answers::<Made>(201, "The new deliveries.", &Made { deliveries: vec![examples::listed_delivery()] }),
        Operation::post("/api/v1/replays", begin)
            .called("begin_replay", "Delivers many events again, in the background")
            .reads::<Many>(Required::True, many)
            .answers::<JobView>(202, "The job.", &examples::job()),
        Operation::post("/api/v1/deliveries/retry", retry)
            .called("retry_deliveries", "Makes many dead deliveries due again, in the background")
            .reads::<Dead>(Required::True, dead)
            .answers::<JobView>(202, "The job.", &examples::job()),
        Operation::get("/api/v1/replays", list).called("list_replays", "Jobs").asks(paging()).answers::<PageView<JobView>>(
            200,
            "A page of jobs.",
            &examples::page(examples::job()),
        ),
        Operation::get("/api/v1/replays/{id}", show).called("show_replay", "One job").answers::<JobView>(200, "The job.", &examples::job()),
        Operation::post("/api/v1/replays/{id}/cancel", cancel)
            .called("cancel_replay", "Stops a job")
            .explained("What it has made due stays due.")
            .answers::<JobView>(200, "The job.", &examples::job()),
    ]
}

/// What is asked for one event.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayOne)]
struct One {
    /// Where to; left out, for where the routes say today.
    #[schema(min_items = 1)]
    destinations: Option<Vec<String>>,
}

/// The new deliveries.
#[derive(Serialize, ToSchema)]
#[schema(as = Replayed)]
struct Made {
    deliveries: Vec<DeliveryView>,
}

/// `POST /api/v1/events/{source}/{event_id}/replay`
pub(super) async fn one(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    replays: Data<Replays>,
) -> Result<HttpResponse, Problem> {
    let One { destinations } = input::read(&request, payload).await?;
    let deliveries = replays.one(&events::key(path), destinations.map(names).as_deref(), idempotent::claim(&request)).await?;
    Ok(HttpResponse::Created().json(Made { deliveries }))
}

/// What is asked for many events.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayMany)]
struct Many {
    #[schema(required = true, nullable = false, value_type = Events)]
    filter: Option<Object<Events>>,
    /// Where to; left out, for where the routes say today.
    #[schema(min_items = 1)]
    destinations: Option<Vec<String>>,
    #[schema(schema_with = rates)]
    #[serde(default, deserialize_with = "input::whole")]
    rate: Option<u32>,
}

/// Which events; the names are those of the list's parameters.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WhichEvents)]
struct Events {
    /// Of this source.
    source: Option<String>,
    /// Of exactly this type.
    r#type: Option<String>,
    /// In this status.
    #[schema(value_type = Option<EventStatus>)]
    status: Option<String>,
    /// With this ID.
    event_id: Option<String>,
    /// With all of these words in its ID, type or body.
    #[schema(max_length = 256)]
    q: Option<String>,
    /// From this time on.
    #[schema(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[schema(value_type = Option<Timestamp>)]
    until: Option<String>,
}

/// `POST /api/v1/replays`
pub(super) async fn begin(request: HttpRequest, payload: Payload, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    let Many { filter, destinations, rate } = input::read(&request, payload).await?;
    let Object(filter) = filter.ok_or_else(no_filter)?;
    let destinations = destinations.map(names);
    let filter = EventFilter {
        source: filter.source,
        event_type: filter.r#type,
        status: filter.status.as_deref().map(status).transpose()?,
        event_id: filter.event_id,
        q: filter.q.as_deref().map(|text| sought("q", text)).transpose()?,
        since: time("since", filter.since.as_deref())?,
        until: time("until", filter.until.as_deref())?,
    };
    accepted(replays.begin(Work::Replay { filter, destinations }, self::rate(rate)?, idempotent::claim(&request)).await?)
}

/// What is asked for many dead deliveries.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RetryDead)]
struct Dead {
    #[schema(required = true, nullable = false, value_type = Deliveries)]
    filter: Option<Object<Deliveries>>,
    #[schema(schema_with = rates)]
    #[serde(default, deserialize_with = "input::whole")]
    rate: Option<u32>,
}

/// Which dead deliveries; the names are those of the list's parameters.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WhichDeliveries)]
struct Deliveries {
    /// To this destination.
    destination: Option<String>,
    /// Of events of this source.
    source: Option<String>,
    /// From this time on.
    #[schema(value_type = Option<Timestamp>)]
    since: Option<String>,
    /// Before this time.
    #[schema(value_type = Option<Timestamp>)]
    until: Option<String>,
}

/// `POST /api/v1/deliveries/retry`
pub(super) async fn retry(request: HttpRequest, payload: Payload, replays: Data<Replays>) -> Result<HttpResponse, Problem> {
    let Dead { filter, rate } = input::read(&request, payload).await?;
    let Object(filter) = filter.ok_or_else(no_filter)?;
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

/// Everything is asked for by an empty filter, never by forgetting it.
fn no_filter() -> Problem {
    invalid("filter", "say which; {} is all")
}

fn rate(rate: Option<u32>) -> Result<u32, Problem> {
    let rate = rate.unwrap_or(DEFAULT_RATE);
    let is_allowed = (1..=MOST_RATE).contains(&rate);
    is_allowed.then_some(rate).ok_or_else(|| invalid("rate", format!("a number from 1 to {MOST_RATE}, which is of events a second")))
}

/// What `rate` may be, for the document.
fn rates() -> ObjectBuilder {
    let rate = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Integer, Type::Null])).description(Some("How many a second."));
    rate.minimum(Some(1)).maximum(Some(MOST_RATE)).default(Some(DEFAULT_RATE.into()))
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
