//! One row of the API's table: a method on a path, the handler that answers it, and what the document says of it. What is
//! mounted and what is described come from the same row, so neither can be without the other.

use std::collections::{BTreeMap, BTreeSet};

use actix_web::guard;
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, Responder, Route};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{OperationBuilder, Parameter};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{Content, ContentBuilder, HttpMethod, KnownFormat, Ref, RefOr, Required, ResponseBuilder};

use super::parameters;
use crate::domain::Code;
use crate::http::problem::method_not_allowed;

/// What every request may be refused for, whatever it asks for.
const ANY: &[Code] = &[Code::Unauthorized, Code::RateLimited, Code::StoreUnavailable, Code::QueueFull];
/// What a request for a change may be refused for.
const CHANGE: &[Code] = &[Code::Forbidden];
/// What a request with a body may be refused for.
const BODY: &[Code] = &[Code::BodyUnreadable, Code::BodyTooLarge, Code::RequestTimeout];
/// What a request with an `Idempotency-Key` may be refused for.
const KEYED: &[Code] = &[Code::InvalidParameter, Code::Conflict, Code::IdempotencyKeyInFlight, Code::IdempotencyKeyReused];

/// The type of bytes of which no more is known.
const BYTES: &str = "application/octet-stream";

/// A component's name and its schema.
pub(super) type Named = (String, RefOr<Schema>);

/// An operation of the API.
pub(super) struct Operation {
    pub(super) path: &'static str,
    method: Method,
    route: Route,
    /// Whether its answer has no end, so that it cannot be asked for without its body.
    endless: bool,
    about: OperationBuilder,
    codes: BTreeSet<Code>,
    /// The schemas that it refers to.
    schemas: Vec<Named>,
}

