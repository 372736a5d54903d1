//! The JSON shape of jobs.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use crate::domain::schema::one_of;
use crate::domain::{EventStatus, JobStatus, Timestamp};
use crate::store::{JobRow, Work};

/// A job.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// Its ID.
    pub id: String,
    /// `replay` or `retry`.
    #[schema(schema_with = kinds)]
    pub kind: &'static str,
    /// `running`, `done` or `cancelled`.
    #[schema(value_type = JobStatus)]
    pub status: &'static str,
    /// Which events, or which dead deliveries.
    pub filter: FilterView,
    /// Where events are delivered again; `null` for where the routes say.
    #[schema(required = true)]
    pub destinations: Option<Vec<String>>,
    /// How many a second.
    pub rate: u32,
    /// How many there were when it was asked for.
    pub total: u64,
    /// How many are done.
    pub done: u64,
    /// How many could not be: what they held is no longer stored, or no destination takes them.
    pub failed: u64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(required = true)]
    pub finished_at: Option<Timestamp>,
}

/// What a job is about; what was not asked for is left out.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = JobFilter)]
pub struct FilterView {
    /// Of this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub source: Option<String>,
    /// To this destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub destination: Option<String>,
    /// Of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub r#type: Option<String>,
    /// In this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EventStatus>, nullable = false)]
    pub status: Option<&'static str>,
    /// With this ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event_id: Option<String>,
    /// From then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub since: Option<Timestamp>,
    /// Before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub until: Option<Timestamp>,
}

/// What a job may do, for the API's document.
fn kinds() -> ObjectBuilder {
    one_of(Work::KINDS).description(Some("What it does."))
}

impl From<JobRow> for JobView {
    fn from(row: JobRow) -> Self {
        let kind = row.work.kind();
        let (filter, destinations) = parts(row.work);
        Self {
            id: row.id.to_string(),
            kind,
            status: row.status.as_str(),
            filter,
            destinations,
            rate: row.rate,
            total: row.total,
            done: row.done,
            failed: row.failed,
            created_at: row.created_at,
            finished_at: row.finished_at,
        }
    }
}

fn parts(work: Work) -> (FilterView, Option<Vec<String>>) {
    match work {
        Work::Replay { filter, destinations } => {
            let view = FilterView {
                source: filter.source,
                destination: None,
                r#type: filter.event_type,
                status: filter.status.map(|status| status.as_str()),
                event_id: filter.event_id,
                since: filter.since,
                until: filter.until,
            };
            (view, destinations.map(|names| names.iter().map(ToString::to_string).collect()))
        }
        Work::Retry { filter } => {
            let (since, until) = (filter.since, filter.until);
            (FilterView { source: filter.source, destination: filter.destination, since, until, ..FilterView::default() }, None)
        }
    }
}
