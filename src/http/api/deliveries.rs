//! Deliveries: the list, one with its attempts, and what an operator can do about it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

use super::examples;
use super::operation::Operation;
use super::parameters::{paging, text, window, word};
use super::params::Params;
use crate::domain::{Code, DeliveryId, DeliveryStatus};
use crate::history::{Change, Control, DeliveryFilter, DeliveryView, History, PageView};
use crate::http::problem::Problem;

pub(super) fn operations() -> Vec<Operation> {
    let filter = [
        word("status", "In this status.", DeliveryStatus::ALL.map(DeliveryStatus::as_str)),
        text("destination", "To this destination."),
        text("source", "Of events of this source."),
    ];
    vec![
        Operation::get("/api/v1/deliveries", list)
            .called("list_deliveries", "Deliveries, without attempts")
            .asks(filter.into_iter().chain(window()).chain(paging()))
            .answers::<PageView<DeliveryView>>(200, "A page of deliveries.", &examples::page(examples::listed_delivery())),
        Operation::get("/api/v1/deliveries/{id}", show).called("show_delivery", "One delivery with its attempts").answers::<DeliveryView>(
            200,
            "The delivery.",
            &examples::delivery(),
        ),
        Operation::post("/api/v1/deliveries/{id}/retry", retry)
            .called("retry_delivery", "Makes a delivery due now")
            .explained("One that waits, is dead or cancelled. A dead or cancelled one begins its schedule anew.")
            .answers::<DeliveryView>(200, "The delivery.", &examples::delivery()),
        Operation::post("/api/v1/deliveries/{id}/cancel", cancel)
            .called("cancel_delivery", "Calls a delivery off")
            .explained("One that waits or is dead; an attempt that runs is broken off within 10 s.")
            .answers::<DeliveryView>(200, "The delivery.", &examples::delivery()),
    ]
}

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
