//! The JSON shape of jobs.

use serde::Serialize;

use crate::domain::Timestamp;
use crate::store::{JobRow, Work};

/// A job.
#[derive(Debug, Serialize)]
pub struct JobView {
    /// Its ID.
    pub id: String,
    /// `replay` or `retry`.
    pub kind: &'static str,
    /// `running`, `done` or `cancelled`.
    pub status: &'static str,
    /// Which events, or which dead deliveries.
    pub filter: FilterView,
    /// Where events are delivered again; `null` for where the routes say.
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
    pub finished_at: Option<Timestamp>,
}

/// What a job is about; what was not asked for is left out.
#[derive(Debug, Default, Serialize)]
pub struct FilterView {
    /// Of this source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// To this destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// Of this type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// In this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<&'static str>,
    /// With this ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// From then on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
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
