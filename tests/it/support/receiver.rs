//! A destination that records what it gets, and answers, fails, hangs or cuts as it is told.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::sync::Semaphore;

/// What to do with a request.
#[derive(Debug, Clone)]
pub(crate) enum Behaviour {
    /// Answer with this status.
    Status(u16),
    /// Answer with this status and a `Retry-After`.
    RetryAfter(u16, String),
    /// Answer with this status and a `Location`.
    Redirect(u16, String),
    /// Answer with this status after a while.
    Slow(u16, Duration),
    /// Answer with 200 once there is a permit for it.
    When(Arc<Semaphore>),
    /// Never answer.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
    /// When it came.
    pub(crate) arrived: Instant,
    /// When it was answered, and with which status. A client that has gone may not have got that.
    pub(crate) answered: Option<(Instant, u16)>,
}

impl Seen {
    /// A request that has just come.
    pub(crate) fn new(method: String, target: String, headers: Vec<(String, Vec<u8>)>, body: Vec<u8>) -> Self {
        Self { method, target, headers, body, arrived: Instant::now(), answered: None }
    }

    /// The value of a header as text, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(field, _)| field == name);
        found.map_or_else(String::new, |(_, value)| String::from_utf8(value.clone()).unwrap())
    }
}

/// Says what to do with a request.
type Decide = dyn Fn(&Seen) -> Behaviour + Send + Sync;

struct State {
    seen: Mutex<Vec<Seen>>,
    next: Mutex<VecDeque<Behaviour>>,
    always: Mutex<Arc<Decide>>,
}

/// The running destination.
pub(crate) struct Receiver {
    /// `http://127.0.0.1:PORT/`
    pub(crate) url: String,
    state: Arc<State>,
    server: ServerHandle,
}

impl Receiver {
    /// Answers 200 until it is told otherwise.
    pub(crate) async fn start() -> Self {
        let state = Arc::new(State {
            seen: Mutex::default(),
            next: Mutex::default(),
            always: Mutex::new(Arc::new(|_: &Seen| Behaviour::Status(200))),
        });
        let data = Data::from(Arc::clone(&state));
        let server = HttpServer::new(move || {
            let limit = web::PayloadConfig::new(64 << 20);
            App::new().app_data(limit).app_data(data.clone()).default_service(web::to(receive))
        });
        let server = server.workers(1).disable_signals().shutdown_timeout(0).bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Self { url, state, server: handle }
    }

    /// Does this to every request that is not told otherwise.
    pub(crate) fn always(&self, behaviour: Behaviour) {
        self.decides(move |_| behaviour.clone());
    }

    /// Decides so about every request that is not told otherwise.
    pub(crate) fn decides(&self, decide: impl Fn(&Seen) -> Behaviour + Send + Sync + 'static) {
        *self.state.always.lock().unwrap() = Arc::new(decide);
    }

    /// Does this to the next requests, one each.
    pub(crate) fn next(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.state.next.lock().unwrap().extend(behaviours);
    }

    /// Everything that came so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How many requests came so far.
    pub(crate) fn count(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn got(&self, count: usize) -> Vec<Seen> {
        super::until(&format!("the destination has got {count} requests"), async || self.count() >= count).await;
        self.seen()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // The stop is asked for at once; what it returns only tells when it is over.
        drop(self.server.stop(false));
    }
}

async fn receive(request: HttpRequest, body: Bytes, state: Data<State>) -> HttpResponse {
    let headers = request.headers().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    let seen = Seen::new(method, target, headers, body.to_vec());
    let told = state.next.lock().unwrap().pop_front();
    let decide = Arc::clone(&state.always.lock().unwrap());
    let behaviour = told.unwrap_or_else(|| decide(&seen));
    let place = {
        let mut all = state.seen.lock().unwrap();
        all.push(seen);
        all.len() - 1
    };
    let build = |status: u16| {
        state.seen.lock().unwrap()[place].answered = Some((Instant::now(), status));
        HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
    };
    match behaviour {
        Behaviour::Status(status) => build(status).body("noted"),
        Behaviour::RetryAfter(status, when) => build(status).insert_header(("retry-after", when)).finish(),
        Behaviour::Redirect(status, location) => build(status).insert_header(("location", location)).finish(),
        Behaviour::Slow(status, pause) => {
            tokio::time::sleep(pause).await;
            build(status).body("noted at last")
        }
        Behaviour::When(permits) => {
            permits.acquire().await.unwrap().forget();
            build(200).body("noted when it was time")
        }
        Behaviour::Hang => pending().await,
    }
}
