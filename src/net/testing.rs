//! A destination for tests: records every request byte for byte and answers as told, or not at all.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::domain::Headers;

/// What the server does once it has read a request.
#[derive(Clone)]
pub(crate) enum Answer {
    /// Sends these bytes and reads the next request.
    Send(Vec<u8>),
    /// Sends these bytes and closes the connection.
    SendAndCut(Vec<u8>),
    /// Sends these bytes and nothing more, but keeps the connection.
    SendAndHang(Vec<u8>),
    /// Sends these bytes, and then one byte in that time, for ever.
    SendAndDrip(Vec<u8>, Duration),
}

impl Answer {
    /// An answer with that status line, header lines and body.
    pub(crate) fn status(status: &str, headers: &str, body: &[u8]) -> Self {
        let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        Self::Send(bytes)
    }
}

/// A request as it came off the wire.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// `POST /path HTTP/1.1`.
    pub(crate) line: String,
    /// The header fields.
    pub(crate) headers: Headers,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// A server on a port of its own, gone when dropped.
pub(crate) struct Server {
    port: u16,
    seen: Arc<Seens>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seens {
    requests: Mutex<Vec<Seen>>,
    connections: Mutex<usize>,
    changed: Notify,
}

impl Server {
    /// Starts one that gives every request the same answer.
    pub(crate) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Seens::default());
        let task = tokio::spawn(accept(listener, answer, Arc::clone(&seen)));
        Self { port, seen, task }
    }

    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap()
    }

    /// Waits until that many requests have come, and returns them.
    pub(crate) async fn requests(&self, count: usize) -> Vec<Seen> {
        loop {
            let changed = self.seen.changed.notified();
            let requests = self.seen.requests.lock().unwrap().clone();
            if requests.len() >= count {
                return requests;
            }
            changed.await;
        }
    }

    /// Stops listening, so that connections are refused from then on.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        (&mut self.task).await.ok();
    }

    pub(crate) fn connections(&self) -> usize {
        *self.seen.connections.lock().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, answer: Answer, seen: Arc<Seens>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *seen.connections.lock().unwrap() += 1;
        connections.spawn(serve(stream, answer.clone(), Arc::clone(&seen)));
    }
}

async fn serve(stream: TcpStream, answer: Answer, seen: Arc<Seens>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        seen.requests.lock().unwrap().push(request);
        seen.changed.notify_waiters();
        let (Answer::Send(bytes) | Answer::SendAndCut(bytes) | Answer::SendAndHang(bytes) | Answer::SendAndDrip(bytes, _)) = &answer;
        let sent = stream.write_all(bytes).await;
        match answer {
            Answer::Send(_) if sent.is_ok() => {}
            Answer::SendAndHang(_) => std::future::pending().await,
            Answer::SendAndDrip(_, each) => {
                let mut ticks = tokio::time::interval(each);
                while stream.write_all(b"x").await.is_ok() {
                    ticks.tick().await;
                }
                return;
            }
            _ => return,
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Headers =
        lines.map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), ""))).map(|(n, v)| (n, v.as_bytes())).collect();
    let length = headers.text("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { line, headers, body })
}
