//! Publishing an event by hand, and erasing what one held.

use std::time::Duration;

use actix_web::http::header;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};

use super::events::key;
use super::examples;
use super::operation::Operation;
use super::parameters::short;
use super::params::{Params, invalid};
use crate::domain::{Code, EventKey, Headers, MAX_EVENT_ID, MAX_EVENT_TYPE};
use crate::history::{Control, EventView, History};
use crate::http::body::{self, Budget};
use crate::http::problem::Problem;
use crate::ingest::{Ingest, Publication, Published};

/// The most time for a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn operations() -> Vec<Operation> {
    let path = "/api/v1/events/{source}/{event_id}";
    vec![
        Operation::put(path, publish)
            .called("publish_event", "Publishes an event by hand")
            .explained("The same ID with the same body again changes nothing; with another body it is a conflict.")
            .asks([short("type", "The event's type.", MAX_EVENT_TYPE)])
            .reads_bytes("The raw body, of any type, up to the source's `max_body`.")
            .answers::<EventView>(201, "The event, recorded.", &examples::event())
            .answers::<EventView>(200, "The event, which had been recorded.", &examples::event())
            .fails(&[Code::Conflict]),
        Operation::delete(path, erase)
            .called("erase_event", "Erases what an event held")
            .explained("Headers, body and what destinations answered go; the ID stays known, so that a retry is still a duplicate.")
            .answers_nothing("It is erased."),
    ]
}

/// `PUT /api/v1/events/{source}/{event_id}`
pub(super) async fn publish(
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
    ingest: Data<Ingest>,
    history: Data<History>,
    budget: Data<Budget>,
) -> Result<HttpResponse, Problem> {
    let key = key(path);
    let mut params = Params::parse(request.query_string())?;
    let event_type = params.text("type").unwrap_or_default();
    params.finish()?;
    let source = ingest.source(&key.source).ok_or_else(|| Problem::new(Code::NotFound).detail("there is no such source"))?;
    if key.event_id.is_empty() || key.event_id.len() > MAX_EVENT_ID {
        return Err(invalid("event_id", format!("from 1 to {MAX_EVENT_ID} bytes")));
    }
    if event_type.len() > MAX_EVENT_TYPE {
        return Err(invalid("type", format!("at most {MAX_EVENT_TYPE} bytes")));
    }
    let body = body::read(&request, payload, source.max_body, BODY_TIMEOUT, &budget).await.map_err(Problem::new)?;
    let content_type = request.headers().get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes);
    let headers: Headers = content_type.map(|value| ("content-type", value)).into_iter().collect();
    let publication = Publication { event_id: key.event_id.to_string(), event_type, headers, body };
    match ingest.publish(source, publication).await? {
        Published::Fresh => shown(HttpResponse::Created(), &history, &key).await,
        Published::Known => shown(HttpResponse::Ok(), &history, &key).await,
        Published::Differs => Err(Problem::new(Code::Conflict).detail("the event is recorded with another body")),
    }
}

async fn shown(mut answer: actix_web::HttpResponseBuilder, history: &History, key: &EventKey) -> Result<HttpResponse, Problem> {
    let event = history.event(key).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(answer.json(event))
}

/// `DELETE /api/v1/events/{source}/{event_id}`
pub(super) async fn erase(path: Path<(String, String)>, control: Data<Control>) -> Result<HttpResponse, Problem> {
    match control.erase(key(path)).await? {
        true => Ok(HttpResponse::NoContent().finish()),
        false => Err(Problem::new(Code::NotFound)),
    }
}
