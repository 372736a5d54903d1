//! Told to stop, the program answers what has begun, hands back what it cannot finish, and ends well within the 10 s after
//! which it would be killed.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Behaviour, Process, Receiver, Request, locked, stripe, until};

/// What `docker stop` waits before it kills.
const AT_MOST: Duration = Duration::from_secs(10);
const SOURCE: &[&str] = &["--source", "stripe=whsec_test_secret"];

/// Sends the signal; the program must end with exit code 0 in time.
async fn stops_at(signal: &str, process: Process) {
    let asked = Instant::now();
    process.signal(signal).await;
    let ended = process.ended().await;
    assert_eq!(ended.code(), Some(0), "{signal}");
    assert!(asked.elapsed() < AT_MOST, "{signal}: {:?}", asked.elapsed());
}

async fn connect(base: &str) -> TcpStream {
    TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap()
}

/// The request's head as it goes over the wire, with another field.
fn head(request: &Request, more: &str) -> String {
    let fields: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST {} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {}\r\n{more}\r\n", request.path, request.body.len())
}

/// Reads until the text has come.
async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let mut some = [0; 1_024];
        let count = stream.read(&mut some).await.unwrap();
        assert!(count > 0, "the connection ended: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&some[..count]);
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_program_ends_at_once_at_either_signal() {
    let folder = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let process = Process::serve(folder.path(), SOURCE).await;
        let asked = Instant::now();
        stops_at(signal, process).await;
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["onceward.db", "onceward.db-search"], "neither a log nor a lock is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_keep_their_connections_do_not_hold_it_up() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::serve(folder.path(), SOURCE).await;
    let mut kept = Vec::new();
    for base in [&process.public, &process.public, &process.admin] {
        let mut stream = connect(base).await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        read_until(&mut stream, r#"{"status":"ok"}"#).await;
        kept.push(stream);
    }
    // And one that has begun a request and never goes on.
    let mut begun = connect(&process.public).await;
    begun.write_all(b"POST /hooks/stripe HTTP/1.1\r\nHost: loc").await.unwrap();
    stops_at("TERM", process).await;
    drop((kept, begun));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_and_its_event_is_kept() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    let arguments = [SOURCE, &["--forward", &receiver.url]].concat();
    let process = Process::serve(folder.path(), &arguments).await;
    let request = stripe("evt_in_flight");
    let mut stream = connect(&process.public).await;
    stream.write_all(head(&request, "Expect: 100-continue\r\n").as_bytes()).await.unwrap();
    // From here on it is in flight: the program waits for the body.
    read_until(&mut stream, "100 Continue\r\n\r\n").await;
    process.signal("TERM").await;
    until("it is stopping", async || process.printed().contains("stopping")).await;
    stream.write_all(&request.body).await.unwrap();
    let answer = read_until(&mut stream, "evt_in_flight").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.contains("onceward-status: accepted"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert_eq!(process.ended().await.code(), Some(0));
    let process = Process::serve(folder.path(), &arguments).await;
    process.settled().await;
    assert_eq!(process.rows("/api/v1/events").await[0]["status"], "delivered");
    assert_eq!(receiver.seen().len(), 1);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_and_an_attempt_without_end_together_do_not_hold_it_up() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    receiver.next([Behaviour::Hang]);
    let arguments = [SOURCE, &["--forward", &receiver.url]].concat();
    let process = Process::serve(folder.path(), &arguments).await;
    assert_eq!(process.send(stripe("evt_hanging")).await.status, 200);
    receiver.got(1).await;
    let lock = locked(&folder.path().join("onceward.db"));
    let mut waiting = connect(&process.public).await;
    let request = stripe("evt_waiting");
    waiting.write_all(head(&request, "Expect: 100-continue\r\n").as_bytes()).await.unwrap();
    read_until(&mut waiting, "100 Continue\r\n\r\n").await;
    waiting.write_all(&request.body).await.unwrap();
    stops_at("TERM", process).await;
    let answer = read_until(&mut waiting, "store-unavailable").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: "), "{answer}");
    drop(lock);
    let process = Process::serve(folder.path(), &arguments).await;
    receiver.got(2).await;
    process.settled().await;
    assert_eq!(process.rows("/api/v1/events?status=delivered").await.len(), 1);
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_without_end_is_handed_back_and_made_at_once_by_the_next_start() {
    let (receiver, folder) = (Receiver::start().await, tempfile::tempdir().unwrap());
    receiver.next([Behaviour::Hang]);
    let arguments = [SOURCE, &["--forward", &receiver.url]].concat();
    let process = Process::serve(folder.path(), &arguments).await;
    assert_eq!(process.send(stripe("evt_hanging")).await.status, 200);
    receiver.got(1).await;
    stops_at("TERM", process).await;
    let database = rusqlite::Connection::open(folder.path().join("onceward.db")).unwrap();
    let leased: i64 = database.query_row("SELECT count(*) FROM delivery WHERE owner IS NOT NULL", (), |row| row.get(0)).unwrap();
    assert_eq!(leased, 0, "the lease was handed back");
    drop(database);
    let process = Process::serve(folder.path(), &arguments).await;
    receiver.got(2).await;
    process.settled().await;
    let event = process.get("/api/v1/events/stripe/evt_hanging").await.json();
    assert_eq!((&event["status"], &event["deliveries"][0]["attempts"]), (&"delivered".into(), &2.into()), "{event}");
    assert_eq!(process.terminate().await, Some(0));
}
