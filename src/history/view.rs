//! The JSON shapes of events, deliveries and rejections: the same in the API, the command line and, later, the library.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::cursor::Cursor;
use crate::domain::{Code, DeliveryStatus, EventStatus, Headers, RejectionStatus, Timestamp};
use crate::store::{AttemptRow, DeliveryRow, EventRow, RejectionRow};

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct PageView<T> {
    /// The rows.
    pub data: Vec<T>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<Cursor>,
}

/// By hand, because a page of each kind needs a name of its own.
impl<T: ToSchema> PartialSchema for PageView<T> {
    fn schema() -> RefOr<Schema> {
        let rows = ArrayBuilder::new().items(Ref::from_schema_name(T::name())).description(Some("The rows."));
        let next = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
        let next = next.description(Some("The `cursor` of the next page; `null` on the last."));
        ObjectBuilder::new().property("data", rows).required("data").property("next", next).required("next").into()
    }
}

impl<T: ToSchema> ToSchema for PageView<T> {
    fn name() -> Cow<'static, str> {
        format!("{}Page", T::name()).into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((T::name().into_owned(), T::schema()));
        T::schemas(schemas);
    }
}

impl<T> PageView<T> {
    /// From up to `limit + 1` rows with their numbers: the row too many only tells that there is a next page.
    pub(crate) fn cut(mut rows: Vec<(i64, T)>, limit: usize) -> Self {
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|(number, _)| Cursor::after(*number));
        Self { data: rows.into_iter().map(|(_, view)| view).collect(), next }
    }
}

/// An event.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub struct EventView {
    /// The source's name.
    pub source: String,
    /// The provider's name.
    pub provider: String,
    /// The sender's ID.
    pub event_id: String,
    /// The type; `None` when the sender names none.
    #[schema(required = true)]
    pub r#type: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
    /// `dead`, `failing`, `pending`, `delivered`, `cancelled` or `unrouted`.
    #[schema(value_type = EventStatus)]
    pub status: &'static str,
    /// How many duplicates came after it.
    pub duplicates: u64,
    /// When the last of them came.
    #[schema(required = true)]
    pub last_duplicate_at: Option<Timestamp>,
    /// The body's size in bytes.
    pub size: u64,
    /// The body's `Content-Type`.
    #[schema(required = true)]
    pub content_type: Option<String>,
    /// The sender's headers as `[name, value]`; left out of lists, `null` once pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Headers>, required = false)]
    pub headers: Option<Option<Headers>>,
    /// The IDs of the items, where the request brought several with IDs of their own; left out of lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub item_ids: Vec<String>,
    /// How it was proved, by position: `secret:1`.
    pub verified_by: String,
    /// The ID of an earlier event with the same content; `null` when there was none, or none that is looked for.
    #[schema(required = true)]
    pub same_content_as: Option<String>,
    /// Whether a duplicate came with other content.
    pub body_differs: bool,
    /// Its deliveries, oldest first.
    pub deliveries: Vec<DeliveryView>,
}

impl EventView {
    /// As in a list: no headers, no attempts.
    pub(super) fn listed(deliveries: Vec<DeliveryRow>, row: EventRow) -> Self {
        let deliveries = deliveries.into_iter().map(DeliveryView::listed).collect();
        Self::new(row, None, deliveries)
    }

    /// Alone: with headers and attempts.
    pub(super) fn whole(deliveries: Vec<DeliveryRow>, mut row: EventRow) -> Self {
        let headers = row.headers.take();
        let deliveries = deliveries.into_iter().map(DeliveryView::whole).collect();
        Self::new(row, Some(headers), deliveries)
    }

    fn new(row: EventRow, headers: Option<Option<Headers>>, deliveries: Vec<DeliveryView>) -> Self {
        Self {
            source: row.key.source.to_string(),
            provider: row.provider,
            event_id: row.key.event_id.to_string(),
            r#type: Some(row.event_type).filter(|name| !name.is_empty()),
            received_at: row.received_at,
            status: row.status.as_str(),
            duplicates: row.duplicates,
            last_duplicate_at: row.last_duplicate_at,
            size: row.size,
            content_type: row.content_type,
            headers,
            item_ids: row.item_ids,
            verified_by: row.verified_by,
            same_content_as: row.same_content_as,
            body_differs: row.body_differs,
            deliveries,
        }
    }
}

