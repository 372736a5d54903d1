//! What happens, as server-sent events (`text/event-stream`). Each has an ID, by which a client that was cut off goes on: from the
//! feed while that has it, else, for events, from the history, which may tell some of them twice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use serde::Serialize;
use tokio::time::timeout;

use super::operation::Operation;
use super::parameters::{last_event_id, text, word};
use super::params::{Params, invalid};
use crate::domain::{Code, Timestamp};
use crate::feed::{Entry, Feed, Kind, Position, Watcher};
use crate::history::{Cursor, EventFilter, EventView, History};
use crate::http::connections::{Connections, InUse};
use crate::http::problem::Problem;

/// How often a silent stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client is to wait before it comes again.
const RETRY: Duration = Duration::from_secs(2);
/// What is told of twice rather than not at all: an event is told some seconds after it was received, because a key may have to
/// be fetched for it and its commit may take its time; and clocks of processes differ.
const OVERLAP: Duration = Duration::from_secs(30);

/// One piece, as the document shows it.
const EXAMPLE: &str = "event: event\nid: 8f3a1c-11-19b7ca98c88\n\
data: {\"at\":\"2026-01-02T03:04:05.000Z\",\"source\":\"stripe\",\"event_id\":\"evt_1PqR8sTuVw\",\"type\":\"invoice.paid\"}\n\n";

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/stream", stream)
            .called("stream", "What happens, as it happens")
            .explained(
                "Server-sent events `event`, `duplicate`, `rejection` and `attempt`; the `data` of each is a `Happening` in JSON. A silent \
                 stream sends a comment every 15 s.",
            )
            .asks([text("source", "About this source."), word("kind", "Of this kind.", Kind::ALL.map(Kind::as_str)), last_event_id()])
            .streams::<Entry>("The stream.", EXAMPLE),
    ]
}

/// `GET /api/v1/stream`
pub(super) async fn stream(
    request: HttpRequest,
    feed: Data<Feed>,
    history: Data<History>,
    connections: Data<Connections>,
) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let source = params.text("source");
    let kind = params.one_of("kind", &Kind::ALL.map(|kind| (kind.as_str(), kind)))?;
    params.finish()?;
    let from = last_id(&request)?;
    let feed = feed.into_inner();
    let mut watcher = feed.watch(from.unwrap_or_else(|| feed.end())).ok_or_else(too_many)?;
    let missed = from.filter(|_| watcher.is_lost()).map(|from| Missed { since: from.at.minus(OVERLAP), cursor: Cursor::after(0) });
    if missed.is_some() {
        // What is recorded while the history is told is told by both.
        watcher.skip();
    }
    let in_use = connections.into_inner().using(&request);
    let filter = Filter { source, kind };
    let begin = Bytes::from(format!("retry: {}\n\n", RETRY.as_millis()));
    let state = State { watcher, missed, filter, history, ready: VecDeque::from([begin]), _in_use: in_use };
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Proxies that gather answers would hold it back.
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream::unfold(state, |mut state| async move { Some((Ok::<_, Infallible>(state.next().await?), state)) })))
}

fn too_many() -> Problem {
    Problem::new(Code::RateLimited).detail("too many streams are open").retry_after(Some(RETRY))
}

/// Where the client was, by the header that browsers send.
fn last_id(request: &HttpRequest) -> Result<Option<Position>, Problem> {
    let Some(value) = request.headers().get("last-event-id") else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error| invalid("Last-Event-ID", error)) }
}

/// What a client wants to see.
struct Filter {
    source: Option<String>,
    kind: Option<Kind>,
}

impl Filter {
    fn takes(&self, kind: Kind, source: &str) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind) && self.source.as_deref().is_none_or(|wanted| wanted == source)
    }
}

/// What a client has missed that the feed does not have any more.
struct Missed {
    since: Timestamp,
    /// How far it has been told.
    cursor: Cursor,
}

/// A stream under way.
struct State {
    watcher: Watcher,
    missed: Option<Missed>,
    filter: Filter,
    history: Data<History>,
    ready: VecDeque<Bytes>,
    /// The stream is no idle connection.
    _in_use: Option<InUse>,
}

impl State {
    /// The next piece; `None` ends the stream, and the client comes again with its last ID.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(piece);
            }
            if self.missed.is_some() {
                self.catch_up().await?;
                continue;
            }
            match timeout(HEARTBEAT, self.watcher.next()).await {
                Err(_) => return Some(Bytes::from_static(b":\n\n")),
                Ok(Err(_)) => return None,
                Ok(Ok((entry, position))) if self.filter.takes(entry.what.kind(), entry.what.source()) => {
                    return Some(piece(entry.what.kind(), &position, &*entry));
                }
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Tells a page of the events that were missed.
    async fn catch_up(&mut self) -> Option<()> {
        let missed = self.missed.as_mut()?;
        if self.filter.kind.is_some_and(|kind| kind != Kind::Event) {
            self.missed = None;
            return Some(());
        }
        let filter = EventFilter { source: self.filter.source.clone(), since: Some(missed.since), ..EventFilter::default() };
        let (events, end) = self.history.events_after(filter, missed.cursor).await.ok()?;
        if events.is_empty() {
            self.missed = None;
            return Some(());
        }
        missed.cursor = end;
        self.ready.extend(events.iter().map(|event| {
            // Whoever is cut off here comes again for the rest.
            let position = Position::of_the_history(event.received_at);
            piece(Kind::Event, &position, &Told::from(event))
        }));
        Some(())
    }
}

/// An event of the history, as the feed tells it.
#[derive(Serialize)]
struct Told<'e> {
    at: Timestamp,
    source: &'e str,
    event_id: &'e str,
    r#type: Option<&'e str>,
}

impl<'e> From<&'e EventView> for Told<'e> {
    fn from(event: &'e EventView) -> Self {
        Self { at: event.received_at, source: &event.source, event_id: &event.event_id, r#type: event.r#type.as_deref() }
    }
}

fn piece(kind: Kind, position: &Position, data: &impl Serialize) -> Bytes {
    // Names and numbers, which can always be written, and in which no line breaks.
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {}\nid: {position}\ndata: {data}\n\n", kind.as_str()))
}
