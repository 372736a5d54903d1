//! Sources: as configured, without secrets, and what has come to them; and the senders that there are rows for.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;

use crate::config::Source;
use crate::domain::{Clock, Code, print_duration};
use crate::history::{History, SourceStats, Stats};
use crate::http::problem::Problem;
use crate::provider::{self, Table};

/// What the endpoints look at.
pub(in crate::http) struct Sources {
    /// As configured, in the order of the file.
    pub(in crate::http) configured: Vec<Source>,
    /// The senders.
    pub(in crate::http) providers: Arc<Table>,
    /// The time, for what is lately.
    pub(in crate::http) clock: Arc<dyn Clock>,
}

/// A source.
#[derive(Serialize)]
struct View<'s> {
    name: &'s str,
    provider: &'s str,
    /// Where it receives.
    path: String,
    /// The URL that the sender was given, where it is known; without its query, which may be a secret.
    url: Option<&'s str>,
    /// How many secrets it has.
    secrets: usize,
    /// False where nothing is verified.
    verify: bool,
    proved_by: String,
    /// Instead of the row's.
    tolerance: Option<String>,
    max_body: usize,
    /// `500/s`; `null` for any number.
    rate_limit: Option<String>,
    replay_guard: &'static str,
    #[serde(flatten)]
    stats: SourceStats,
}

impl Sources {
    fn view<'s>(source: &'s Source, stats: &Stats) -> View<'s> {
        View {
            name: &source.name,
            provider: &source.provider.name,
            path: format!("/hooks/{}", source.name),
            url: source.url.as_deref().and_then(|url| url.split('?').next()),
            secrets: source.secrets.len(),
            verify: source.verify,
            proved_by: if source.verify { source.provider.summary() } else { "nothing".to_owned() },
            tolerance: source.tolerance.map(print_duration),
            max_body: source.max_body,
            rate_limit: source.rate_limit.map(|rate| rate.to_string()),
            replay_guard: source.replay_guard.as_str(),
            stats: stats.sources.get(&*source.name).copied().unwrap_or_default(),
        }
    }

    /// The URLs of the sources, with their providers' names.
    fn urls(&self) -> Vec<(String, String)> {
        let url = |source: &Source| Some((source.provider.name.to_string(), source.url.as_deref()?.split('?').next()?.to_owned()));
        self.configured.iter().filter_map(url).collect()
    }
}

/// `GET /api/v1/sources`
pub(super) async fn list(this: Data<Sources>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let stats = history.stats(this.clock.now()).await?;
    let views: Vec<_> = this.configured.iter().map(|source| Sources::view(source, &stats)).collect();
    Ok(HttpResponse::Ok().json(serde_json::json!({ "data": views, "next": null })))
}

/// `GET /api/v1/sources/{name}`
pub(super) async fn show(path: Path<String>, this: Data<Sources>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let source = this.configured.iter().find(|source| *source.name == **path).ok_or_else(|| Problem::new(Code::NotFound))?;
    let stats = history.stats(this.clock.now()).await?;
    Ok(HttpResponse::Ok().json(Sources::view(source, &stats)))
}

/// `GET /api/v1/providers`
pub(super) async fn providers(this: Data<Sources>) -> HttpResponse {
    let urls = this.urls();
    let views: Vec<_> = this.providers.iter().map(|provider| provider::View::from(&**provider).with_urls(&urls)).collect();
    HttpResponse::Ok().json(serde_json::json!({ "data": views, "next": null }))
}

/// `GET /api/v1/providers/{name}`
pub(super) async fn provider(path: Path<String>, this: Data<Sources>) -> Result<HttpResponse, Problem> {
    let provider = this.providers.get(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(provider::View::from(&**provider).with_urls(&this.urls())))
}
