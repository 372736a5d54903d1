//! Servers B and H: A with a proof before the answer, by Onceward's verifier and by hand. They store nothing: what the proof
//! adds to HTTP alone, and the least that it can add.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use onceward::domain::{Clock as _, HeaderBuilder, RawRequest, SystemClock};
use onceward::provider::Table;
use onceward::verify::{Judgement, Setup, Verifier};

use crate::common::proof::signature_holds;
use crate::common::request::{PATH, SECRET, unix_now};

/// Serves B on the port until the process ends.
///
/// # Errors
/// When the port cannot be bound.
pub(crate) fn serve(port: u16) -> anyhow::Result<()> {
    let stripe = Arc::clone(Table::builtin().get("stripe").expect("the table has a row for Stripe"));
    let verifier = web::Data::new(Verifier::new("stripe", Setup::new(stripe, vec![SECRET.to_owned().into()]))?);
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || App::new().app_data(verifier.clone()).default_service(web::to(answer)))
            .workers(1)
            .keep_alive(Duration::from_secs(75))
            .client_request_timeout(Duration::ZERO)
            .bind(("127.0.0.1", port))?
            .run()
            .await
    })?;
    Ok(())
}

/// Serves H on the port until the process ends: the header taken apart, the HMAC compared, the time looked at, and no more.
///
/// # Errors
/// When the port cannot be bound.
pub(crate) fn serve_by_hand(port: u16) -> std::io::Result<()> {
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(|| App::new().default_service(web::to(answer_by_hand)))
            .workers(1)
            .keep_alive(Duration::from_secs(75))
            .client_request_timeout(Duration::ZERO)
            .bind(("127.0.0.1", port))?
            .run()
            .await
    })
}

async fn answer_by_hand(request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let signature = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    match request.path() != PATH || signature_holds(SECRET, signature, &body, unix_now()) {
        true => HttpResponse::Ok().content_type("application/json").body(r#"{"status":"accepted"}"#),
        false => HttpResponse::Unauthorized().finish(),
    }
}

async fn answer(request: HttpRequest, body: web::Bytes, verifier: web::Data<Verifier>) -> HttpResponse {
    // The process looks whether the server is up before the load begins.
    if request.path() != PATH {
        return HttpResponse::Ok().finish();
    }
    let now = SystemClock.now();
    match verifier.judge(&raw(&request, body, now), now) {
        Ok(Judgement::Event(_)) => HttpResponse::Ok().content_type("application/json").body(r#"{"status":"accepted"}"#),
        Ok(Judgement::Handshake(_)) | Err(_) => HttpResponse::Unauthorized().finish(),
    }
}

/// The request as the receiver makes it for the verifier.
fn raw(request: &HttpRequest, body: web::Bytes, received_at: onceward::domain::Timestamp) -> RawRequest {
    let mut headers = HeaderBuilder::with_capacity(1_024);
    for (name, value) in request.headers() {
        headers.push(name.as_str(), value.as_bytes());
    }
    RawRequest {
        method: request.method().as_str().to_owned(),
        path: request.path().to_owned(),
        subpath: String::new(),
        query: request.query_string().to_owned(),
        headers: headers.build(),
        body,
        received_at,
    }
}
