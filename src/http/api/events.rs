//! Events: the list, one, and one's raw body.

use actix_web::http::header;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::examples;
use super::operation::Operation;
use super::parameters::{paging, short, text, window, word};
use super::params::Params;
use crate::domain::{Code, EventKey, EventStatus};
use crate::history::{EventFilter, EventView, History, LONGEST_SOUGHT, PageView, StoredBody};
use crate::http::problem::Problem;

pub(super) fn operations() -> Vec<Operation> {
    let filter = [
        text("source", "Of this source."),
        text("type", "Of exactly this type."),
        word("status", "In this status.", EventStatus::ALL.map(EventStatus::as_str)),
        text("event_id", "With this ID."),
        short("q", "With all of these words in its ID, type or body; `word*` stands for all that begin so.", LONGEST_SOUGHT),
    ];
    vec![
        Operation::get("/api/v1/events", list)
            .called("list_events", "Events, without headers and attempts")
            .asks(filter.into_iter().chain(window()).chain(paging()))
            .answers::<PageView<EventView>>(200, "A page of events.", &examples::page(examples::listed_event())),
        Operation::get("/api/v1/events/{source}/{event_id}", show)
            .called("show_event", "One event with headers, deliveries and attempts")
            .answers::<EventView>(200, "The event.", &examples::event()),
        Operation::get("/api/v1/events/{source}/{event_id}/body", body)
            .called("event_body", "The raw body of an event")
            .answers_what_came("The body as it came, with its `Content-Type`."),
        Operation::get("/api/v1/events/{source}/{event_id}/fixture", fixture)
            .called("event_fixture", "An event as a fixture for tests")
            .answers_bytes("message/http", "The request as an HTTP/1.1 message."),
    ]
}

/// `GET /api/v1/events`
pub(super) async fn list(request: HttpRequest, history: Data<History>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let filter = EventFilter {
        source: params.text("source"),
        event_type: params.text("type"),
        status: params.one_of("status", &EventStatus::ALL.map(|status| (status.as_str(), status)))?,
        event_id: params.text("event_id"),
        q: params.sought("q")?,
        since: params.time("since")?,
        until: params.time("until")?,
    };
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(history.events(filter, paging).await?))
}

/// `GET /api/v1/events/{source}/{event_id}`
pub(super) async fn show(path: Path<(String, String)>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let event = history.event(&key(path)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(event))
}

/// `GET /api/v1/events/{source}/{event_id}/body`
pub(super) async fn body(path: Path<(String, String)>, history: Data<History>) -> Result<HttpResponse, Problem> {
    Ok(raw(history.body(&key(path)).await?.ok_or_else(|| Problem::new(Code::NotFound))?))
}

/// `GET /api/v1/events/{source}/{event_id}/fixture`
pub(super) async fn fixture(path: Path<(String, String)>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let printed = history.fixture(&key(path)).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(raw(StoredBody { content_type: Some("message/http".to_owned()), bytes: printed.into() }))
}

/// A body as it came.
pub(super) fn raw(body: StoredBody) -> HttpResponse {
    let content_type = body.content_type.unwrap_or_else(|| "application/octet-stream".into());
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        // It came from outside: a browser shall save it, never run it.
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(body.bytes)
}

/// The identity that a path says.
pub(super) fn key(path: Path<(String, String)>) -> EventKey {
    let (source, event_id) = path.into_inner();
    EventKey { source: source.into(), event_id: event_id.into() }
}
