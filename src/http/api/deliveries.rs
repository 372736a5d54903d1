//! Deliveries: the list, one with its attempts, and what an operator can do about it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::params::Params;
use crate::domain::{Code, DeliveryId, DeliveryStatus};
use crate::history::{Change, Control, DeliveryFilter, History};
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
    one(&history, id(&path)?).await
}

/// `POST /api/v1/deliveries/{id}/retry`
pub(super) async fn retry(path: Path<String>, control: Data<Control>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    done(&control.retry(id).await?)?;
    one(&history, id).await
}

/// `POST /api/v1/deliveries/{id}/cancel`
pub(super) async fn cancel(path: Path<String>, control: Data<Control>, history: Data<History>) -> Result<HttpResponse, Problem> {
    let id = id(&path)?;
    done(&control.cancel(id).await?)?;
    one(&history, id).await
}

fn id(path: &Path<String>) -> Result<DeliveryId, Problem> {
    path.parse().map(DeliveryId).map_err(|_| Problem::new(Code::NotFound))
}

async fn one(history: &History, id: DeliveryId) -> Result<HttpResponse, Problem> {
    let delivery = history.delivery(id).await?.ok_or_else(|| Problem::new(Code::NotFound))?;
    Ok(HttpResponse::Ok().json(delivery))
}

fn done(change: &Change) -> Result<(), Problem> {
    match change {
        Change::Done { .. } => Ok(()),
        Change::Unknown => Err(Problem::new(Code::NotFound)),
        Change::Conflict(status) => Err(Problem::new(Code::Conflict).detail(format!("the delivery is {}", status.as_str()))),
        Change::Gone => Err(Problem::new(Code::Conflict).detail("the event's content is no longer stored")),
    }
}
