//! What people are shown of the API's JSON: the parts that tables have. What a newer server adds is no hindrance.

use serde::Deserialize;
use serde_json::value::RawValue;

/// A page of a list, its rows as they came.
#[derive(Deserialize)]
pub(super) struct Page {
    pub(super) data: Vec<Box<RawValue>>,
    pub(super) next: Option<String>,
}

/// An event; in a list without headers.
#[derive(Deserialize)]
pub(super) struct Event {
    pub(super) source: String,
    pub(super) provider: String,
    pub(super) event_id: String,
    pub(super) r#type: Option<String>,
    pub(super) received_at: String,
    pub(super) status: String,
    pub(super) duplicates: u64,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) headers: Option<Vec<(String, String)>>,
    pub(super) verified_by: String,
    pub(super) same_content_as: Option<String>,
    pub(super) body_differs: bool,
    pub(super) deliveries: Vec<Delivery>,
}

/// A delivery; in a list without attempts.
#[derive(Deserialize)]
pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) event_id: String,
    pub(super) destination: String,
    pub(super) status: String,
    pub(super) attempts: u32,
    pub(super) next_attempt_at: Option<String>,
    pub(super) waits_in_line: bool,
    pub(super) holds_line: bool,
    pub(super) created_at: String,
    pub(super) finished_at: Option<String>,
    pub(super) replay: bool,
    pub(super) last_error: Option<String>,
    #[serde(default)]
    pub(super) history: Vec<Attempt>,
}

/// One attempt.
#[derive(Deserialize)]
pub(super) struct Attempt {
    pub(super) attempt: u32,
    pub(super) at: String,
    pub(super) duration_ms: u64,
    pub(super) status_code: Option<u16>,
    pub(super) error: Option<String>,
}

/// A refused request; in a list without what is kept of it.
#[derive(Deserialize)]
pub(super) struct Rejection {
    pub(super) id: String,
    pub(super) source: String,
    pub(super) received_at: String,
    pub(super) code: String,
    pub(super) diagnosis: String,
    pub(super) status: String,
    pub(super) event_id: Option<String>,
    #[serde(flatten)]
    pub(super) request: Option<Refused>,
}

/// What is kept of a refused request.
#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) size: u64,
}

/// A job over many events or deliveries.
#[derive(Deserialize)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) filter: serde_json::Value,
    pub(super) destinations: Option<Vec<String>>,
    pub(super) rate: u32,
    pub(super) total: u64,
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) created_at: String,
    pub(super) finished_at: Option<String>,
}

/// A row, read from JSON as it came.
pub(super) fn read<'a, T: Deserialize<'a>>(row: &'a RawValue) -> anyhow::Result<T> {
    serde_json::from_str(row.get()).map_err(|error| anyhow::anyhow!("what the server shows is not understood: {error}"))
}
