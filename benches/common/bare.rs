//! The bare server: actix with one worker that reads the body and answers 200. It verifies and stores nothing: what HTTP alone
//! costs, and somewhere to deliver to.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::Context as _;

use super::process::{Process, free_address};

/// The word by which a benchmark, given a port, becomes this server.
pub(crate) const COMMAND: &str = "serve-bare";

/// The command that serves on the address.
///
/// # Errors
/// When the benchmark's own file is not known.
pub(crate) fn command(address: SocketAddr) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(COMMAND).arg(address.port().to_string());
    Ok(command)
}

/// One to deliver to: its URL, and the process that lasts as long as it is held.
///
/// # Errors
/// When it does not start.
pub(crate) async fn start(folder: &Path) -> anyhow::Result<(String, Process)> {
    let address = free_address()?;
    let process = Process::start(command(address)?, address, &folder.join("sink.log")).await.context("start the sink")?;
    Ok((format!("http://{address}/"), process))
}

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
