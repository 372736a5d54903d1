//! Server A: actix with one worker that reads the body and answers 200. It verifies and stores nothing: what HTTP alone costs.

use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};

/// Serves on the port until the process ends.
///
/// # Errors
/// When the port cannot be bound.
pub(crate) fn serve(port: u16) -> std::io::Result<()> {
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(|| App::new().default_service(web::to(answer)))
            .workers(1)
            .keep_alive(Duration::from_secs(75))
            .client_request_timeout(Duration::ZERO)
            .bind(("127.0.0.1", port))?
            .run()
            .await
    })
}

async fn answer(_body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(r#"{"status":"accepted"}"#)
}
