//! A destination inside the program: takes every request, answers 200, and counts.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Requests by their `Idempotency-Key`.
type Counts = Arc<Mutex<HashMap<String, u64>>>;

/// The running destination.
pub(super) struct Sink {
    address: SocketAddr,
    counts: Counts,
}

impl Sink {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (address, counts) = (listener.local_addr()?, Counts::default());
        let shared = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counts = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Err(error) = serve(stream, &counts).await {
                        tracing::debug!(cause = %error, "a connection to the destination ended");
                    }
                });
            }
        });
        Ok(Self { address, counts })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// How many requests came for each key.
    pub(super) fn requests(&self) -> HashMap<String, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads requests of our own client, which always has `Content-Length` when there is a body.
async fn serve(stream: TcpStream, counts: &Counts) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut key, mut lines) = (0u64, None, 0);
        loop {
            let mut line = String::new();
            if (&mut stream).take(65_536).read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines += 1;
            let (name, value) = line.trim_end().split_once(':').unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or(0),
                "idempotency-key" => key = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        if lines == 0 {
            return Ok(());
        }
        tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
        *counts.lock().unwrap_or_else(PoisonError::into_inner).entry(key.unwrap_or_default()).or_default() += 1;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
    }
}
