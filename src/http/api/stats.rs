//! Counts, rates and lags of everything, at one glance.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use super::examples;
use super::operation::Operation;
use super::sources::Sources;
use crate::domain::{Backlog, Timestamp};
use crate::history::{History, SourceStats};
use crate::http::problem::Problem;

/// All of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Stats)]
struct View<'s> {
    at: Timestamp,
    /// What has come in.
    received: SourceStats,
    deliveries: Deliveries,
    sources: Vec<SourceView<'s>>,
    /// Those that have anything unfinished.
    destinations: Vec<DestinationView<'s>>,
    /// Operations that wait to be committed.
    queue_depth: u64,
    database_bytes: u64,
    wal_bytes: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryStats)]
struct Deliveries {
    pending: u64,
    dead: u64,
    #[serde(flatten)]
    lag: Lag,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SourceStats)]
struct SourceView<'s> {
    name: &'s str,
    #[serde(flatten)]
    received: SourceStats,
}

#[derive(Serialize, ToSchema)]
#[schema(as = DestinationStats)]
struct DestinationView<'s> {
    name: &'s str,
    pending: u64,
    #[serde(flatten)]
    lag: Lag,
}

impl<'s> DestinationView<'s> {
    fn of(backlog: &'s Backlog, now: Timestamp) -> Self {
        Self { name: &backlog.destination, pending: backlog.pending, lag: Lag::of(backlog.oldest, now) }
    }
}

/// How far behind.
#[derive(Serialize, ToSchema)]
struct Lag {
    #[schema(required = true)]
    oldest_pending_at: Option<Timestamp>,
    /// Its age; nothing where nothing is unfinished.
    #[schema(required = true)]
    lag_seconds: Option<f64>,
}

impl Lag {
    fn of(oldest: Option<Timestamp>, now: Timestamp) -> Self {
        Self { oldest_pending_at: oldest, lag_seconds: oldest.map(|at| now.since(at).as_secs_f64()) }
    }
}

pub(super) fn operations() -> Vec<Operation> {
    let lag = || Lag { oldest_pending_at: Some(examples::at(0)), lag_seconds: Some(1.5) };
    let example = View {
        at: examples::at(1_500),
        received: examples::received(),
        deliveries: Deliveries { pending: 3, dead: 0, lag: lag() },
        sources: vec![SourceView { name: "stripe", received: examples::received() }],
        destinations: vec![DestinationView { name: "ledger", pending: 3, lag: lag() }],
        queue_depth: 0,
        database_bytes: 4_182_016,
        wal_bytes: 32_768,
    };
    vec![Operation::get("/api/v1/stats", show).called("show_stats", "Counts, rates and lags of everything").answers::<View<'_>>(
        200,
        "All of it.",
        &example,
    )]
}

/// `GET /api/v1/stats`
pub(super) async fn show(this: Data<Sources>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let now = this.clock.now();
    let (stats, backlogs, size) = (history.stats(now).await?, history.backlog().await?, history.size().await?);
    let source = |name| SourceView { name, received: stats.sources.get(name).copied().unwrap_or_default() };
    let oldest = backlogs.iter().filter_map(|backlog| backlog.oldest).min();
    let pending = backlogs.iter().map(|backlog| backlog.pending).sum();
    Ok(HttpResponse::Ok().json(View {
        at: now,
        received: stats.all,
        deliveries: Deliveries { pending, dead: stats.dead, lag: Lag::of(oldest, now) },
        sources: this.configured.iter().map(|configured| source(&configured.name)).collect(),
        destinations: backlogs.iter().map(|backlog| DestinationView::of(backlog, now)).collect(),
        queue_depth: size.queued,
        database_bytes: size.database,
        wal_bytes: size.wal,
    }))
}
