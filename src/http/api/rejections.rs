//! The rejection log: what is in it, and verifying it again.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::events;
use super::params::{Params, invalid};
use crate::domain::{Code, RejectionStatus};
use crate::history::{History, RejectionFilter, RejectionView};
use crate::http::body::{self, Budget, ORDER_TIMEOUT};
use crate::http::problem::Problem;
use crate::ingest::Ingest;

/// The largest body of a request that says which rejections are meant.
const MAX_BODY: usize = 16 << 10;

/// `GET /api/v1/rejections`
pub(super) async fn list(request: HttpRequest, history: Data<History>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let codes: Vec<_> = Code::all().map(|code| (code.as_str(), code)).collect();
    let filter = RejectionFilter {
        source: params.text("source"),
        code: params.one_of("code", &codes)?,
        status: params.one_of("status", &RejectionStatus::ALL.map(|status| (status.as_str(), status)))?,
        since: params.time("since")?,
        until: params.time("until")?,
    };
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(history.rejections(filter, paging).await?))
}

/// `GET /api/v1/rejections/{id}`
pub(super) async fn show(path: Path<String>, history: Data<History>) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(one(&history, id(&path)?).await?))
}

/// `GET /api/v1/rejections/{id}/body`
pub(super) async fn body(path: Path<String>, history: Data<History>) -> Result<HttpResponse, Problem> {
    Ok(events::raw(history.rejection_body(id(&path)?).await?.ok_or_else(|| Problem::new(Code::NotFound))?))
}

/// `POST /api/v1/rejections/{id}/reverify`
pub(super) async fn reverify(path: Path<String>, ingest: Data<Ingest>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    match ingest.reverify(id).await? {
        true => Ok(HttpResponse::Ok().json(one(&history, id).await?)),
        false => Err(Problem::new(Code::NotFound)),
    }
}

/// Which rejections are meant; all of them where it says nothing.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    source: Option<String>,
}

/// `POST /api/v1/rejections/reverify`
pub(super) async fn reverify_all(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> Result<HttpResponse, Problem> {
    let body = body::read(&request, payload, MAX_BODY, ORDER_TIMEOUT, &Budget::new(MAX_BODY)).await.map_err(Problem::new)?;
    let which: Which = match body.trim_ascii() {
        b"" => Which::default(),
        json => serde_json::from_slice(json).map_err(|error| invalid("body", error))?,
    };
    if let Some(name) = which.source.as_deref().filter(|name| ingest.source(name).is_none()) {
        return Err(invalid("source", format!("there is no source {name:?}")));
    }
    let done = ingest.reverify_all(which.source.as_deref()).await?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "accepted": done.accepted, "refused": done.refused })))
}

fn id(path: &Path<String>) -> Result<i64, Problem> {
    path.parse().map_err(|_| Problem::new(Code::NotFound))
}

async fn one(history: &History, id: i64) -> Result<RejectionView, Problem> {
    history.rejection(id).await?.ok_or_else(|| Problem::new(Code::NotFound))
}
