//! The load generator: keep-alive connections on one thread, each with one request in flight.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::latency::Histogram;
use super::ledger::Ledger;
use super::pace::{Pace, Schedule};
use super::request::{ID_LEN, Request, unix_now};
use super::response::{Response, parse};

/// How long answers may come in after the measurement, and how long a new connection may take.
const GRACE: Duration = Duration::from_secs(15);

/// What to send.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Connections, and so requests at the same time.
    pub(crate) connections: usize,
    /// Requests a second of an open loop; closed loop without.
    pub(crate) rate: Option<f64>,
    /// Share of requests that repeat a recent event.
    pub(crate) duplicates: f64,
    /// Load before the measurement.
    pub(crate) warm_up: Duration,
    /// Length of the measurement.
    pub(crate) measured: Duration,
    /// Whether each answered request of the measurement is noted by itself.
    pub(crate) noted: bool,
}

/// One request that was due in the measurement and answered 200.
pub(crate) struct Exchange {
    /// The event's ID.
    pub(crate) id: [u8; ID_LEN],
    /// When it was due.
    pub(crate) due: Instant,
    /// Just before it was written.
    pub(crate) sent: Instant,
    /// Once its answer was read.
    pub(crate) answered: Instant,
}

/// What came back.
pub(crate) struct Outcome {
    /// Requests that were due in the measurement and answered 200, from due to answered.
    pub(crate) latency: Histogram,
    /// From due to sent: in an open loop, the generator's own delay and the wait for a free connection.
    pub(crate) lag: Histogram,
    /// Answers with 200 that came in during the measurement.
    pub(crate) answered: u64,
    /// Everything but 200, warm-up included.
    pub(crate) failures: BTreeMap<String, u64>,
    /// Distinct events sent, warm-up included.
    pub(crate) sent: u64,
    /// Distinct events answered 200, warm-up included.
    pub(crate) acknowledged: u64,
    /// The server's CPU time during the measurement.
    pub(crate) cpu: Duration,
    /// Just before the first request, warm-up included.
    pub(crate) began: Instant,
    /// After the last answer.
    pub(crate) ended: Instant,
    /// One by one, where the plan says so.
    pub(crate) exchanges: Vec<Exchange>,
}

struct Shared {
    server: SocketAddr,
    began: Instant,
    from: Instant,
    until: Instant,
    pace: Pace,
    ledger: RefCell<Ledger>,
    tally: RefCell<Tally>,
    noted: bool,
}

struct Tally {
    latency: Histogram,
    lag: Histogram,
    answered: u64,
    failures: BTreeMap<String, u64>,
    exchanges: Vec<Exchange>,
}

impl Outcome {
    /// Requests without a 200, by kind.
    pub(crate) fn complaints(&self) -> Vec<String> {
        complaints(&self.failures)
    }
}

/// Requests without a 200, by kind.
pub(crate) fn complaints(failures: &BTreeMap<String, u64>) -> Vec<String> {
    failures.iter().map(|(what, times)| format!("{what}: {times} ×")).collect()
}

/// Warms the server up, then measures it; `cpu_time` reads its CPU time so far.
///
/// # Errors
/// When connections or `cpu_time` fail. Failed requests are part of the outcome.
pub(crate) async fn run(plan: &Plan, server: SocketAddr, cpu_time: impl Fn() -> anyhow::Result<Duration>) -> anyhow::Result<Outcome> {
    let mut clients = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        clients.push(Client::connect(server).await.context("connect to the server")?);
    }
    let shared = Rc::new(Shared::new(plan, server));
    let connections = tokio::task::LocalSet::new();
    let cpu = connections.run_until(async {
        let mut tasks = JoinSet::new();
        for client in clients {
            tasks.spawn_local(Rc::clone(&shared).converse(client));
        }
        tokio::time::sleep_until(shared.from.into()).await;
        let before = cpu_time()?;
        tokio::time::sleep_until(shared.until.into()).await;
        let cpu = cpu_time()?.saturating_sub(before);
        let all = async { while tasks.join_next().await.is_some() {} };
        let late = tokio::time::timeout_at((shared.until + GRACE).into(), all).await.is_err();
        if late {
            shared.fail(format!("unanswered after {GRACE:?}"), tasks.len() as u64);
        }
        anyhow::Ok(cpu)
    });
    let cpu = cpu.await?;
    let ended = Instant::now();
    drop(connections);
    Ok(Rc::into_inner(shared).context("connections have ended")?.outcome(cpu, ended))
}

