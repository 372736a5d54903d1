//! Somewhere to deliver to, on a thread of its own in this process: it notes when each event first arrived, by the clock that
//! the load is measured with, and then behaves well or badly.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::common::request::ID_LEN;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const FAILURE: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
const DRIP: Duration = Duration::from_millis(100);
const LARGEST: usize = 1 << 20;

/// What it does with a request that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers 200 at once.
    Well,
    /// Never answers.
    Hangs,
    /// Answers 500 at once.
    Fails,
    /// Closes the connection within the answer.
    Cuts,
    /// Answers a byte at a time.
    Drips,
}

/// A running sink; it ends when it is dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    arrivals: Arc<Mutex<Arrivals>>,
    _stop: oneshot::Sender<()>,
}

/// When each event first arrived.
#[derive(Default)]
pub(crate) struct Arrivals {
    first: HashMap<[u8; ID_LEN], Instant>,
    earliest: Option<Instant>,
    latest: Option<Instant>,
}

impl Arrivals {
    fn note(&mut self, id: [u8; ID_LEN], at: Instant) {
        self.first.entry(id).or_insert(at);
        self.earliest.get_or_insert(at);
        self.latest = Some(at);
    }

    /// Distinct events that have arrived.
    pub(crate) fn count(&self) -> u64 {
        self.first.len() as u64
    }

    /// When this event first arrived.
    pub(crate) fn of(&self, id: &[u8; ID_LEN]) -> Option<Instant> {
        self.first.get(id).copied()
    }

    /// When the first of all arrived.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// When the last so far arrived.
    pub(crate) fn latest(&self) -> Option<Instant> {
        self.latest
    }
}

impl Sink {
    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no port or no runtime for it.
    pub(crate) fn start(manner: Manner) -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let arrivals = Arc::<Mutex<Arrivals>>::default();
        let (stop, stopped) = oneshot::channel();
        let seen = Arc::clone(&arrivals);
        std::thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    result = accept(listener, manner, seen) => result.expect("a loopback listener goes on accepting"),
                }
            });
        });
        Ok(Self { address, arrivals, _stop: stop })
    }

    /// Where to deliver.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What has arrived so far.
    pub(crate) fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: std::net::TcpListener, manner: Manner, arrivals: Arc<Mutex<Arrivals>>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A connection that breaks is the other side's affair.
        tokio::spawn(serve(stream, manner, Arc::clone(&arrivals)));
    }
}

async fn serve(mut stream: TcpStream, manner: Manner, arrivals: Arc<Mutex<Arrivals>>) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(16 << 10);
    while let Some(id) = receive(&mut stream, &mut buffer).await? {
        let now = Instant::now();
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).note(id, now);
        match manner {
            Manner::Well => stream.write_all(ANSWER).await?,
            Manner::Fails => stream.write_all(FAILURE).await?,
            Manner::Hangs => return stream.read(&mut [0]).await.map(drop),
            Manner::Cuts => return stream.write_all(&ANSWER[..20]).await,
            Manner::Drips => drip(&mut stream).await?,
        }
    }
    Ok(())
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    for byte in ANSWER {
        tokio::time::sleep(DRIP).await;
        stream.write_all(&[*byte]).await?;
    }
    Ok(())
}

/// The ID of the next event on the connection, once its request is whole; `None` at the connection's end.
async fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<[u8; ID_LEN]>> {
    loop {
        if let Some((id, length)) = parse(buffer)? {
            buffer.drain(..length);
            return Ok(Some(id));
        }
        if buffer.len() > LARGEST || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

/// The event's ID and the length of the first request; `None` when it is not whole yet.
fn parse(bytes: &[u8]) -> std::io::Result<Option<([u8; ID_LEN], usize)>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let strange = |what| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| strange("a head that is no text"))?;
    let field = |wanted: &str| {
        let mut fields = head.split("\r\n").filter_map(|line| line.split_once(':'));
        fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let body: usize = field("content-length").and_then(|length| length.parse().ok()).ok_or_else(|| strange("no length"))?;
    let id = field("onceward-event-id").and_then(|id| id.as_bytes().try_into().ok()).ok_or_else(|| strange("no event's ID"))?;
    let length = end + 4 + body;
    Ok((bytes.len() >= length).then_some((id, length)))
}

/// Checks where a request ends, and what is noted of it.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let id = *b"evt_000000000000000000000000";
    let request = b"POST / HTTP/1.1\r\nOnceward-Event-Id: evt_000000000000000000000000\r\ncontent-length: 3\r\n\r\nabcPOST";
    for cut in 0..request.len() - 4 {
        assert!(matches!(parse(&request[..cut]), Ok(None)), "{cut} bytes are not a request");
    }
    assert!(parse(request).is_ok_and(|found| found == Some((id, request.len() - 4))));
    assert!(parse(b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc").is_err(), "a request without an event");
    let (mut arrivals, now) = (Arrivals::default(), Instant::now());
    arrivals.note(id, now);
    arrivals.note(id, now + DRIP);
    assert_eq!((arrivals.count(), arrivals.of(&id)), (1, Some(now)), "the first arrival of an event counts");
    assert_eq!((arrivals.earliest(), arrivals.latest()), (Some(now), Some(now + DRIP)));
}
