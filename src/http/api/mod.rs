//! The admin API, version 1: thin handlers that turn parameters into questions to `history`.

mod audit;
mod deliveries;
pub(super) mod destinations;
mod events;
mod params;
mod publish;
mod rejections;
mod replays;
pub(super) mod sources;
mod stats;
mod stream;

use actix_web::http::Method;
use actix_web::web::{ServiceConfig, delete, get, post, put, resource};

use super::problem::method_not_allowed;

/// What a resource takes that can only be read.
const READ: &[Method] = &[Method::GET];
/// What a resource takes that is an order.
const ORDER: &[Method] = &[Method::POST];
/// What a list takes to which something can be added.
const COLLECTION: &[Method] = &[Method::GET, Method::POST];
/// What a resource takes that can be read, said and taken back.
const RECORD: &[Method] = &[Method::GET, Method::PUT, Method::DELETE];
/// What a resource takes that is there or not.
const SWITCH: &[Method] = &[Method::PUT, Method::DELETE];

/// Mounts the API's resources.
pub(super) fn configure(app: &mut ServiceConfig) {
    let read_only = || method_not_allowed(READ);
    let orders_only = || method_not_allowed(ORDER);
    app.service(resource("/api/v1/events").route(get().to(events::list)).default_service(read_only()))
        .service(
            resource("/api/v1/events/{source}/{event_id}")
                .route(get().to(events::show))
                .route(put().to(publish::publish))
                .route(delete().to(publish::erase))
                .default_service(method_not_allowed(RECORD)),
        )
        .service(resource("/api/v1/events/{source}/{event_id}/fixture").route(get().to(events::fixture)).default_service(read_only()))
        .service(resource("/api/v1/events/{source}/{event_id}/body").route(get().to(events::body)).default_service(read_only()))
        .service(resource("/api/v1/events/{source}/{event_id}/replay").route(post().to(replays::one)).default_service(orders_only()))
        .service(resource("/api/v1/deliveries").route(get().to(deliveries::list)).default_service(read_only()))
        .service(resource("/api/v1/deliveries/retry").route(post().to(replays::retry)).default_service(orders_only()))
        .service(resource("/api/v1/deliveries/{id}").route(get().to(deliveries::show)).default_service(read_only()))
        .service(resource("/api/v1/deliveries/{id}/retry").route(post().to(deliveries::retry)).default_service(orders_only()))
        .service(resource("/api/v1/deliveries/{id}/cancel").route(post().to(deliveries::cancel)).default_service(orders_only()))
        .service(resource("/api/v1/destinations").route(get().to(destinations::list)).default_service(read_only()))
        .service(resource("/api/v1/destinations/{name}").route(get().to(destinations::show)).default_service(read_only()))
        .service(
            resource("/api/v1/destinations/{name}/pause")
                .route(put().to(destinations::pause))
                .route(delete().to(destinations::resume))
                .default_service(method_not_allowed(SWITCH)),
        )
        .service(resource("/api/v1/rejections").route(get().to(rejections::list)).default_service(read_only()))
        .service(resource("/api/v1/rejections/reverify").route(post().to(rejections::reverify_all)).default_service(orders_only()))
        .service(resource("/api/v1/rejections/{id}").route(get().to(rejections::show)).default_service(read_only()))
        .service(resource("/api/v1/rejections/{id}/body").route(get().to(rejections::body)).default_service(read_only()))
        .service(resource("/api/v1/rejections/{id}/reverify").route(post().to(rejections::reverify)).default_service(orders_only()))
        .configure(configure_replays)
        .configure(configure_settings);
}

fn configure_replays(app: &mut ServiceConfig) {
    let list = resource("/api/v1/replays").route(get().to(replays::list)).route(post().to(replays::begin));
    app.service(list.default_service(method_not_allowed(COLLECTION)))
        .service(resource("/api/v1/replays/{id}").route(get().to(replays::show)).default_service(method_not_allowed(READ)))
        .service(resource("/api/v1/replays/{id}/cancel").route(post().to(replays::cancel)).default_service(method_not_allowed(ORDER)));
}

fn configure_settings(app: &mut ServiceConfig) {
    let read_only = || method_not_allowed(READ);
    app.service(resource("/api/v1/sources").route(get().to(sources::list)).default_service(read_only()))
        .service(resource("/api/v1/sources/{name}").route(get().to(sources::show)).default_service(read_only()))
        .service(resource("/api/v1/providers").route(get().to(sources::providers)).default_service(read_only()))
        .service(resource("/api/v1/providers/{name}").route(get().to(sources::provider)).default_service(read_only()))
        .service(resource("/api/v1/stats").route(get().to(stats::show)).default_service(read_only()))
        .service(resource("/api/v1/audit").route(get().to(audit::list)).default_service(read_only()))
        .service(resource("/api/v1/stream").route(get().to(stream::stream)).default_service(read_only()));
}