/// Sends one event over a connection of its own; returns the status of the answer.
///
/// # Errors
/// When the server cannot be reached, or does not answer.
pub(crate) async fn send(server: SocketAddr, id: &[u8; ID_LEN]) -> anyhow::Result<u16> {
    let mut request = Request::new(server);
    let response = Client::connect(server).await?.exchange(request.render(id, unix_now())).await?;
    Ok(response.status)
}

impl Shared {
    fn new(plan: &Plan, server: SocketAddr) -> Self {
        let began = Instant::now();
        let from = began + plan.warm_up;
        let until = from + plan.measured;
        let pace = match plan.rate {
            None => Pace::Closed { until },
            Some(rate) => Pace::Open(Schedule::new(rate, began, until, plan.connections)),
        };
        let (latency, lag) = (Histogram::new(), Histogram::new());
        let tally = RefCell::new(Tally { latency, lag, answered: 0, failures: BTreeMap::new(), exchanges: Vec::new() });
        Self { server, began, from, until, pace, ledger: RefCell::new(Ledger::new(plan.duplicates)), tally, noted: plan.noted }
    }

    /// One connection's life: request, answer, request. After a failure it connects again.
    async fn converse(self: Rc<Self>, mut client: Client) {
        let mut request = Request::new(self.server);
        while let Some(due) = self.pace.next().await {
            let (number, id) = self.ledger.borrow_mut().draw();
            let sent = Instant::now();
            let usable = match client.exchange(request.render(&id, unix_now())).await {
                Ok(response) => {
                    self.count(number, Exchange { id, due, sent, answered: Instant::now() }, response.status);
                    !response.closes
                }
                Err(error) => {
                    self.fail(error.to_string(), 1);
                    false
                }
            };
            if !usable {
                match Client::connect(self.server).await {
                    Ok(fresh) => client = fresh,
                    Err(error) => return self.fail(format!("connect again: {error}"), 1),
                }
            }
        }
    }

    fn count(&self, number: u64, exchange: Exchange, status: u16) {
        if status != 200 {
            return self.fail(format!("status {status}"), 1);
        }
        let Exchange { due, sent, answered, .. } = exchange;
        let window = self.from..self.until;
        let mut tally = self.tally.borrow_mut();
        self.ledger.borrow_mut().acknowledge(number);
        tally.answered += u64::from(window.contains(&answered));
        if window.contains(&due) {
            tally.latency.record(answered - due);
            tally.lag.record(sent - due);
            if self.noted {
                tally.exchanges.push(exchange);
            }
        }
    }

    fn fail(&self, what: String, times: u64) {
        *self.tally.borrow_mut().failures.entry(what).or_default() += times;
    }

    fn outcome(self, cpu: Duration, ended: Instant) -> Outcome {
        let left = self.pace.left();
        if left > 0 {
            self.fail("due, but no connection was free".to_owned(), left);
        }
        let Tally { latency, lag, answered, failures, exchanges } = self.tally.into_inner();
        let (ledger, began) = (self.ledger.into_inner(), self.began);
        let (sent, acknowledged) = (ledger.sent(), ledger.acknowledged());
        Outcome { latency, lag, answered, failures, sent, acknowledged, cpu, began, ended, exchanges }
    }
}

/// One keep-alive connection.
struct Client {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

impl Client {
    async fn connect(server: SocketAddr) -> std::io::Result<Self> {
        let stream = tokio::time::timeout(GRACE, TcpStream::connect(server)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 8192].into_boxed_slice() })
    }

    /// Sends one request and reads its answer.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Response> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            anyhow::ensure!(filled < self.buffer.len(), "answer larger than {filled} bytes");
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            anyhow::ensure!(read > 0, "connection closed before the answer");
            filled += read;
            if let Some(response) = parse(&self.buffer[..filled])? {
                return Ok(response);
            }
        }
    }
}
