//! What the domain's words and forms look like in JSON, for the document of the admin API.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{KnownFormat, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::{Code, DeliveryStatus, EventStatus, Headers, JobStatus, RejectionStatus, Timestamp};

/// A text that is one of a few words.
pub fn one_of<'w>(words: impl IntoIterator<Item = &'w str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words))
}

/// Where something stands is told by the names of its states.
macro_rules! named {
    ($($status:ty: $about:literal),+) => {$(
        impl PartialSchema for $status {
            fn schema() -> RefOr<Schema> {
                one_of(Self::ALL.map(Self::as_str)).description(Some($about)).into()
            }
        }
        impl ToSchema for $status {}
    )+};
}

named!(
    EventStatus: "Where an event stands, from its deliveries taken together.",
    DeliveryStatus: "Where a delivery stands.",
    RejectionStatus: "`refused`, or `accepted` once it was verified again and is an event.",
    JobStatus: "Where a job stands."
);

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        one_of(Self::all().map(Self::as_str)).description(Some("Why a request was refused.")).into()
    }
}

impl ToSchema for Code {}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let time = ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        time.description(Some("An instant, RFC 3339 in UTC.")).into()
    }
}

impl ToSchema for Timestamp {}

impl PartialSchema for Headers {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String).build();
        let field = ArrayBuilder::new().items(text()).min_items(Some(2)).max_items(Some(2));
        ArrayBuilder::new().items(field).description(Some("Header fields as `[name, value]`, in their order.")).into()
    }
}

impl ToSchema for Headers {}
