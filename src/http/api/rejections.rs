//! The rejection log.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::params::Params;
use crate::domain::Code;
use crate::history::History;
use crate::history::RejectionFilter;
use crate::http::problem::Problem;

/// `GET /api/v1/rejections`
pub(super) async fn list(request: HttpRequest, history: Data<History>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let codes: Vec<_> = Code::all().map(|code| (code.as_str(), code)).collect();
    let filter = RejectionFilter {
        source: params.text("source"),
        code: params.one_of("code", &codes)?,
        since: params.time("since")?,
        until: params.time("until")?,
    };
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(history.rejections(filter, paging).await?))
}
