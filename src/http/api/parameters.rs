//! Parameters, as the document describes them.

use utoipa::PartialSchema as _;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::domain::schema::one_of;
use crate::domain::{MAX_EVENT_ID, Timestamp};
use crate::history::{DEFAULT_LIMIT, MAX_LIMIT};
use crate::idempotency::MAX_KEY;

/// The form of cursors: eight bytes in Base64, whose last character has two bits to spare.
const CURSOR: &str = "^[A-Za-z0-9_-]{10}[AEIMQUYcgkosw048]$";

/// A text in the query.
pub(super) fn text(name: &str, about: &str) -> Parameter {
    query(name, about).schema(Some(string())).build()
}

/// A text of so many bytes at most.
pub(super) fn short(name: &str, about: &str, most: usize) -> Parameter {
    query(name, about).schema(Some(string().max_length(Some(most)))).build()
}

/// One of a few words in the query.
pub(super) fn word<'w>(name: &str, about: &str, words: impl IntoIterator<Item = &'w str>) -> Parameter {
    query(name, about).schema(Some(one_of(words))).build()
}

/// From when and until when.
pub(super) fn window() -> [Parameter; 2] {
    let time = |name, about| query(name, about).schema(Some(Timestamp::schema())).build();
    [time("since", "From this time on."), time("until", "Before this time.")]
}

/// Which part of a list.
pub(super) fn paging() -> [Parameter; 3] {
    let number = ObjectBuilder::new().schema_type(Type::Integer).default(Some(DEFAULT_LIMIT.into()));
    let limit = number.minimum(Some(1)).maximum(Some(MAX_LIMIT));
    [
        query("limit", "How many rows at most.").schema(Some(limit)).build(),
        query("cursor", "Where to go on: `next` of the page before, as it is.").schema(Some(string().pattern(Some(CURSOR)))).build(),
        query("order", "Newest first, or oldest first.").schema(Some(one_of(["desc", "asc"]).default(Some("desc".into())))).build(),
    ]
}

/// The key of a request, bare or in quotes.
pub(super) fn key() -> Parameter {
    let about = "A retry with the same key gets the first one's answer and `Idempotent-Replayed: true`, and nothing is done twice.";
    let bare = format!("[!#-~]([ -~]{{0,{}}}[!-~])?", MAX_KEY - 2);
    let quoted = format!(r#""[ !#-\[\]-~]{{1,{MAX_KEY}}}""#);
    header("Idempotency-Key", about, string().pattern(Some(format!("^({bare}|{quoted})$"))))
}

/// Where a stream goes on.
pub(super) fn last_event_id() -> Parameter {
    header("Last-Event-ID", "Goes on behind this one: the `id` of the last event that came.", string())
}

fn header(name: &str, about: &str, schema: ObjectBuilder) -> Parameter {
    let header = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Header).required(Required::False);
    header.description(Some(about)).schema(Some(schema)).build()
}

/// The names in the braces of a path.
pub(super) fn in_path(path: &str) -> Vec<Parameter> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).map(named).collect()
}

fn named(name: &str) -> Parameter {
    let (about, schema) = match name {
        "source" => ("The source's name.", string().min_length(Some(1))),
        "event_id" => ("The event's ID: the sender's own.", string().min_length(Some(1)).max_length(Some(MAX_EVENT_ID))),
        "id" => ("The ID.", string().min_length(Some(1))),
        _ => ("The name.", string().min_length(Some(1))),
    };
    let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
    parameter.description(Some(about)).schema(Some(schema)).build()
}

fn query(name: &str, about: &str) -> ParameterBuilder {
    ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False).description(Some(about))
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}
