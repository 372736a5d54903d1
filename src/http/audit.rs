//! The audit trail: whatever changes something is noted before it is done, and its answer behind it.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _};

use super::access::Caller;
use super::problem::Problem;
use crate::history::{Asked, Trail};

/// The longest path that is noted whole, in bytes.
const MOST_BYTES: usize = 4_096;

/// Notes what asks for a change.
pub(super) async fn trail(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let Some(trail) = request.app_data::<Data<Trail>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let id = match trail.ask(asked(&request)).await {
        Ok(id) => id,
        Err(error) => return Ok(request.into_response(Problem::from(error).response()).map_into_right_body()),
    };
    let answer = next.call(request).await;
    let status = match &answer {
        Ok(answer) => answer.status(),
        Err(error) => error.as_response_error().status_code(),
    };
    if let Err(error) = trail.answer(id, status.as_u16()).await {
        tracing::warn!(audit.id = id, status = status.as_u16(), cause = %error, "the audit trail does not say what became of a request");
    }
    answer.map(ServiceResponse::map_into_left_body)
}

fn asked(request: &ServiceRequest) -> Asked {
    let caller = request.extensions().get::<Caller>().map(|caller| caller.name.to_string());
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    Asked {
        actor: caller.unwrap_or_default(),
        client: request.peer_addr().map(|address| address.ip().to_string()),
        method: request.method().to_string(),
        path: path.chars().take(MOST_BYTES).collect(),
    }
}
