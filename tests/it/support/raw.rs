//! A connection that speaks HTTP/1.1 as badly as a test wants: half a body, headers byte by byte, an early end.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::PATIENCE;

/// An open connection to a listener.
pub(crate) struct Raw {
    stream: TcpStream,
    received: Vec<u8>,
}

/// What came back, as far as it came.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Raw {
    /// Connects to a listener's `http://` address.
    pub(crate) async fn connect(base: &str) -> Self {
        let stream = TcpStream::connect(base.strip_prefix("http://").unwrap()).await.unwrap();
        Self { stream, received: Vec::new() }
    }

    /// Writes these bytes and no more.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Reads one answer, whose body has a length. Nothing is lost when it is dropped half-way.
    pub(crate) async fn answer(&mut self) -> RawAnswer {
        timeout(PATIENCE, self.read_answer()).await.unwrap_or_else(|_| panic!("no answer came"))
    }

    async fn read_answer(&mut self) -> RawAnswer {
        loop {
            if let Some((answer, length)) = parse(&self.received) {
                self.received.drain(..length);
                return answer;
            }
            let read = self.stream.read_buf(&mut self.received).await.unwrap();
            assert!(read > 0, "the connection ended after {:?}", String::from_utf8_lossy(&self.received));
        }
    }

    /// Waits until the other side closes.
    pub(crate) async fn closed(mut self) {
        let ended = async { while !matches!(self.stream.read_buf(&mut self.received).await, Ok(0) | Err(_)) {} };
        assert!(timeout(PATIENCE, ended).await.is_ok(), "the connection stays open");
    }
}

/// The answer at the beginning of the bytes, once it is there whole, and its length.
fn parse(bytes: &[u8]) -> Option<(RawAnswer, usize)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |length| length.parse().unwrap());
    let body = bytes.get(end + 4..end + 4 + length)?.to_vec();
    Some((RawAnswer { status: head.split(' ').nth(1)?.parse().unwrap(), head, body }, end + 4 + length))
}
