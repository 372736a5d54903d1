//! Sources: as configured, without secrets, and what has come to them; and the senders that there are rows for.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::ObjectBuilder;

use super::examples;
use super::operation::Operation;
use crate::config::Source;
use crate::domain::schema::one_of;
use crate::domain::{Clock, Code, ReplayGuard, print_duration};
use crate::history::{History, PageView, SourceStats, Stats};
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
#[derive(Serialize, ToSchema)]
#[schema(as = Source)]
struct View<'s> {
    name: &'s str,
    provider: &'s str,
    /// Where it receives.
    path: String,
    /// The URL that the sender was given, where it is known; without its query, which may be a secret.
    #[schema(required = true)]
    url: Option<&'s str>,
    /// How many secrets it has.
    secrets: usize,
    /// False where nothing is verified.
    verify: bool,
    proved_by: String,
    /// Instead of the row's.
    #[schema(required = true)]
    tolerance: Option<String>,
    max_body: usize,
    /// `500/s`; `null` for any number.
    #[schema(required = true)]
    rate_limit: Option<String>,
    #[schema(schema_with = replay_guards)]
    replay_guard: &'static str,
    /// Whether its events can be found by their words.
    search: bool,
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
            search: source.search,
            stats: stats.sources.get(&*source.name).copied().unwrap_or_default(),
        }
    }

    /// The URLs of the sources, with their providers' names.
    fn urls(&self) -> Vec<(String, String)> {
        let url = |source: &Source| Some((source.provider.name.to_string(), source.url.as_deref()?.split('?').next()?.to_owned()));
        self.configured.iter().filter_map(url).collect()
    }
}

fn replay_guards() -> ObjectBuilder {
    let words = [ReplayGuard::Mark, ReplayGuard::Drop].map(ReplayGuard::as_str);
    one_of(words).description(Some("What becomes of the same content under another ID."))
}

pub(super) fn operations() -> Vec<Operation> {
    let params = BTreeMap::new();
    vec![
        Operation::get("/api/v1/sources", list).called("list_sources", "Sources, and what has come to them").answers::<PageView<View<'_>>>(
            200,
            "All sources.",
            &PageView { data: vec![example()], next: None },
        ),
        Operation::get("/api/v1/sources/{name}", show).called("show_source", "One source, and what has come to it").answers::<View<'_>>(
            200,
            "The source.",
            &example(),
        ),
        Operation::get("/api/v1/providers", providers).called("list_providers", "Senders that there are rows for").answers::<PageView<
            provider::View<'_>,
        >>(
            200,
            "All senders.",
            &PageView { data: vec![sender(&params)], next: None },
        ),
        Operation::get("/api/v1/providers/{name}", provider).called("show_provider", "One sender").answers::<provider::View<'_>>(
            200,
            "The sender.",
            &sender(&params),
        ),
    ]
}

fn example() -> View<'static> {
    View {
        name: "stripe",
        provider: "stripe",
        path: "/hooks/stripe".to_owned(),
        url: Some("https://hooks.example.com/hooks/stripe"),
        secrets: 1,
        verify: true,
        proved_by: "hmac-sha256 in header Stripe-Signature".to_owned(),
        tolerance: None,
        max_body: 10 << 20,
        rate_limit: None,
        replay_guard: ReplayGuard::Mark.as_str(),
        search: true,
        stats: examples::received(),
    }
}

fn sender(params: &BTreeMap<String, String>) -> provider::View<'_> {
    provider::View {
        name: "acme",
        title: "Acme",
        docs: Some("https://docs.acme.example/webhooks"),
        path: "/hooks/acme".to_owned(),
        urls: vec!["https://hooks.example.com/hooks/acme".to_owned()],
        setup: Some("Settings, Webhooks, Add"),
        secret: Some("the signing secret"),
        params,
        url_signed: false,
        proofs: vec!["hmac-sha256 in header X-Acme-Signature over {body}".to_owned()],
        proved_by: "hmac-sha256 in header X-Acme-Signature".to_owned(),
        body_covered: "body",
        fields_covered: Vec::new(),
        tolerance: None,
        event_id: vec!["header:X-Acme-Id".to_owned()],
        event_id_signed: false,
        event_type: &[],
        methods: &[],
        handshakes: Vec::new(),
        answer: "200 and JSON with the event's ID".to_owned(),
        max_body: "10MiB",
        retry: Some("for a day"),
        duplicates_within: Some("1d".to_owned()),
        source: None,
        confidence: None,
        from_memory: &[],
    }
}

/// `GET /api/v1/sources`
pub(super) async fn list(this: Data<Sources>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let stats = history.stats(this.clock.now()).await?;
    let views: Vec<_> = this.configured.iter().map(|source| Sources::view(source, &stats)).collect();
    Ok(HttpResponse::Ok().json(PageView { data: views, next: None }))
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
    HttpResponse::Ok().json(PageView { data: views, next: None })
}

/// `GET /api/v1/providers/{name}`
pub(super) async fn provider(path: Path<String>, this: Data<Sources>) -> Result<HttpResponse, Problem> {
    let provider = this.providers.get(&path).ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(provider::View::from(&**provider).with_urls(&this.urls())))
}
