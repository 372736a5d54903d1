//! Examples for the document, made of the types that are answered, so that they cannot be of another form.

use crate::domain::{Code, DeliveryStatus, EventStatus, Headers, JobStatus, RejectionStatus, Timestamp};
use crate::history::{AttemptView, AuditView, Cursor, DeliveryView, EventView, PageView, RefusedView, RejectionView, SourceStats, Volume};
use crate::replay::{DEFAULT_RATE, FilterView, JobView, Work};

/// When the examples happen: 2026-01-02T03:04:05Z and after.
pub(super) const fn at(later: i64) -> Timestamp {
    Timestamp::from_millis(1_767_323_045_000 + later)
}

/// A page of this row, which has a next one.
pub(super) fn page<T>(row: T) -> PageView<T> {
    PageView { data: vec![row], next: Some(Cursor::after(42)) }
}

/// An event that was delivered at the second attempt.
pub(super) fn event() -> EventView {
    EventView { headers: Some(Some(headers())), deliveries: vec![delivery()], ..listed_event() }
}

/// As in a list.
pub(super) fn listed_event() -> EventView {
    EventView {
        source: "stripe".to_owned(),
        provider: "stripe".to_owned(),
        event_id: "evt_1PqR8sTuVw".to_owned(),
        r#type: Some("invoice.paid".to_owned()),
        received_at: at(0),
        status: EventStatus::Delivered.as_str(),
        duplicates: 1,
        last_duplicate_at: Some(at(60_000)),
        size: 1_532,
        content_type: Some("application/json".to_owned()),
        headers: None,
        item_ids: Vec::new(),
        verified_by: "secret:1".to_owned(),
        same_content_as: None,
        body_differs: false,
        deliveries: vec![listed_delivery()],
    }
}

/// A delivery with its attempts.
pub(super) fn delivery() -> DeliveryView {
    let attempt = AttemptView { attempt: 1, at: at(5), duration_ms: 12, status_code: Some(200), error: None, response: None };
    let failed = AttemptView { status_code: Some(500), error: Some("status 500".to_owned()), response: Some("oops".to_owned()), ..attempt };
    let taken =
        AttemptView { attempt: 2, at: at(4_300), duration_ms: 9, status_code: Some(200), error: None, response: Some("ok".to_owned()) };
    DeliveryView { history: Some(vec![failed, taken]), ..listed_delivery() }
}

/// As in a list.
pub(super) fn listed_delivery() -> DeliveryView {
    DeliveryView {
        id: "17".to_owned(),
        source: "stripe".to_owned(),
        event_id: "evt_1PqR8sTuVw".to_owned(),
        destination: "ledger".to_owned(),
        status: DeliveryStatus::Delivered.as_str(),
        attempts: 2,
        next_attempt_at: None,
        waits_in_line: false,
        holds_line: false,
        created_at: at(0),
        finished_at: Some(at(4_309)),
        replay: false,
        last_error: Some("status 500".to_owned()),
        history: None,
    }
}

/// A refused request, with what is kept of it.
pub(super) fn rejection() -> RejectionView {
    let request =
        RefusedView { method: "POST".to_owned(), path: "/hooks/stripe".to_owned(), query: String::new(), headers: headers(), size: 1_532 };
    RejectionView { request: Some(request), ..listed_rejection() }
}

/// As in a list.
pub(super) fn listed_rejection() -> RejectionView {
    RejectionView {
        id: "3".to_owned(),
        source: "stripe".to_owned(),
        received_at: at(0),
        code: Code::SignatureMismatch.as_str(),
        diagnosis: "the signature holds for none of the source's secrets".to_owned(),
        status: RejectionStatus::Refused.as_str(),
        event_id: None,
        request: None,
    }
}

/// A job under way.
pub(super) fn job() -> JobView {
    JobView {
        id: "5".to_owned(),
        kind: Work::KINDS[0],
        status: JobStatus::Running.as_str(),
        filter: FilterView { source: Some("stripe".to_owned()), since: Some(at(-86_400_000)), ..FilterView::default() },
        destinations: None,
        rate: DEFAULT_RATE,
        total: 1_200,
        done: 300,
        failed: 0,
        created_at: at(0),
        finished_at: None,
    }
}

/// A row of the trail.
pub(super) fn audit() -> AuditView {
    AuditView {
        id: "8".to_owned(),
        at: at(0),
        actor: "operator".to_owned(),
        client: Some("192.0.2.7".to_owned()),
        method: "POST".to_owned(),
        path: "/api/v1/deliveries/17/retry".to_owned(),
        status: Some(200),
    }
}

/// What has come to a source.
pub(super) fn received() -> SourceStats {
    SourceStats {
        total: Volume { events: 1_204, duplicates: 31, rejections: 2, bytes: 1_890_112 },
        last_24h: Volume { events: 96, duplicates: 3, rejections: 0, bytes: 150_720 },
        events_per_minute: 0.05,
    }
}

fn headers() -> Headers {
    let fields = [("content-type", "application/json"), ("stripe-signature", "t=1767323045,v1=5f1c")];
    fields.into_iter().map(|(name, value)| (name, value.as_bytes())).collect()
}
