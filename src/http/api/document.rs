//! The API's own description, OpenAPI 3.1, made from the table of operations and the types that are answered.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data};
use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::info::LicenseBuilder;
use utoipa::openapi::schema::{AdditionalProperties, AnyOfBuilder, ComponentsBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ContentBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, ResponseBuilder};
use utoipa::{PartialSchema, ToSchema};

use super::operation::{Described, Operation};
use crate::domain::Code;
use crate::http::problem::Document as ProblemDocument;

/// What is said of the whole.
const ABOUT: &str = "What Onceward has received, refused and delivered, and what an operator can do about it.\n\n\
Times are RFC 3339 in UTC. Lists come in pages, newest first: `next` is the `cursor` of the next page, `null` on the last; a page \
that took long to look for may have fewer rows than asked for. An unknown parameter is an error; a text that is empty counts as left \
out. In a path, IDs and names are percent-encoded. What can be read with GET can be asked for with HEAD. Errors are problem \
documents (RFC 9457), whose `type` is a stable code. Answers may get further \
fields.\n\nWhere no token is configured, the API is open to programs of the same machine.";

/// The groups of operations.
const TAGS: &[(&str, &str)] = &[
    ("events", "What was verified and came first."),
    ("deliveries", "One event due at one destination."),
    ("replays", "Jobs that deliver many events again."),
    ("rejections", "Requests that were refused."),
    ("sources", "Where events come in."),
    ("destinations", "Where events go."),
    ("providers", "How senders sign."),
    ("stats", "Counts, rates and lags."),
    ("stream", "What happens, as it happens."),
    ("audit", "Who asked for which change."),
    ("openapi", "This document."),
];

/// The document, as it is sent.
pub(super) struct Document(Bytes);

/// `GET /api/v1/openapi.json`
pub(super) async fn show(document: Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}

/// The row for the document itself.
pub(super) fn operations() -> Vec<Operation> {
    let example = json!({ "openapi": "3.1.0" });
    vec![Operation::get("/api/v1/openapi.json", show).called("show_openapi", "This document").answers::<Any>(200, "The document", &example)]
}

/// An OpenAPI document, whose form others define.
struct Any;

impl PartialSchema for Any {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .property("openapi", ObjectBuilder::new().schema_type(Type::String))
            .required("openapi")
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
            .into()
    }
}

impl ToSchema for Any {
    fn name() -> std::borrow::Cow<'static, str> {
        "OpenApi".into()
    }
}

impl Document {
    /// Describes these operations.
    pub(super) fn of(operations: Vec<Operation>) -> Self {
        // Names, texts and numbers, which can always be written.
        let mut text = assemble(operations).to_pretty_json().unwrap_or_default();
        text.push('\n');
        Self(text.into())
    }
}

fn assemble(operations: Vec<Operation>) -> OpenApi {
    let mut paths = Paths::new();
    let mut schemas = vec![(ProblemDocument::name().into_owned(), ProblemDocument::schema())];
    let mut responses = BTreeMap::new();
    for operation in operations {
        let Described { path, method, mut about, refusals, schemas: more } = operation.described();
        for (status, codes) in refusals {
            let name = codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(".");
            about = about.response(status.to_string(), Ref::from_response_name(&name));
            responses.entry(name).or_insert_with(|| refusal(status, &codes));
        }
        paths.add_path_operation(path, vec![method], about);
        schemas.extend(more);
    }
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("A token of the section `[admin]`."));
    let components = ComponentsBuilder::new()
        .schemas_from_iter(schemas.into_iter().map(|(name, schema)| (name, any_of(schema))))
        .responses_from_iter(responses)
        .security_scheme("bearer", SecurityScheme::Http(bearer.build()));
    let tags = TAGS.iter().map(|(name, about)| TagBuilder::new().name(*name).description(Some(*about)).build());
    OpenApiBuilder::new()
        .info(InfoBuilder::new().title("Onceward").version("1").description(Some(ABOUT)).license(Some(licence())))
        .tags(Some(tags))
        .paths(paths)
        .components(Some(components.build()))
        .security(Some([SecurityRequirement::new("bearer", [""; 0])]))
        .build()
}

fn licence() -> License {
    LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()
}

/// The answer of a status, which may have several codes.
fn refusal(status: u16, codes: &[Code]) -> ResponseBuilder {
    let sentences: Vec<_> = codes.iter().map(|code| format!("{} (`onceward:{code}`).", code.title())).collect();
    let example = |code: &Code| (code.as_str(), ExampleBuilder::new().value(serde_json::to_value(ProblemDocument::new(*code, None)).ok()));
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(ProblemDocument::name()))).examples_from_iter(codes.iter().map(example));
    let response = ResponseBuilder::new().description(sentences.join(" ")).content("application/problem+json", content.build());
    let header = |kind, about: &str| HeaderBuilder::new().schema(Some(ObjectBuilder::new().schema_type(kind))).description(Some(about));
    match status {
        401 => response.header("WWW-Authenticate", header(Type::String, "That a bearer token is needed.").build()),
        429 | 503 => response.header("Retry-After", header(Type::Integer, "After how many seconds to come again.").build()),
        _ => response,
    }
}

/// Happenings are told apart by the name of the server-sent event and not by their fields, of which one kind may have all those of
/// another: so a schema of their kinds says "any of" and not "one of".
fn any_of(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::OneOf(one)) if one.items.len() > 1 => {
            let any = one.items.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item);
            any.description(one.description).into()
        }
        other => other,
    }
}