/// A delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// Its ID.
    pub id: String,
    /// The source of its event.
    pub source: String,
    /// Its event's ID.
    pub event_id: String,
    /// The destination's name.
    pub destination: String,
    /// `pending`, `delivered`, `dead` or `cancelled`.
    #[schema(value_type = DeliveryStatus)]
    pub status: &'static str,
    /// Attempts begun.
    pub attempts: u32,
    /// When the next attempt is due; `null` while one runs, while another stands before it in its order, and after the end.
    #[schema(required = true)]
    pub next_attempt_at: Option<Timestamp>,
    /// Whether another one has to come to its end before this one is due.
    pub waits_in_line: bool,
    /// Whether it is dead and those behind it in its order wait.
    pub holds_line: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(required = true)]
    pub finished_at: Option<Timestamp>,
    /// Whether an operator asked for it again.
    pub replay: bool,
    /// Why the last failed attempt failed.
    #[schema(required = true)]
    pub last_error: Option<String>,
    /// Its attempts, oldest first; left out of lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub history: Option<Vec<AttemptView>>,
}

impl DeliveryView {
    /// As in a list: no attempts.
    pub(crate) fn listed(row: DeliveryRow) -> Self {
        Self {
            id: row.id.to_string(),
            source: row.event.source.to_string(),
            event_id: row.event.event_id.to_string(),
            destination: row.destination,
            status: row.status.as_str(),
            attempts: row.attempts,
            next_attempt_at: row.next_attempt_at,
            waits_in_line: row.waits_in_line,
            holds_line: row.holds_line,
            created_at: row.created_at,
            finished_at: row.finished_at,
            replay: row.replay,
            last_error: row.last_error,
            history: None,
        }
    }

    /// Alone: with attempts.
    pub(super) fn whole(mut row: DeliveryRow) -> Self {
        let history = std::mem::take(&mut row.history).into_iter().map(AttemptView::from).collect();
        Self { history: Some(history), ..Self::listed(row) }
    }
}

/// One attempt.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// The destination's HTTP status, when it gave one.
    #[schema(required = true)]
    pub status_code: Option<u16>,
    /// Why it failed, if it did.
    #[schema(required = true)]
    pub error: Option<String>,
    /// The beginning of the destination's answer; bytes that are not UTF-8 are replaced.
    #[schema(required = true)]
    pub response: Option<String>,
}

impl From<AttemptRow> for AttemptView {
    fn from(row: AttemptRow) -> Self {
        Self {
            attempt: row.number,
            at: row.attempt.at,
            duration_ms: u64::try_from(row.attempt.duration.as_millis()).unwrap_or(u64::MAX),
            status_code: row.attempt.status_code,
            error: row.attempt.error,
            response: row.attempt.response.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

/// A refused request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Rejection)]
pub struct RejectionView {
    /// Its ID.
    pub id: String,
    /// The source it was sent to.
    pub source: String,
    /// When it arrived.
    pub received_at: Timestamp,
    /// The refusal's code.
    #[schema(value_type = Code)]
    pub code: &'static str,
    /// The explanation.
    pub diagnosis: String,
    /// `refused`, or `accepted` once it was verified again.
    #[schema(value_type = RejectionStatus)]
    pub status: &'static str,
    /// The event it became, once accepted.
    #[schema(required = true)]
    pub event_id: Option<String>,
    /// What is kept of the request; left out of lists.
    #[schema(value_type = RefusedView)]
    #[serde(flatten)]
    pub request: Option<RefusedView>,
}

/// What is kept of a refused request, beside its body.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RefusedRequest)]
pub struct RefusedView {
    /// The method.
    #[schema(required = false)]
    pub method: String,
    /// The path.
    #[schema(required = false)]
    pub path: String,
    /// The query, without static credentials.
    #[schema(required = false)]
    pub query: String,
    /// The sender's headers as `[name, value]`, without static credentials.
    #[schema(required = false)]
    pub headers: Headers,
    /// The body's size in bytes.
    #[schema(required = false)]
    pub size: u64,
}

impl From<RejectionRow> for RejectionView {
    fn from(row: RejectionRow) -> Self {
        let status = if row.event_id.is_some() { RejectionStatus::Accepted } else { RejectionStatus::Refused };
        let request = row.request.map(|request| RefusedView {
            method: request.method,
            path: format!("/hooks/{}{}", row.source, request.subpath),
            query: request.query,
            headers: request.headers,
            size: request.size,
        });
        Self {
            id: row.id.to_string(),
            source: row.source,
            received_at: row.received_at,
            code: row.code.as_str(),
            diagnosis: row.diagnosis,
            status: status.as_str(),
            event_id: row.event_id,
            request,
        }
    }
}
