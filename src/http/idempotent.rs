//! `Idempotency-Key` on the POSTs of the API: the first request with a key is carried out, whatever becomes of its connection,
//! and its answer is kept for those that come later. What decides is `idempotency`.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody, to_bytes};
use actix_web::dev::{self, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{Data, Payload};
use actix_web::{Error, HttpMessage as _, HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;

use super::body::{self, Budget};
use super::problem::Problem;
use crate::domain::Code;
use crate::idempotency::{Answer, Begun, Fingerprint, Idempotency, Key, KeyClaim, NextAction};

/// Where requests may have a key.
const API: &str = "/api/v1/";
/// Its keys are its own.
const NAMESPACE: &str = "api";
const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says of an answer that it was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The claim under which a request is carried out, for a handler whose effect must not be done twice.
pub(super) fn claim(request: &HttpRequest) -> Option<KeyClaim> {
    request.extensions().get::<KeyClaim>().copied()
}

/// Lets through what has no key; else has it carried out once. Stands behind [`super::access::guard`].
pub(super) async fn guard(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let keys = request.app_data::<Data<Idempotency>>().map(|keys| Arc::clone(keys));
    let Some(keys) = keys.filter(|_| request.method() == Method::POST && request.path().starts_with(API)) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let response = match begin(&mut request, &keys).await {
        Ok(None) => return next.call(request).await.map(ServiceResponse::map_into_left_body),
        Ok(Some(NextAction::Start(begun))) => carry_out(request, next, begun).await?,
        Ok(Some(NextAction::Replay(answer))) => request.into_response(replayed(answer)),
        Ok(Some(NextAction::InFlight)) => refuse(request, &Problem::new(Code::IdempotencyKeyInFlight)),
        Ok(Some(NextAction::Reused)) => refuse(request, &Problem::new(Code::IdempotencyKeyReused)),
        Ok(Some(NextAction::Lost)) => refuse(request, &Problem::new(Code::Conflict).detail(LOST)),
        Err(problem) => refuse(request, &problem),
    };
    Ok(response.map_into_right_body())
}

const LOST: &str = "this was carried out, but its answer was not kept: look at what it did, and ask for more under another key";

fn refuse(request: ServiceRequest, problem: &Problem) -> ServiceResponse {
    request.into_response(problem.response())
}

/// Reads the key and, if there is one, the body, which the request has afterwards as before.
async fn begin(request: &mut ServiceRequest, keys: &Idempotency) -> Result<Option<NextAction<Begun>>, Problem> {
    let key = Key::read(request.headers().get_all(KEY).map(HeaderValue::as_bytes));
    let invalid = |error| Problem::new(Code::InvalidParameter).detail(format!("Idempotency-Key: {error}"));
    let Some(key) = key.map_err(invalid)? else { return Ok(None) };
    let body = read(request).await.map_err(Problem::new)?;
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let fingerprint = Fingerprint::of(&[request.method().as_str().as_bytes(), path.as_bytes(), query.as_bytes(), &body]);
    let whole: dev::Payload = dev::Payload::Stream { payload: Box::pin(stream::iter([Ok(body)])) };
    request.set_payload(whole);
    Ok(Some(keys.begin(NAMESPACE, &key, fingerprint).await?))
}

async fn read(request: &mut ServiceRequest) -> Result<Bytes, Code> {
    let payload = request.extract::<Payload>().await.map_err(|_| Code::BodyUnreadable)?;
    body::read(request.request(), payload, body::MAX_ORDER, body::ORDER_TIMEOUT, &Budget::new(body::MAX_ORDER)).await
}

/// In a task of its own: a client that goes away comes back with its key, and is then to find the answer.
async fn carry_out(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    begun: Begun,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let task = actix_web::rt::spawn(async move {
        request.extensions_mut().insert(begun.claim());
        let (request, response) = next.call(request).await?.into_parts();
        let (head, body) = response.into_parts();
        let Ok(body) = to_bytes(body).await else {
            return Ok(ServiceResponse::new(request, HttpResponse::InternalServerError().finish()));
        };
        let headers = head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        // Where it cannot be kept, the store has told why; the client shall have it all the same.
        let _ = begun.end(Answer { status: head.status().as_u16(), headers, body: body.clone() }).await;
        Ok(ServiceResponse::new(request, head.set_body(body).map_into_boxed_body()))
    });
    task.await.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The program stops.
        Err(_) => Err(Problem::new(Code::StoreUnavailable).into()),
    })
}

fn replayed(answer: Answer) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
    for (name, value) in answer.headers.iter() {
        response.append_header((name, value));
    }
    response.insert_header((REPLAYED, HeaderValue::from_static("true")));
    response.body(answer.body)
}
