//! The audit trail.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::params::Params;
use crate::history::{AuditFilter, Trail};
use crate::http::problem::Problem;

/// `GET /api/v1/audit`
pub(super) async fn list(request: HttpRequest, trail: Data<Trail>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let filter = AuditFilter { actor: params.text("actor"), since: params.time("since")?, until: params.time("until")? };
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(trail.list(filter, paging).await?))
}
