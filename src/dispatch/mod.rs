//! Has what is due attempted: a lane for each destination, the retry policy, and the recovery of what dead processes held.
//! It decides when and whether again; `deliver` knows how, the store what.

mod attempt;
mod backoff;
mod brake;
mod circuit;
mod ends;
mod gate;
mod lane;
mod leases;
mod pace;
mod place;
mod post;
mod retry;
mod waiting;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use gate::Limits;
pub use retry::verdict;

use crate::config::{self, Retry};
use crate::deliver::Destination;
use crate::domain::{Announce, Clock, Happening, LaneState, Lanes, Observer, OnDead, Reservation, Wake};
use crate::failpoint;
use crate::store::Outbox;

use attempt::Worker;
use lane::Lane;
use post::Post;

/// How often leases of processes that have died are looked for.
const RECOVER_EVERY: Duration = Duration::from_secs(10);

/// What an attempt may last beyond the destination's time-out before it is cut off.
const PATIENCE_MARGIN: Duration = Duration::from_secs(10);

/// What lanes may take beyond the grace period, to hand back their leases.
const STOP_MARGIN: Duration = Duration::from_millis(1_500);

/// The grace period for attempts in flight at shutdown, unless there is a reason for another: with what follows it, even on
/// a locked database, below the 10 s after which `docker stop` kills.
pub const GRACE: Duration = Duration::from_secs(7);

/// What a [`Dispatcher`] is made of.
pub struct Parts {
    /// Where deliveries come from and their ends go.
    pub outbox: Arc<dyn Outbox>,
    /// The destinations. Deliveries for any other stay pending.
    pub lanes: Vec<LaneParts>,
    /// Decides what is due.
    pub clock: Arc<dyn Clock>,
    /// Is told of attempts and of store trouble.
    pub observer: Arc<dyn Observer>,
    /// Makes events of what ends dead.
    pub announce: Arc<dyn Announce>,
    /// How long attempts in flight may go on after shutdown; [`GRACE`] by default.
    pub grace: Duration,
}

/// One destination.
pub struct LaneParts {
    /// Its name.
    pub name: Arc<str>,
    /// What attempts are made at.
    pub destination: Arc<dyn Destination>,
    /// The most time for one attempt.
    pub timeout: Duration,
    /// What it bears.
    pub limits: Limits,
    /// When to try again.
    pub retry: Retry,
    /// What becomes of those behind a dead one, where there is an order.
    pub order: Option<OnDead>,
}

impl LaneParts {
    /// A lane as configured.
    pub fn new(config: &config::Destination, destination: Arc<dyn Destination>) -> Self {
        Self {
            name: Arc::clone(&config.name),
            destination,
            timeout: config.timeout,
            limits: Limits { concurrency: config.concurrency, rate: config.rate_limit, circuit: config.circuit },
            retry: config.retry.clone(),
            order: config.order_by.as_ref().map(|_| config.on_dead),
        }
    }
}

/// Delivers what the store has for its destinations.
pub struct Dispatcher {
    recovery: Recovery,
    lanes: Vec<Lane>,
    posts: Arc<Posts>,
    grace: Duration,
}

/// Takes over what dead processes held.
struct Recovery {
    outbox: Arc<dyn Outbox>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    posts: Arc<Posts>,
}

/// The posts of all lanes by the names of their destinations.
struct Posts(HashMap<Arc<str>, Arc<Post>>);

impl Wake for Posts {
    /// A name without a lane is passed over: its deliveries wait for a configuration that has it.
    fn wake(&self, destination: &Arc<str>) {
        if let Some(post) = self.0.get(destination) {
            post.due();
        }
    }

    fn called_off(&self, destination: &Arc<str>) {
        if let Some(post) = self.0.get(destination) {
            post.check_leases();
        }
    }

    fn held(&self, destination: &Arc<str>) {
        if let Some(post) = self.0.get(destination) {
            post.give_back();
        }
    }

    fn reserve(&self, destination: &Arc<str>, bytes: usize) -> Option<Reservation> {
        self.0.get(destination)?.reserve(bytes)
    }
}

impl Lanes for Posts {
    fn states(&self) -> Vec<LaneState> {
        self.0.values().map(|post| post.state()).collect()
    }
}

impl Dispatcher {
    /// A dispatcher that does nothing until [`Dispatcher::run`].
    pub fn new(parts: Parts) -> Self {
        let Parts { outbox, lanes, clock, observer, announce, grace } = parts;
        let post = |lane: &LaneParts| {
            let limits = Limits { concurrency: lane.limits.concurrency.max(1), ..lane.limits };
            (Arc::clone(&lane.name), Arc::new(Post::new(Arc::clone(&lane.name), limits, Arc::clone(&observer))))
        };
        let posts = Arc::new(Posts(lanes.iter().map(post).collect()));
        let lane = |parts: LaneParts| {
            let worker = Worker {
                outbox: Arc::clone(&outbox),
                clock: Arc::clone(&clock),
                observer: Arc::clone(&observer),
                announce: Arc::clone(&announce),
                wake: Arc::clone(&posts) as Arc<dyn Wake>,
                destination: parts.destination,
                retry: parts.retry,
                on_dead: parts.order.unwrap_or_default(),
                patience: parts.timeout + PATIENCE_MARGIN,
            };
            Lane::new(worker, Arc::clone(&posts.0[&parts.name]), parts.order)
        };
        let lanes = lanes.into_iter().map(lane).collect();
        let recovery = Recovery { outbox, clock, observer, posts: Arc::clone(&posts) };
        Self { recovery, lanes, posts, grace }
    }

    /// Wakes the lanes of the destinations it is told. Works before [`Dispatcher::run`] too, and does nothing after it.
    pub fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.posts) as Arc<dyn Wake>
    }

    /// Tells how the destinations fare.
    pub fn lanes(&self) -> Arc<dyn Lanes> {
        Arc::clone(&self.posts) as Arc<dyn Lanes>
    }

    /// Delivers until `shutdown`. Then claims nothing more, lets attempts in flight go on for the grace period, hands back
    /// what is unfinished, and returns.
    ///
    /// # Panics
    /// When a lane has panicked, which is a bug: better a process that is seen to end than one that no longer delivers.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { recovery, lanes: idle, grace, .. } = self;
        recovery.run().await;
        let mut lanes = JoinSet::new();
        for lane in idle {
            lanes.spawn(lane.run(shutdown.clone(), grace));
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(end) = lanes.join_next() => pass_panic_on(end),
                () = sleep(RECOVER_EVERY) => recovery.run().await,
            }
        }
        let stopped = async {
            while let Some(end) = lanes.join_next().await {
                pass_panic_on(end);
            }
        };
        // An attempt that blocks its thread cannot be aborted: it is left behind, and its lease with it.
        timeout(grace + STOP_MARGIN, stopped).await.ok();
    }
}

impl Recovery {
    async fn run(&self) {
        failpoint::reach("recover.before");
        let recovered = self.outbox.recover(self.clock.now()).await;
        failpoint::reach("recover.after");
        match recovered {
            Ok(0) => {}
            Ok(_) => self.posts.0.values().for_each(|post| post.due()),
            Err(error) => self.observer.happened(&Happening::StoreFailed { cause: &error.to_string() }),
        }
    }
}

fn pass_panic_on(end: Result<(), JoinError>) {
    if let Some(panic) = end.err().and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
