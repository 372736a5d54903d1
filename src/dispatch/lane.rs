//! A destination's lane: takes what is due, claimed or handed over, has it attempted as its gate lets it through, and keeps the
//! leases meanwhile. It shares nothing with other lanes but the store, so a destination that hangs holds up only itself; and
//! it takes little more than it can begin, so a backlog stays in the store.

mod stop;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, OptionFuture};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::attempt::Worker;
use super::backoff::Backoff;
use super::gate::Room;
use super::leases::Leases;
use super::place::Place;
use super::post::{Handed, Post, Weight};
use super::waiting::{Taken, Waiting, Which};
use crate::domain::{Happening, OnDead, Timestamp};
use crate::failpoint;
use crate::store::{Claim, ClaimRequest, StoreError};

/// How often a lane looks though nobody woke it: other processes record into the same store.
const POLL: Duration = Duration::from_secs(5);

/// The least time until a lane looks again for what was not yet due, against spinning over a clock that stands still.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// Attempts whose ends are not committed yet and that hold no place any more. They keep no event in memory, only what the
/// destination answered.
pub(super) const UNCOMMITTED: usize = 256;

/// How long a lease lasts. After that another process may take over what this one does not renew.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// How often leases are renewed: two may fail before one runs out.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(10);

/// Leases that end so soon are renewed before anything is claimed: what this lane has itself must not be claimed again.
const LAPSING: Duration = Duration::from_secs(10);

/// More is claimed when no more than so many wait.
const FEW: usize = 64;

/// How long anything waits for a place while no attempt ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// Leases that are renewed or released in one transaction, which senders wait for, too.
pub(super) const TOGETHER: usize = 200;

/// One destination's lane.
pub(super) struct Lane {
    worker: Arc<Worker>,
    post: Arc<Post>,
    /// What is handed over without being claimed.
    handed: UnboundedReceiver<Handed>,
    /// Leased, and waiting for a place.
    waiting: Waiting,
    /// Each gives the time at which something is due again, if it is.
    tasks: JoinSet<Option<Timestamp>>,
    leases: Leases,
    /// Whether there is a reason to look into the store.
    called: bool,
    /// Whether anything has gone back since the last claim began.
    handed_back: bool,
    /// Whether what the claim under way brings goes back.
    give_back_claimed: bool,
    /// How many the claim under way is of, and whether as a probe.
    asked: (usize, bool),
    /// A claim under way. Attempts begin and end meanwhile.
    claiming: Option<BoxFuture<'static, Result<Claimed, StoreError>>>,
    /// When what waits goes back, unless attempts end.
    waits_until: Instant,
    next_look: Instant,
    next_renewal: Instant,
    /// There while the store fails.
    backoff: Option<Backoff>,
    /// The source that had its turn last.
    turn: Option<Arc<str>>,
    /// What is still to be brought into the form that the configuration asks for.
    to_straighten: Option<Option<OnDead>>,
}

/// A claim that has been made.
struct Claimed {
    claim: Claim,
    /// The time by which it was due.
    now: Timestamp,
    /// For what was claimed.
    tickets: OwnedSemaphorePermit,
    /// Whether it is to probe an open circuit.
    probe: bool,
}

impl Lane {
    /// The lane behind a post, whose lines are in this order.
    ///
    /// # Panics
    /// When the post has a lane already.
    pub(super) fn new(worker: Worker, post: Arc<Post>, order: Option<OnDead>) -> Self {
        let handed = post.take_receiver().expect("a post has one lane");
        Self {
            worker: Arc::new(worker),
            handed,
            waiting: Waiting::new(Arc::clone(&post)),
            post,
            tasks: JoinSet::new(),
            leases: Leases::default(),
            called: false,
            handed_back: false,
            give_back_claimed: false,
            asked: (0, false),
            claiming: None,
            waits_until: Instant::now(),
            next_look: Instant::now(),
            next_renewal: Instant::now(),
            backoff: None,
            turn: None,
            to_straighten: Some(order),
        }
    }

