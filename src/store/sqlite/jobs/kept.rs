//! What a job is to do, as it is kept. Databases hold it: what stands here can be added to, and must be read for ever.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{EventStatus, Timestamp};
use crate::store::{DeliveryFilter, EventFilter, Sought, Work};

/// The columns of a job that say what it does.
pub(super) struct Kept {
    pub(super) kind: i64,
    pub(super) filter: String,
    pub(super) targets: Option<String>,
}

/// Either filter. What is not asked for is left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Filter {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

impl Kept {
    /// To be written.
    pub(super) fn of(work: &Work) -> Self {
        let millis = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        let (kind, filter, targets) = match work {
            Work::Replay { filter, destinations } => {
                let kept = Filter {
                    source: filter.source.clone(),
                    event_type: filter.event_type.clone(),
                    status: filter.status.map(|status| status.as_str().to_owned()),
                    event_id: filter.event_id.clone(),
                    q: filter.q.as_ref().map(|sought| sought.as_str().to_owned()),
                    since: millis(filter.since),
                    until: millis(filter.until),
                    destination: None,
                };
                (0, kept, destinations.as_ref())
            }
            Work::Retry { filter } => {
                let kept = Filter {
                    source: filter.source.clone(),
                    destination: filter.destination.clone(),
                    since: millis(filter.since),
                    until: millis(filter.until),
                    ..Filter::default()
                };
                (1, kept, None)
            }
        };
        let names = |names: &Vec<Arc<str>>| serde_json::Value::from_iter(names.iter().map(|name| &**name)).to_string();
        let filter = serde_json::to_value(filter).unwrap_or_default().to_string();
        Self { kind, filter, targets: targets.map(names) }
    }

    /// As it was written; `None` when this program has not written it.
    pub(super) fn read(&self) -> Option<Work> {
        let kept: Filter = serde_json::from_str(&self.filter).ok()?;
        let time = |at: Option<i64>| at.map(Timestamp::from_millis);
        match self.kind {
            0 => {
                let status = |name: String| EventStatus::ALL.into_iter().find(|status| status.as_str() == name);
                let filter = EventFilter {
                    source: kept.source,
                    event_type: kept.event_type,
                    status: kept.status.map(|name| status(name).ok_or(())).transpose().ok()?,
                    event_id: kept.event_id,
                    q: kept.q.map(|text| Sought::parse(&text)).transpose().ok()?,
                    since: time(kept.since),
                    until: time(kept.until),
                };
                let names = |text: &String| serde_json::from_str::<Vec<String>>(text);
                let names = self.targets.as_ref().map(names).transpose().ok()?;
                let destinations = names.map(|names| names.into_iter().map(Arc::from).collect());
                Some(Work::Replay { filter, destinations })
            }
            1 => {
                let filter = DeliveryFilter {
                    status: None,
                    source: kept.source,
                    destination: kept.destination,
                    since: time(kept.since),
                    until: time(kept.until),
                };
                Some(Work::Retry { filter })
            }
            _ => None,
        }
    }
}