impl Operation {
    /// Something to be read.
    pub(super) fn get<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::GET, path, Route::new().to(handler))
    }

    /// An order.
    pub(super) fn post<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::POST, path, Route::new().to(handler)).takes([parameters::key()]).fails(CHANGE).fails(BODY).fails(KEYED)
    }

    /// Something that is so from then on.
    pub(super) fn put<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::PUT, path, Route::new().to(handler)).fails(CHANGE)
    }

    /// Something that is not so from then on.
    pub(super) fn delete<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(Method::DELETE, path, Route::new().to(handler)).fails(CHANGE)
    }

    fn new(method: Method, path: &'static str, route: Route) -> Self {
        let tag = path.split('/').nth(3).and_then(|part| part.split('.').next()).unwrap_or_default();
        let operation = Self {
            path,
            method,
            route,
            endless: false,
            about: OperationBuilder::new().tag(tag),
            codes: BTreeSet::new(),
            schemas: Vec::new(),
        };
        let in_path = parameters::in_path(path);
        let absent: &[Code] = if in_path.is_empty() { &[] } else { &[Code::NotFound] };
        operation.takes(in_path).fails(ANY).fails(absent)
    }

    /// Its stable name for programs, and what it does in a line.
    pub(super) fn called(self, id: &str, summary: &str) -> Self {
        Self { about: self.about.operation_id(Some(id)).summary(Some(summary)), ..self }
    }

    /// What a line cannot say.
    pub(super) fn explained(self, description: &str) -> Self {
        Self { about: self.about.description(Some(description)), ..self }
    }

    /// Parameters beside those of the path.
    pub(super) fn takes(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        Self { about: parameters.into_iter().fold(self.about, OperationBuilder::parameter), ..self }
    }

    /// Parameters of the query; a wrong one is refused.
    pub(super) fn asks(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.takes(parameters).fails(&[Code::InvalidParameter])
    }

    /// A body of JSON.
    pub(super) fn reads<T: ToSchema>(mut self, required: Required, example: serde_json::Value) -> Self {
        let content = ContentBuilder::new().schema(Some(self.refer::<T>())).example(Some(example));
        let body = RequestBodyBuilder::new().required(Some(required)).content("application/json", content.build());
        Self { about: self.about.request_body(Some(body.build())), ..self }.fails(BODY).fails(&[Code::InvalidParameter])
    }

    /// A body of any type.
    pub(super) fn reads_bytes(self, description: &str) -> Self {
        let body = RequestBodyBuilder::new().description(Some(description)).content(BYTES, bytes()).content("*/*", Content::default());
        Self { about: self.about.request_body(Some(body.build())), ..self }.fails(BODY)
    }

    /// An answer of JSON.
    pub(super) fn answers<T: ToSchema>(mut self, status: u16, description: &str, example: &impl Serialize) -> Self {
        let example = serde_json::to_value(example).ok();
        let content = ContentBuilder::new().schema(Some(self.refer::<T>())).example(example);
        self.answer(status, ResponseBuilder::new().description(description).content("application/json", content.build()))
    }

    /// An answer of bytes of this type.
    pub(super) fn answers_bytes(self, content_type: &str, description: &str) -> Self {
        self.answer(200, ResponseBuilder::new().description(description).content(content_type, bytes()))
    }

    /// An answer of bytes of whatever type they came with: so nothing is said of their form, which may be JSON.
    pub(super) fn answers_what_came(self, description: &str) -> Self {
        let answer = ResponseBuilder::new().description(description);
        self.answer(200, answer.content(BYTES, bytes()).content("*/*", Content::default()))
    }

    /// An answer that goes on: server-sent events, whose data are of this type.
    pub(super) fn streams<T: ToSchema>(mut self, description: &str, example: &str) -> Self {
        self.refer::<T>();
        let text = ObjectBuilder::new().schema_type(Type::String);
        let content = ContentBuilder::new().schema(Some(text)).example(Some(example.into()));
        let answer = ResponseBuilder::new().description(description).content("text/event-stream", content.build());
        Self { endless: true, ..self }.answer(200, answer)
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(self, description: &str) -> Self {
        self.answer(204, ResponseBuilder::new().description(description))
    }

    /// What it may be refused for, beside what goes without saying.
    pub(super) fn fails(mut self, codes: &[Code]) -> Self {
        self.codes.extend(codes);
        self
    }

    fn answer(self, status: u16, response: ResponseBuilder) -> Self {
        Self { about: self.about.response(status.to_string(), response), ..self }
    }

    fn refer<T: ToSchema>(&mut self) -> Ref {
        let name = T::name().into_owned();
        self.schemas.push((name.clone(), T::schema()));
        T::schemas(&mut self.schemas);
        Ref::from_schema_name(name)
    }

    /// For the document: its method, what is said of it, the refusals by their status, and the schemas that it refers to.
    pub(super) fn described(self) -> Described {
        let mut refusals = BTreeMap::<u16, Vec<Code>>::new();
        for code in self.codes {
            refusals.entry(code.status()).or_default().push(code);
        }
        let method = match self.method {
            Method::POST => HttpMethod::Post,
            Method::PUT => HttpMethod::Put,
            Method::DELETE => HttpMethod::Delete,
            _ => HttpMethod::Get,
        };
        Described { path: self.path, method, about: self.about, refusals, schemas: self.schemas }
    }

    /// What it answers to: whatever can be read can be asked for without its body, too.
    fn methods(&self) -> Vec<Method> {
        if self.method == Method::GET && !self.endless { vec![Method::GET, Method::HEAD] } else { vec![self.method.clone()] }
    }

    fn route(self) -> Route {
        if self.methods().contains(&Method::HEAD) {
            self.route.guard(guard::Any(guard::Get()).or(guard::Head()))
        } else {
            self.route.method(self.method)
        }
    }
}

/// What the document takes of an operation.
pub(super) struct Described {
    pub(super) path: &'static str,
    pub(super) method: HttpMethod,
    pub(super) about: OperationBuilder,
    pub(super) refusals: BTreeMap<u16, Vec<Code>>,
    pub(super) schemas: Vec<Named>,
}

/// Mounts operations: a resource for each path, which refuses all other methods.
pub(super) fn mount(app: &mut ServiceConfig, operations: Vec<Operation>) {
    // In this order a path stands before the pattern that would take it, too: letters come before braces.
    let mut resources = BTreeMap::<_, Vec<_>>::new();
    for operation in operations {
        resources.entry(operation.path).or_default().push(operation);
    }
    for (path, operations) in resources {
        let allowed: Vec<_> = operations.iter().flat_map(Operation::methods).collect();
        let resource = web::resource(path).default_service(method_not_allowed(allowed));
        app.service(operations.into_iter().map(Operation::route).fold(resource, actix_web::Resource::route));
    }
}

/// Bytes as they are.
fn bytes() -> Content {
    let binary = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
    Content::new(Some(binary))
}
