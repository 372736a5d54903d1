//! Liveness, readiness and metrics.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::problem::Problem;
use super::receive::READ;
use crate::domain::{Clock, Code};
use crate::history::History;
use crate::ingest::Ingest;
use crate::telemetry::Telemetry;

/// What the operations endpoints look at.
pub(super) struct Ops {
    pub(super) ingest: Arc<Ingest>,
    pub(super) history: History,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Arc<dyn Clock>,
}

/// The process is alive.
pub(super) fn healthz(request: &HttpRequest) -> HttpResponse {
    if !READ.contains(request.method()) {
        return Problem::new(Code::MethodNotAllowed).allow(READ).response();
    }
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({ "status": "ok" }))
}

/// The process can take events: its store commits.
pub(super) async fn readyz(ops: Data<Ops>) -> Result<HttpResponse, Problem> {
    ops.ingest.ready().await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({ "status": "ready" })))
}

/// Everything that is measured, as Prometheus text.
pub(super) async fn metrics(ops: Data<Ops>) -> Result<HttpResponse, Problem> {
    let metrics = ops.telemetry.metrics();
    let size = ops.history.size().await?;
    metrics.set("onceward_database_bytes", &[], size.database as f64);
    metrics.set("onceward_wal_bytes", &[], size.wal as f64);
    metrics.set("onceward_queue_depth", &[], size.queued as f64);
    let now = ops.clock.now();
    for backlog in ops.history.backlog().await? {
        let labels = [("destination", &*backlog.destination)];
        metrics.set("onceward_pending_deliveries", &labels, backlog.pending as f64);
        let age = backlog.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
        metrics.set("onceward_oldest_pending_seconds", &labels, age);
    }
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics.render()))
}
