//! Deliveries: the list, and one with its attempts.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::params::Params;
use crate::domain::{Code, DeliveryId, DeliveryStatus};
use crate::history::DeliveryFilter;
use crate::history::History;
use crate::http::problem::Problem;

/// `GET /api/v1/deliveries`
pub(super) async fn list(request: HttpRequest, history: Data<History>) -> Result<HttpResponse, Problem> {
    let mut params = Params::parse(request.query_string())?;
    let filter = DeliveryFilter {
        status: params.one_of("status", &DeliveryStatus::ALL.map(|status| (status.as_str(), status)))?,
        destination: params.text("destination"),
        source: params.text("source"),
        since: params.time("since")?,
        until: params.time("until")?,
    };
    let paging = params.paging()?;
    params.finish()?;
    Ok(HttpResponse::Ok().json(history.deliveries(filter, paging).await?))
}

/// `GET /api/v1/deliveries/{id}`
pub(super) async fn show(path: Path<String>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let not_found = || Problem::new(Code::NotFound);
    let id = path.into_inner().parse().map_err(|_| not_found())?;
    let delivery = history.delivery(DeliveryId(id)).await?.ok_or_else(not_found)?;
    Ok(HttpResponse::Ok().json(delivery))
}
