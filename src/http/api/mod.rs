//! The admin API, version 1: thin handlers that turn parameters into questions to `history`.

mod audit;
mod deliveries;
pub(super) mod destinations;
mod document;
mod events;
mod examples;
mod input;
mod operation;
mod parameters;
mod params;
mod publish;
mod rejections;
mod replays;
pub(super) mod sources;
mod stats;
mod stream;

use actix_web::web::{Data, PathConfig, ServiceConfig};

use self::document::Document;
use self::operation::Operation;
use super::problem::Problem;
use crate::domain::Code;

/// Every operation of the API.
fn operations() -> Vec<Operation> {
    [
        events::operations(),
        publish::operations(),
        deliveries::operations(),
        replays::operations(),
        rejections::operations(),
        sources::operations(),
        destinations::operations(),
        stats::operations(),
        stream::operations(),
        audit::operations(),
        document::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Mounts the API, and its own description with it.
pub(super) fn configure(app: &mut ServiceConfig) {
    app.app_data(Data::new(Document::of(operations())))
        // A path that does not parse names nothing.
        .app_data(PathConfig::default().error_handler(|_, _| Problem::new(Code::NotFound).into()));
    operation::mount(app, operations());
}
