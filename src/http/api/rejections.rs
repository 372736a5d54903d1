//! The rejection log: what is in it, and verifying it again.

use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa::openapi::Required;

use super::operation::Operation;
use super::parameters::{paging, text, window, word};
use super::params::{Params, invalid};
use super::{events, examples, input};
use crate::domain::{Code, RejectionStatus};
use crate::history::{History, PageView, RejectionFilter, RejectionView};
use crate::http::problem::Problem;
use crate::ingest::Ingest;

pub(super) fn operations() -> Vec<Operation> {
    let filter = [
        text("source", "Sent to this source."),
        word("code", "Refused for this reason.", Code::all().map(Code::as_str)),
        word("status", "In this status.", RejectionStatus::ALL.map(RejectionStatus::as_str)),
    ];
    vec![
        Operation::get("/api/v1/rejections", list)
            .called("list_rejections", "Refused requests")
            .explained("Those that were not proved or could not be read. The log is bounded.")
            .asks(filter.into_iter().chain(window()).chain(paging()))
            .answers::<PageView<RejectionView>>(200, "A page of rejections.", &examples::page(examples::listed_rejection())),
        Operation::get("/api/v1/rejections/{id}", show)
            .called("show_rejection", "One refused request with what is kept of it")
            .answers::<RejectionView>(200, "The rejection.", &examples::rejection()),
        Operation::get("/api/v1/rejections/{id}/body", body)
            .called("rejection_body", "The raw body of a refused request")
            .answers_what_came("The body as it came, with its `Content-Type`."),
        Operation::post("/api/v1/rejections/{id}/reverify", reverify)
            .called("reverify_rejection", "Verifies a refused request again")
            .explained("With today's secrets, as of the time at which it arrived. What holds is recorded and delivered.")
            .answers::<RejectionView>(200, "The rejection, `accepted` where it holds now.", &examples::rejection()),
        Operation::post("/api/v1/rejections/reverify", reverify_all)
            .called("reverify_rejections", "Verifies refused requests again")
            .explained("All of them, or those of one source.")
            .reads::<Which>(Required::False, json!({ "source": "stripe" }))
            .answers::<Reverified>(200, "What came of it.", &Reverified { accepted: 2, refused: 1 }),
    ]
}

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
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WhichRejections)]
struct Which {
    /// Those of this source.
    source: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
struct Reverified {
    /// How many are events now.
    accepted: u64,
    /// How many are still refused.
    refused: u64,
}

/// `POST /api/v1/rejections/reverify`
pub(super) async fn reverify_all(request: HttpRequest, payload: Payload, ingest: Data<Ingest>) -> Result<HttpResponse, Problem> {
    let which: Which = input::read(&request, payload).await?;
    if let Some(name) = which.source.as_deref().filter(|name| ingest.source(name).is_none()) {
        return Err(invalid("source", format!("there is no source {name:?}")));
    }
    let done = ingest.reverify_all(which.source.as_deref()).await?;
    Ok(HttpResponse::Ok().json(Reverified { accepted: done.accepted, refused: done.refused }))
}

fn id(path: &Path<String>) -> Result<i64, Problem> {
    path.parse().map_err(|_| Problem::new(Code::NotFound))
}

async fn one(history: &History, id: i64) -> Result<RejectionView, Problem> {
    history.rejection(id).await?.ok_or_else(|| Problem::new(Code::NotFound))
}
