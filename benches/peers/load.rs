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

use crate::latency::Histogram;
use crate::ledger::Ledger;
use crate::pace::{Pace, Schedule};
use crate::request::{Request, unix_now};
use crate::response::{Response, parse};

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
}

struct Shared {
    server: SocketAddr,
    from: Instant,
    until: Instant,
    pace: Pace,
    ledger: RefCell<Ledger>,
    tally: RefCell<Tally>,
}

struct Tally {
    latency: Histogram,
    lag: Histogram,
    answered: u64,
    failures: BTreeMap<String, u64>,
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
    drop(connections);
    Ok(Rc::into_inner(shared).context("connections have ended")?.outcome(cpu))
}

impl Shared {
    fn new(plan: &Plan, server: SocketAddr) -> Self {
        let start = Instant::now();
        let from = start + plan.warm_up;
        let until = from + plan.measured;
        let pace = match plan.rate {
            None => Pace::Closed { until },
            Some(rate) => Pace::Open(Schedule::new(rate, start, until, plan.connections)),
        };
        let tally = Tally { latency: Histogram::new(), lag: Histogram::new(), answered: 0, failures: BTreeMap::new() };
        Self { server, from, until, pace, ledger: RefCell::new(Ledger::new(plan.duplicates)), tally: RefCell::new(tally) }
    }

    /// One connection's life: request, answer, request. After a failure it connects again.
    async fn converse(self: Rc<Self>, mut client: Client) {
        let mut request = Request::new(self.server);
        while let Some(due) = self.pace.next().await {
            let (number, id) = self.ledger.borrow_mut().draw();
            let sent = Instant::now();
            let usable = match client.exchange(request.render(&id, unix_now())).await {
                Ok(response) => {
                    self.count(number, due, sent, response.status);
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

    fn count(&self, number: u64, due: Instant, sent: Instant, status: u16) {
        if status != 200 {
            return self.fail(format!("status {status}"), 1);
        }
        let now = Instant::now();
        let window = self.from..self.until;
        let mut tally = self.tally.borrow_mut();
        self.ledger.borrow_mut().acknowledge(number);
        tally.answered += u64::from(window.contains(&now));
        if window.contains(&due) {
            tally.latency.record(now - due);
            tally.lag.record(sent - due);
        }
    }

    fn fail(&self, what: String, times: u64) {
        *self.tally.borrow_mut().failures.entry(what).or_default() += times;
    }

    fn outcome(self, cpu: Duration) -> Outcome {
        let left = self.pace.left();
        if left > 0 {
            self.fail("due, but no connection was free".to_owned(), left);
        }
        let Tally { latency, lag, answered, failures } = self.tally.into_inner();
        let ledger = self.ledger.into_inner();
        Outcome { latency, lag, answered, failures, sent: ledger.sent(), acknowledged: ledger.acknowledged(), cpu }
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
