//! The audit trail.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};

use super::examples;
use super::operation::Operation;
use super::parameters::{paging, text, window};
use super::params::Params;
use crate::history::{AuditFilter, AuditView, PageView, Trail};
use crate::http::problem::Problem;

pub(super) fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/v1/audit", list)
            .called("list_audit", "Who asked for which change")
            .asks([text("actor", "By whoever has the token of this name.")].into_iter().chain(window()).chain(paging()))
            .answers::<PageView<AuditView>>(200, "A page of the trail.", &examples::page(examples::audit())),
    ]
}

/// `GET /api/v1/audit`
pub(super) async fn list(request: HttpRequest, trail: Data<Trail>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let filter = AuditFilter { actor: params.text("actor"), since: params.time("since")?, until: params.time("until")? };
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(trail.list(filter, paging).await?))
}
