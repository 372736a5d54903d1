//! The public listener's requests: `/hooks/{source}` and below, `/healthz`, and nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::body::{self, Budget};
use super::connections::Connections;
use super::ops;
use super::problem::Problem;
use crate::config::Limits;
use crate::domain::{Code, EventKey, HeaderBuilder, Headers, RawRequest, Reply, print_duration};
use crate::ingest::{Answer, Ingest, Source};

/// What `Retry-After` says when too much is being received.
const BUDGET_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What the public listener works with.
pub(super) struct Public {
    pub(super) ingest: Arc<Ingest>,
    pub(super) limits: Limits,
    /// What all bodies being received may take together.
    pub(super) budget: Budget,
    /// The open connections.
    pub(super) connections: Arc<Connections>,
    /// Cancelled when the program stops: connections are then closed after their answer.
    pub(super) closing: CancellationToken,
}

/// Every request to the public listener.
pub(super) async fn entry(request: HttpRequest, payload: Payload, public: Data<Public>) -> HttpResponse {
    let _in_use = Arc::clone(&public.connections).using(&request);
    let path = request.uri().path();
    if path == "/healthz" {
        return ops::healthz(&request);
    }
    let Some(below) = path.strip_prefix("/hooks/") else { return Problem::new(Code::NotFound).response() };
    let (name, subpath) = below.find('/').map_or((below, ""), |slash| below.split_at(slash));
    let Some(source) = public.ingest.source(name) else {
        public.ingest.unknown_source(name);
        return Problem::new(Code::SourceUnknown).response();
    };
    let mut response = match raw_request(&request, payload, subpath, source, &public).await {
        Ok(raw) => {
            let arrived = Instant::now();
            let answer = public.ingest.receive(source, raw).await;
            let response = respond(source, answer);
            public.ingest.answered(arrived.elapsed());
            response
        }
        Err((code, problem)) => {
            public.ingest.refused_early(source, code, &why(code, &request, source, &public.limits));
            problem.response()
        }
    };
    if public.closing.is_cancelled() {
        response.head_mut().set_connection_type(ConnectionType::Close);
    }
    response
}

async fn raw_request(
    request: &HttpRequest,
    payload: Payload,
    subpath: &str,
    source: &Source,
    public: &Public,
) -> Result<RawRequest, (Code, Problem)> {
    let refuse = |code| (code, Problem::new(code).retry_after((code == Code::QueueFull).then_some(BUDGET_RETRY_AFTER)));
    let methods = &source.verifier.provider().methods;
    if !methods.iter().any(|method| method == request.method().as_str()) {
        return Err((Code::MethodNotAllowed, Problem::new(Code::MethodNotAllowed).allow(methods)));
    }
    let headers = headers(request);
    if headers.encoded().len() > public.limits.headers {
        return Err(refuse(Code::HeadersTooLarge));
    }
    let body = body::read(request, payload, source.max_body, public.limits.body_timeout, &public.budget).await.map_err(refuse)?;
    Ok(RawRequest {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        subpath: subpath.to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
        body,
        received_at: public.ingest.clock().now(),
    })
}

/// Why a request is refused before it is judged, for the log: what came and what is allowed.
fn why(code: Code, request: &HttpRequest, source: &Source, limits: &Limits) -> String {
    match code {
        Code::MethodNotAllowed => format!("{} is not taken", request.method()),
        Code::HeadersTooLarge => format!("more than {} bytes of headers (limits.headers)", limits.headers),
        Code::BodyTooLarge => format!("more than {} bytes of body (max_body of this source)", source.max_body),
        Code::RequestTimeout => format!("the body was not there within {} (limits.body_timeout)", print_duration(limits.body_timeout)),
        Code::QueueFull => format!("{} bytes of bodies are being received already (limits.bodies)", limits.bodies),
        Code::BodyUnreadable => "the body ended before its length".to_owned(),
        _ => String::new(),
    }
}

/// The header fields, encoded once, in the form in which they will be stored.
fn headers(request: &HttpRequest) -> Headers {
    let mut headers = HeaderBuilder::with_capacity(1_024);
    for (name, value) in request.headers() {
        headers.push(name.as_str(), value.as_bytes());
    }
    headers.build()
}

fn respond(source: &Source, answer: Answer) -> HttpResponse {
    match answer {
        Answer::Event { event, fresh } => event_response(source.verifier.provider().answer.as_ref(), &event, fresh),
        Answer::Handshake(reply) => reply_response(&reply),
        Answer::Refused { code, retry_after } => {
            let problem = Problem::new(code).retry_after(retry_after);
            match code {
                Code::MethodNotAllowed => problem.allow(&source.verifier.provider().methods).response(),
                _ => problem.response(),
            }
        }
    }
}

#[derive(Serialize)]
struct EventAnswer<'a> {
    status: &'static str,
    event_id: &'a str,
}

fn event_response(own: Option<&Reply>, event: &EventKey, fresh: bool) -> HttpResponse {
    let status = if fresh { "accepted" } else { "duplicate" };
    let mut response = match own {
        Some(reply) => reply_response(reply),
        None => HttpResponse::Ok().json(EventAnswer { status, event_id: &event.event_id }),
    };
    response.headers_mut().insert(HeaderName::from_static("onceward-status"), HeaderValue::from_static(status));
    response
}

fn reply_response(reply: &Reply) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(reply.status).unwrap_or(actix_web::http::StatusCode::OK);
    let mut response = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    if reply.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case(CONTENT_TYPE.as_str())) {
        return response.no_chunking(reply.body.len() as u64).body(reply.body.clone());
    }
    response.body(reply.body.clone())
}

/// Methods of the health checks.
pub(super) const READ: &[Method] = &[Method::GET, Method::HEAD];
