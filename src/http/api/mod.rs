//! The admin API, version 1: thin handlers that turn parameters into questions to `history`.

mod deliveries;
mod events;
mod params;
mod rejections;

use actix_web::http::Method;
use actix_web::web::{ServiceConfig, get, resource};

use super::problem::method_not_allowed;

/// What a resource takes that can only be read.
const READ: &[Method] = &[Method::GET];

/// Mounts the API's resources.
pub(super) fn configure(app: &mut ServiceConfig) {
    let read_only = || method_not_allowed(READ);
    app.service(resource("/api/v1/events").route(get().to(events::list)).default_service(read_only()))
        .service(resource("/api/v1/events/{source}/{event_id}").route(get().to(events::show)).default_service(read_only()))
        .service(resource("/api/v1/events/{source}/{event_id}/body").route(get().to(events::body)).default_service(read_only()))
        .service(resource("/api/v1/deliveries").route(get().to(deliveries::list)).default_service(read_only()))
        .service(resource("/api/v1/deliveries/{id}").route(get().to(deliveries::show)).default_service(read_only()))
        .service(resource("/api/v1/rejections").route(get().to(rejections::list)).default_service(read_only()));
}
