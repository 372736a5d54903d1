//! Errors as responses: the one place that does it. Outside goes a stable code and a sentence (RFC 9457); causes, paths and
//! secrets stay inside.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use crate::domain::Code;
use crate::domain::schema::one_of;
use crate::history::StoreError;

/// When to come back after store trouble.
const STORE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    detail: Option<String>,
    retry_after: Option<Duration>,
    allow: Option<String>,
}

/// A refusal, as it is told (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Document<'p> {
    /// The stable code.
    #[schema(schema_with = types)]
    r#type: String,
    /// A sentence for people, the same for all refusals of this code.
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What exactly is wrong, where more can be said.
    #[schema(nullable = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'p str>,
}

impl<'p> Document<'p> {
    pub(super) fn new(code: Code, detail: Option<&'p str>) -> Self {
        Self { r#type: type_of(code), title: code.title(), status: code.status(), detail }
    }
}

fn type_of(code: Code) -> String {
    format!("onceward:{code}")
}

/// All types, for the API's document.
fn types() -> ObjectBuilder {
    let types: Vec<_> = Code::all().map(type_of).collect();
    one_of(types.iter().map(String::as_str)).description(Some("The stable code."))
}

impl Problem {
    pub(super) fn new(code: Code) -> Self {
        Self { code, detail: None, retry_after: None, allow: None }
    }

    /// What exactly is wrong with what the client itself sent.
    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub(super) fn retry_after(self, retry_after: Option<Duration>) -> Self {
        Self { retry_after, ..self }
    }

    pub(super) fn allow(self, methods: &[impl AsRef<str>]) -> Self {
        let methods: Vec<_> = methods.iter().map(AsRef::as_ref).collect();
        Self { allow: Some(methods.join(", ")), ..self }
    }

    pub(super) fn response(&self) -> HttpResponse {
        let document = Document::new(self.code, self.detail.as_deref());
        let mut response = HttpResponse::build(self.status_code());
        response.content_type("application/problem+json");
        if let Some(wait) = self.retry_after {
            // Whole seconds, rounded up: coming back at the time given must not be too early.
            let seconds = wait.as_millis().div_ceil(1_000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|methods| HeaderValue::from_str(methods).ok()) {
            response.insert_header((header::ALLOW, allow));
        }
        // Texts and a number, which can always be written.
        response.body(serde_json::to_vec(&document).unwrap_or_default())
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.code.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

/// The cause stays inside: the store has told it.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match error {
            StoreError::QueueFull => Code::QueueFull,
            StoreError::Unavailable(_) => Code::StoreUnavailable,
        };
        Self::new(code).retry_after(Some(STORE_RETRY_AFTER))
    }
}

/// The answer where nothing is.
pub(super) async fn not_found() -> HttpResponse {
    Problem::new(Code::NotFound).response()
}

/// The answer to a method that a resource does not take.
pub(super) fn method_not_allowed(allowed: impl AsRef<[Method]>) -> actix_web::Route {
    let allowed: Arc<[Method]> = allowed.as_ref().into();
    actix_web::web::to(move || {
        let allowed = Arc::clone(&allowed);
        async move { Problem::new(Code::MethodNotAllowed).allow(&allowed).response() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    #[actix_web::test]
    async fn every_code_is_a_problem_document_with_its_status() {
        for code in Code::all() {
            let response = Problem::new(code).retry_after(Some(Duration::from_millis(1_200))).response();
            assert_eq!(response.status().as_u16(), code.status());
            assert_eq!(response.headers().get(header::CONTENT_TYPE).unwrap(), "application/problem+json");
            assert_eq!(response.headers().get(header::RETRY_AFTER).unwrap(), "2");
            let body = to_bytes(response.into_body()).await.unwrap();
            let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(document["type"], format!("onceward:{code}"));
            assert_eq!(document["status"], code.status());
            assert!(document["title"].is_string());
        }
    }

    #[test]
    fn a_stores_cause_stays_inside() {
        let problem = Problem::from(StoreError::Unavailable("/var/lib/secret.db is locked".into()));
        assert!(!format!("{:?}", problem.response().body()).contains("secret.db"));
        assert_eq!(problem.status_code(), 503);
    }
}