    /// Delivers until `shutdown`. Attempts in flight then have `grace` to end; what is still unfinished goes back.
    pub(super) async fn run(mut self, shutdown: CancellationToken, grace: Duration) {
        while self.step(&shutdown).await {}
        self.stop(grace).await;
    }

    /// Waits for the next thing to do and does it; false at shutdown. A wake-up that comes while the lane is elsewhere stays
    /// with the post and is a reason the next time.
    async fn step(&mut self, shutdown: &CancellationToken) -> bool {
        let post = Arc::clone(&self.post);
        let may_begin = self.tasks.len() < post.concurrency + UNCOMMITTED;
        let may_look = self.called && self.claiming.is_none() && self.waiting.len() <= FEW && !post.is_full() && may_begin;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return false,
            Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
            Some((delivery, ticket, weight)) = self.handed.recv() => {
                let until = delivery.event.received_at.plus(LEASE);
                self.take(Taken { delivery, ticket, weight, probe: false }, until);
            }
            () = sleep_until(self.next_renewal), if !self.leases.is_empty() => self.keep_leases().await,
            Some(outcome) = OptionFuture::from(self.claiming.as_mut()) => self.claimed(outcome),
            // What has been taken comes before what is still to be claimed: it is older.
            Ok(place) = Arc::clone(&post.places).acquire_owned(), if !self.waiting.is_empty() && may_begin => self.begin_next(place).await,
            // A place must be free, so that whatever hangs takes no more.
            Ok(place) = post.places.acquire(), if may_look => {
                drop(place);
                self.look().await;
            }
            () = sleep_until(self.waits_until), if !self.waiting.is_empty() => self.lose_patience().await,
            () = post.called(), if self.backoff.is_none() && !self.called => self.called = true,
            () = sleep_until(self.next_look), if !self.called && self.claiming.is_none() => {
                self.called = true;
                // What is due by time is older than what is being recorded.
                post.miss();
            }
        }
        if post.is_to_give_back() {
            self.hand_back().await;
            // A claim under way may be older than what has held the destination: its deliveries go back, too.
            self.give_back_claimed |= self.claiming.is_some();
        }
        if self.give_back_claimed && self.claiming.is_none() {
            self.give_back_claimed = false;
            self.hand_back().await;
        }
        if post.may_have_lost_a_lease() {
            self.next_renewal = Instant::now();
        }
        true
    }

    /// Takes a delivery whose lease lasts until then.
    fn take(&mut self, taken: Taken, until: Timestamp) {
        let now = Instant::now();
        if self.leases.is_empty() {
            self.next_renewal = now + RENEW_EVERY;
        }
        if self.waiting.is_empty() {
            self.waits_until = now + PATIENCE;
        }
        self.leases.add(taken.delivery.lease, until);
        self.waiting.push(taken);
    }

    /// What waits goes back if no place has become free for long: the destination does not keep up.
    async fn lose_patience(&mut self) {
        let now = Instant::now();
        match self.post.has_ended_within(PATIENCE, now) {
            true => self.waits_until = now + PATIENCE,
            false => self.hand_back().await,
        }
    }

    async fn keep_leases(&mut self) {
        if let Err(error) = self.renew().await {
            self.tell(&error);
        }
    }

    /// Begins what has waited longest. If the destination turns out to be held back since it was taken, everything goes back.
    async fn begin_next(&mut self, place: OwnedSemaphorePermit) {
        let running = self.post.running().saturating_sub(1);
        if !self.waiting.probes() && !self.post.gate.lets(Instant::now(), running) {
            drop(place);
            return self.hand_back().await;
        }
        let Some(Taken { delivery, ticket, weight, probe }) = self.waiting.pop() else { return };
        drop(weight);
        let lease = delivery.lease;
        let place = Place::new(Arc::clone(&self.post), place, ticket, probe);
        let over = place.over();
        let task = self.tasks.spawn(Arc::clone(&self.worker).work(delivery, place));
        self.leases.attempt(lease, task, over);
    }

    /// Begins a claim of what is due, as far as the gate lets it through.
    async fn look(&mut self) {
        self.called = false;
        // What this lane has itself must not be claimed again, whatever the clock or the store have been through.
        if self.leases.end_before(self.worker.clock.now().plus(LAPSING))
            && let Err(error) = self.renew().await
        {
            return self.troubled(&error);
        }
        if let Err(error) = self.straighten().await {
            return self.troubled(&error);
        }
        let Some((tickets, probe)) = self.share() else { return };
        self.asked = (tickets.num_permits(), probe);
        // Counted before it is known how much there is, so that what is handed over meanwhile does not count on the same.
        self.post.gate.began(Instant::now(), self.asked.0, probe);
        failpoint::reach("claim.before");
        self.post.claim_begins();
        let request = ClaimRequest {
            destination: Arc::clone(&self.post.name),
            limit: tickets.num_permits(),
            now: self.worker.clock.now(),
            lease: LEASE,
            after: self.turn.clone(),
        };
        let outbox = Arc::clone(&self.worker.outbox);
        self.handed_back = false;
        let mut claiming: BoxFuture<'static, _> = Box::pin(async move {
            let now = request.now;
            outbox.claim(request).await.map(|claim| Claimed { claim, now, tickets, probe })
        });
        // Asked for at once, so that what is recorded from here on comes behind it.
        tokio::select! {
            biased;
            outcome = &mut claiming => self.claimed(outcome),
            () = std::future::ready(()) => self.claiming = Some(claiming),
        }
    }

    async fn straighten(&mut self) -> Result<(), StoreError> {
        failpoint::reach("straighten.before");
        if let Some(order) = self.to_straighten
            && !self.worker.outbox.straighten(Arc::clone(&self.post.name), order, self.worker.clock.now()).await?
        {
            self.to_straighten = None;
            failpoint::reach("straighten.after");
        }
        Ok(())
    }

    /// Tickets for as much as may be claimed, and whether it is a probe; `None`, and when to look again, for nothing.
    fn share(&mut self) -> Option<(OwnedSemaphorePermit, bool)> {
        let (now, tickets) = (Instant::now(), &self.post.tickets);
        let (limit, probe) = match self.post.gate.room(now, self.post.running()) {
            Room::For { ahead: true, .. } => (self.post.tickets_for_claim(now), false),
            // However many are under way: a probe is one more.
            Room::For { probe: true, .. } => (1, true),
            Room::For { count, .. } => (count.min(self.post.tickets_for_claim(now)), false),
            Room::From(at) => {
                self.next_look = at.min(now + POLL);
                return None;
            }
            // That end is a reason of its own.
            Room::AfterAnEnd => {
                self.next_look = now + POLL;
                return None;
            }
        };
        let taken = u32::try_from(limit).ok().filter(|limit| *limit > 0);
        let taken = taken.and_then(|limit| Arc::clone(tickets).try_acquire_many_owned(limit).ok());
        if taken.is_none() {
            // All are kept for what is being recorded, for as long as a commit takes.
            self.next_look = now + SHORTEST_WAIT;
        }
        taken.map(|tickets| (tickets, probe))
    }

    fn claimed(&mut self, outcome: Result<Claimed, StoreError>) {
        self.claiming = None;
        let Claimed { claim, now: due_by, mut tickets, probe } = match outcome {
            Ok(claimed) => claimed,
            Err(error) => {
                self.give_back_asked(0);
                return self.troubled(&error);
            }
        };
        failpoint::reach("claim.after");
        self.backoff = None;
        let (now, limit) = (Instant::now(), tickets.num_permits());
        let wait = if self.to_straighten.is_some() { SHORTEST_WAIT } else { self.until_next(&claim, limit) };
        self.next_look = now + wait;
        let left = claim.next_due.is_some_and(|due| due <= due_by) || self.handed_back;
        self.post.fall_behind(left || claim.paused || self.to_straighten.is_some() || probe);
        self.give_back_asked(claim.deliveries.len());
        // What was handed over before the destination was held may have come after that was told.
        self.give_back_claimed |= claim.paused && !self.waiting.is_empty();
        for buried in &claim.buried {
            self.worker.observer.happened(&Happening::Buried { destination: &self.post.name, buried });
        }
        if let Some(last) = claim.deliveries.last() {
            self.turn = Some(Arc::clone(&last.event.key.source));
        }
        for delivery in claim.deliveries {
            // A store that hands out more than was asked for is wrong; the excess is left to its lease.
            let Some(ticket) = tickets.split(1) else { return };
            let weight = Weight::new(&self.post, delivery.event.body.len());
            self.take(Taken { delivery, ticket, weight, probe }, due_by.plus(LEASE));
        }
    }

    /// What was counted before a claim and has not come of it does not begin.
    fn give_back_asked(&self, found: usize) {
        let (count, probe) = self.asked;
        (found..count).for_each(|_| self.post.gate.began_not(Instant::now(), probe));
    }

    fn until_next(&self, claim: &Claim, limit: usize) -> Duration {
        let Some(due) = claim.next_due else { return POLL };
        let wait = due.since(self.worker.clock.now()).min(POLL);
        if claim.deliveries.len() < limit { wait.max(SHORTEST_WAIT) } else { wait }
    }

    /// An attempt's task is over. When something is due again sooner than the lane meant to look, it looks then: the claim
    /// before could not tell.
    fn forget(&mut self, end: &Result<(Id, Option<Timestamp>), JoinError>) {
        let (id, due) = match end {
            Ok((id, due)) => (*id, *due),
            Err(error) => (error.id(), None),
        };
        self.leases.ended(id);
        if let Some(due) = due.filter(|_| self.backoff.is_none()) {
            let wait = due.since(self.worker.clock.now()).clamp(SHORTEST_WAIT, POLL);
            self.next_look = self.next_look.min(Instant::now() + wait);
        }
    }

    /// Prolongs every lease. An attempt whose lease is lost is broken off: somebody else makes it, or it was called off.
    async fn renew(&mut self) -> Result<(), StoreError> {
        self.next_renewal = Instant::now() + RENEW_EVERY / 10;
        let until = self.worker.clock.now().plus(LEASE);
        for leases in self.leases.all().chunks(TOGETHER) {
            failpoint::reach("renew.before");
            let lost = self.worker.outbox.renew(leases.to_vec(), until).await?;
            failpoint::reach("renew.after");
            self.leases.give_up(&lost);
            self.waiting.give_up(Which::Under(&lost)).iter().for_each(|lease| self.leases.remove(lease));
        }
        self.leases.renewed(until);
        self.next_renewal = Instant::now() + RENEW_EVERY;
        Ok(())
    }

    fn troubled(&mut self, error: &StoreError) {
        self.tell(error);
        // Whatever was to be claimed is older than what is being recorded.
        self.post.fall_behind(true);
        self.next_look = Instant::now() + self.backoff.get_or_insert_default().next();
    }

    fn tell(&self, error: &StoreError) {
        self.worker.observer.happened(&Happening::StoreFailed { cause: &error.to_string() });
    }

    /// Gives back what waits, to be claimed again when it may begin.
    async fn hand_back(&mut self) {
        self.post.fall_behind(true);
        self.handed_back = true;
        let unbegun = self.waiting.give_up(Which::All);
        unbegun.iter().for_each(|lease| self.leases.remove(lease));
        self.called = true;
        self.give_back(unbegun, false).await;
    }
}
