//! Senders: each sends an event until it is acknowledged, wherever the program listens by then; some events twice, and some
//! requests forged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::support::signed::Request;
use crate::support::{github, stripe};

/// Senders at once.
const SENDERS: u64 = 4;
/// Requests that may be begun in a life before somebody has to ask for more.
const TURNS: usize = 40;
/// The different values by which events stand in order.
const KEYS: u32 = 4;
/// Between two tries of the same event.
const AGAIN: Duration = Duration::from_millis(5);

/// An event as it was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub(super) source: &'static str,
    pub(super) id: String,
    /// Who has sent it, and as its how manieth.
    pub(super) sender: u64,
    pub(super) number: u32,
    /// The value by which it stands in order.
    pub(super) key: u32,
    /// Whether no destination takes it.
    pub(super) poisoned: bool,
    /// Whether it goes to the command, too.
    pub(super) ping: bool,
}

impl Sent {
    /// An event with a number, whose ID says everything about it.
    pub(super) fn new(sender: u64, number: u32, source: &'static str, key: u32, poisoned: bool, ping: bool) -> Self {
        let poison = if poisoned { "_poison" } else { "" };
        Self { source, id: format!("evt_{sender}_{number}_k{key}{poison}"), sender, number, key, poisoned, ping }
    }

    /// The request that brings it.
    pub(super) fn request(&self) -> Request {
        match self.source {
            "stripe" => stripe(&self.id),
            _ => {
                let body = serde_json::json!({ "id": self.id, "repository": { "id": self.key } }).to_string();
                github(&self.id, if self.ping { "ping" } else { "push" }, body)
            }
        }
    }

    /// As it names the event to destinations.
    pub(super) fn idempotency_key(&self) -> String {
        format!("{}:{}", self.source, self.id)
    }
}

/// What became of an event, as far as its sender knows.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) sent: Sent,
    pub(super) acknowledged: bool,
    /// How often the answer was that it was the first.
    pub(super) accepted: u64,
    /// How often the answer was that it is a duplicate.
    pub(super) duplicates: u64,
}

/// What the senders share.
pub(super) struct Traffic {
    /// Where the program listens.
    pub(super) address: watch::Sender<String>,
    pub(super) known: Mutex<BTreeMap<String, Known>>,
    pub(super) acknowledged: AtomicUsize,
    /// The number of the next event.
    next: AtomicUsize,
    turns: Semaphore,
    over: AtomicBool,
    /// How many senders there were before.
    begun: AtomicUsize,
    seed: u64,
}

impl Traffic {
    pub(super) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            address: watch::channel(String::new()).0,
            known: Mutex::default(),
            acknowledged: AtomicUsize::new(0),
            next: AtomicUsize::new(0),
            turns: Semaphore::new(0),
            over: AtomicBool::new(false),
            begun: AtomicUsize::new(0),
            seed,
        })
    }

    /// Lets so many requests be begun, those included that nobody has begun so far.
    pub(super) fn refill(&self) {
        self.turns.add_permits(TURNS.saturating_sub(self.turns.available_permits()));
    }

    /// Senders that go on until [`Traffic::end`].
    pub(super) fn begin(self: &Arc<Self>) -> Vec<JoinHandle<()>> {
        self.over.store(false, Ordering::SeqCst);
        (0..SENDERS)
            .map(|_| {
                let number = self.begun.fetch_add(1, Ordering::SeqCst) as u64;
                tokio::spawn(Sender::new(number, Arc::clone(self)).run())
            })
            .collect()
    }

    /// Lets the senders end, each after the event at which it is.
    pub(super) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.turns.add_permits(SENDERS as usize);
    }
}

struct Sender {
    number: u64,
    chance: StdRng,
    client: reqwest::Client,
    traffic: Arc<Traffic>,
    own: Vec<Sent>,
}

impl Sender {
    fn new(number: u64, traffic: Arc<Traffic>) -> Self {
        let chance = StdRng::seed_from_u64(traffic.seed ^ (number + 1).wrapping_mul(0x9e37_79b9));
        let client = reqwest::Client::builder().no_proxy().timeout(crate::support::PATIENCE).build().unwrap();
        Self { number, chance, client, traffic, own: Vec::new() }
    }

    async fn run(mut self) {
        loop {
            self.traffic.turns.acquire().await.unwrap().forget();
            if self.traffic.over.load(Ordering::SeqCst) {
                return;
            }
            match self.chance.random_range(0..20) {
                0 | 1 => self.forge().await,
                2..=7 if !self.own.is_empty() => {
                    let again = self.own[self.chance.random_range(0..self.own.len())].clone();
                    self.deliver(again).await;
                }
                _ => self.bring().await,
            }
        }
    }

    /// A new event.
    async fn bring(&mut self) {
        let number = self.traffic.next.fetch_add(1, Ordering::SeqCst) as u32;
        let source = if self.chance.random_bool(0.4) { "stripe" } else { "github" };
        let (key, poisoned) = (self.chance.random_range(0..KEYS), self.chance.random_bool(0.02));
        let sent = Sent::new(self.number, number, source, key, poisoned, self.chance.random_bool(0.2));
        let known = Known { sent: sent.clone(), acknowledged: false, accepted: 0, duplicates: 0 };
        self.traffic.known.lock().unwrap().insert(sent.idempotency_key(), known);
        self.deliver(sent.clone()).await;
        self.own.push(sent);
    }

    /// Sends an event until it is acknowledged.
    async fn deliver(&mut self, sent: Sent) {
        let mut again = tokio::time::interval(AGAIN);
        let status = loop {
            again.tick().await;
            let base = self.traffic.address.borrow().clone();
            match sent.request().build(&self.client, &base).send().await {
                Ok(answer) if answer.status() == 200 => break answer.headers()["onceward-status"].to_str().unwrap().to_owned(),
                Ok(answer) => assert_eq!(answer.status(), 503, "{}", sent.id),
                // Refused or cut: the program has just been killed.
                Err(_) => {}
            }
        };
        let mut all = self.traffic.known.lock().unwrap();
        let known = all.get_mut(&sent.idempotency_key()).unwrap();
        match status.as_str() {
            "accepted" => known.accepted += 1,
            _ => known.duplicates += 1,
        }
        if !std::mem::replace(&mut known.acknowledged, true) {
            self.traffic.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A request that nobody has signed, once.
    async fn forge(&mut self) {
        let number = self.traffic.next.fetch_add(1, Ordering::SeqCst);
        let request = github(&format!("forged_{number}"), "push", "{}").without("x-hub-signature-256");
        let request = request.header("x-hub-signature-256", format!("sha256={}", "0".repeat(64)));
        let base = self.traffic.address.borrow().clone();
        if let Ok(answer) = request.build(&self.client, &base).send().await {
            assert_eq!(answer.status(), 401);
        }
    }
}
