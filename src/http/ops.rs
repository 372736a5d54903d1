//! Liveness, readiness and metrics.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::header;
use actix_web::web::{Data, ServiceConfig, get, head, resource};
use actix_web::{HttpRequest, HttpResponse};

use super::problem::{Problem, method_not_allowed};
use super::receive::READ;
use crate::domain::{Backlog, Clock, Code, Lanes};
use crate::history::{Control, History};
use crate::ingest::Ingest;
use crate::telemetry::{Metrics, Telemetry};

/// Mounts the resources for operations on the admin listener.
pub(super) fn configure(app: &mut ServiceConfig) {
    let read_only = || method_not_allowed(READ);
    app.service(resource("/healthz").to(|request: HttpRequest| async move { healthz(&request) }))
        .service(resource("/readyz").route(get().to(readyz)).route(head().to(readyz)).default_service(read_only()))
        .service(resource("/metrics").route(get().to(metrics)).route(head().to(metrics)).default_service(read_only()));
}

/// What the operations endpoints look at.
pub(super) struct Ops {
    pub(super) ingest: Arc<Ingest>,
    pub(super) history: History,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lanes: Arc<dyn Lanes>,
    pub(super) control: Control,
    /// Destinations that have been shown with a backlog: without one, they are shown with none.
    pub(super) backlogged: Mutex<BTreeSet<Arc<str>>>,
}

impl Ops {
    /// The gauges of what is unfinished. A gauge keeps its value until it is set again, so a destination that has nothing
    /// left must be set as well.
    fn show_backlogs(&self, metrics: &Metrics, backlogs: &[Backlog]) {
        let now = self.clock.now();
        let mut destinations = self.backlogged.lock().unwrap_or_else(PoisonError::into_inner);
        destinations.extend(backlogs.iter().map(|backlog| Arc::clone(&backlog.destination)));
        for destination in &*destinations {
            let backlog = backlogs.iter().find(|backlog| backlog.destination == *destination);
            let pending = backlog.map_or(0, |backlog| backlog.pending);
            let age = backlog.and_then(|backlog| backlog.oldest).map_or(0.0, |oldest| now.since(oldest).as_secs_f64());
            let labels = [("destination", &**destination)];
            metrics.set("onceward_pending_deliveries", &labels, pending as f64);
            metrics.set("onceward_oldest_pending_seconds", &labels, age);
        }
    }
}

impl Ops {
    /// The gauges of how destinations fare.
    fn show_lanes(&self, metrics: &Metrics, paused: &BTreeSet<String>) {
        for lane in self.lanes.states() {
            let labels = [("destination", &*lane.destination)];
            metrics.set("onceward_circuit_open", &labels, f64::from(u8::from(lane.next_probe.is_some())));
            metrics.set("onceward_destination_paused", &labels, f64::from(u8::from(paused.contains(&*lane.destination))));
            metrics.set("onceward_attempts_in_flight", &labels, lane.in_flight as f64);
        }
    }
}

/// The process is alive.
pub(super) fn healthz(request: &HttpRequest) -> HttpResponse {
    if !READ.contains(request.method()) {
        return Problem::new(Code::MethodNotAllowed).allow(READ).response();
    }
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({ "status": "ok" }))
}

/// The process can take events: its store commits.
async fn readyz(ops: Data<Ops>) -> Result<HttpResponse, Problem> {
    ops.ingest.ready().await?;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(serde_json::json!({ "status": "ready" })))
}

/// Everything that is measured, as Prometheus text.
async fn metrics(ops: Data<Ops>) -> Result<HttpResponse, Problem> {
    let metrics = ops.telemetry.metrics();
    let size = ops.history.size().await?;
    metrics.set("onceward_database_bytes", &[], size.database as f64);
    metrics.set("onceward_wal_bytes", &[], size.wal as f64);
    metrics.set("onceward_queue_depth", &[], size.queued as f64);
    let backlogs = ops.history.backlog().await?;
    ops.show_backlogs(metrics, &backlogs);
    ops.show_lanes(metrics, &ops.control.paused().await?);
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(metrics.render()))
}
