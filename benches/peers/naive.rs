//! Server D: the handler that a careful team writes in an afternoon. It verifies, and it answers after a synced commit, as
//! Onceward does; but one connection behind a mutex and one transaction for each request.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use rusqlite::{Connection, params};

use crate::common::proof::signature_holds;
use crate::common::request::{PATH, SECRET, unix_now};

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE event (
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL,
        event_id TEXT NOT NULL,
        type TEXT NOT NULL,
        received_at INTEGER NOT NULL,
        headers TEXT NOT NULL,
        body BLOB NOT NULL,
        UNIQUE (source, event_id)
    );
    CREATE TABLE delivery (
        id INTEGER PRIMARY KEY,
        event INTEGER NOT NULL REFERENCES event (id),
        status TEXT NOT NULL,
        next_attempt_at INTEGER NOT NULL
    );";

/// Serves on the port, with a new database at the path, until the process ends.
///
/// # Errors
/// When the database or the port cannot be opened.
pub(crate) fn serve(port: u16, database: &Path) -> anyhow::Result<()> {
    let connection = Connection::open(database)?;
    connection.execute_batch(SCHEMA)?;
    let store = web::Data::new(Mutex::new(connection));
    actix_web::rt::System::new().block_on(async move {
        HttpServer::new(move || {
            let health = web::get().to(HttpResponse::Ok);
            App::new().app_data(store.clone()).route("/healthz", health).route(PATH, web::post().to(receive))
        })
        .keep_alive(Duration::from_secs(75))
        .client_request_timeout(Duration::ZERO)
        .bind(("127.0.0.1", port))?
        .run()
        .await
    })?;
    Ok(())
}

async fn receive(request: HttpRequest, body: web::Bytes, store: web::Data<Mutex<Connection>>) -> HttpResponse {
    let signature = request.headers().get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let now = unix_now();
    if !signature_holds(SECRET, signature, &body, now) {
        return HttpResponse::Unauthorized().finish();
    }
    let Ok(event) = serde_json::from_slice::<Event>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    match record(&store, &event, &headers_text(&request), &body, now) {
        Ok(true) => HttpResponse::Ok().content_type("application/json").body(r#"{"status":"accepted"}"#),
        Ok(false) => HttpResponse::Ok().content_type("application/json").body(r#"{"status":"duplicate"}"#),
        Err(error) => {
            eprintln!("naive: {error}");
            HttpResponse::ServiceUnavailable().finish()
        }
    }
}

#[derive(serde::Deserialize)]
struct Event {
    id: String,
    r#type: String,
}

fn headers_text(request: &HttpRequest) -> String {
    let lines = request.headers().iter().map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap_or_default()));
    lines.collect()
}

/// Records the event and its delivery in one synced transaction; false when the event was known.
fn record(store: &Mutex<Connection>, event: &Event, headers: &str, body: &[u8], now: u64) -> rusqlite::Result<bool> {
    let mut connection = store.lock().expect("no handler panics while it holds the lock");
    let transaction = connection.transaction()?;
    let added = transaction
        .prepare_cached(
            "INSERT INTO event (source, event_id, type, received_at, headers, body) VALUES ('stripe', ?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (source, event_id) DO NOTHING",
        )?
        .execute(params![event.id, event.r#type, now.cast_signed(), headers, body])?;
    if added == 1 {
        let row = transaction.last_insert_rowid();
        transaction
            .prepare_cached("INSERT INTO delivery (event, status, next_attempt_at) VALUES (?1, 'pending', ?2)")?
            .execute(params![row, now.cast_signed()])?;
    }
    transaction.commit()?;
    Ok(added == 1)
}
