//! The store as a list.

use std::sync::Arc;

use proptest::sample::Index;

use super::super::at;
use crate::domain::lifecycle::{self, Applied, Lifecycle, Owner, Step};
use crate::domain::{Backlog, DeliveryId, DeliveryStatus, Due, EventKey, Lease, Line, OnDead, ReplayGuard, Timestamp, Verdict};
use crate::store::{Change, Recorded};

pub(super) const SOURCES: [&str; 3] = ["hub", "pay", "chat"];
pub(super) const DESTINATIONS: [&str; 2] = ["app", "mail"];

/// Deliveries to as many destinations, each in one of two lines or in none.
pub(super) fn due(lines: &[usize]) -> Vec<Due> {
    let line = |number: &usize| [None, Some(Line(1)), Some(Line(-1))][*number];
    DESTINATIONS.iter().zip(lines).map(|(name, number)| Due { line: line(number), ..Due::to((*name).into()) }).collect()
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) key: EventKey,
    content: u8,
    /// Whether others are compared with it.
    guarded: bool,
    pub(super) same_content_as: Option<String>,
    pub(super) body_differs: bool,
    pub(super) received: i64,
    pub(super) duplicates: u64,
    pub(super) payload: bool,
    pub(super) deliveries: Vec<Delivery>,
}

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) id: DeliveryId,
    pub(super) destination: &'static str,
    line: Option<Line>,
    pub(super) life: Lifecycle,
    /// The attempts whose ends counted.
    pub(super) ended: Vec<u32>,
}

impl Event {
    /// Whether nothing of it is unfinished, or holds up others.
    fn is_finished(&self) -> bool {
        self.deliveries.iter().all(|delivery| delivery.life.status() != DeliveryStatus::Pending && !delivery.life.holds_line())
    }
}

/// What a claim finds: deliveries with leases and failures, when the next is due, and whether the destination is held.
type Found = (Vec<(EventKey, Lease, u32)>, Option<Timestamp>, bool);

#[derive(Default)]
pub(super) struct Model {
    pub(super) now: i64,
    /// In the order in which they were first recorded, which is the order of their turns.
    sources: Vec<Arc<str>>,
    pub(super) events: Vec<Event>,
    /// Every lease ever held, and by whom.
    pub(super) leases: Vec<(Owner, Lease)>,
    /// Every delivery there ever was.
    ids: Vec<DeliveryId>,
    owners: u64,
    /// For each destination.
    pub(super) paused: [bool; 2],
}

impl Model {
    pub(super) fn new_owner(&mut self) -> Owner {
        self.owners += 1;
        Owner(self.owners)
    }

    pub(super) fn record(&mut self, key: EventKey, content: u8, guard: Option<ReplayGuard>, deliveries: &[Due]) -> Recorded {
        if let Some(event) = self.events.iter_mut().find(|event| event.key == key) {
            event.duplicates += 1;
            event.body_differs |= event.content != content;
            return if event.content == content { Recorded::Duplicate } else { Recorded::BodyDiffers };
        }
        let is_same = |event: &&mut Event| event.guarded && event.content == content && event.key.source == key.source;
        let mut earlier = self.events.iter_mut().find(is_same).filter(|_| guard.is_some());
        if let (Some(earlier), Some(ReplayGuard::Drop)) = (&mut earlier, guard) {
            earlier.duplicates += 1;
            return Recorded::Dropped { earlier: Arc::clone(&earlier.key.event_id) };
        }
        let same = earlier.map(|earlier| Arc::clone(&earlier.key.event_id));
        let deliveries = DESTINATIONS.iter().zip(deliveries).map(|(name, due)| self.joining(name, due.line)).collect();
        if !self.sources.contains(&key.source) {
            self.sources.push(Arc::clone(&key.source));
        }
        self.events.push(Event {
            key,
            content,
            guarded: guard.is_some() && same.is_none(),
            same_content_as: same.as_ref().map(ToString::to_string),
            body_differs: false,
            received: self.now,
            duplicates: 0,
            payload: true,
            deliveries,
        });
        same.map_or(Recorded::Fresh, |earlier| Recorded::SameContent { earlier })
    }

    fn joining(&self, destination: &'static str, line: Option<Line>) -> Delivery {
        let life = match line {
            Some(line) => Lifecycle::joining(at(self.now), self.is_taken(destination, line)),
            None => Lifecycle::new(at(self.now)),
        };
        Delivery { id: DeliveryId(0), destination, line, life, ended: Vec::new() }
    }

    /// The deliveries of the event that was just recorded have these IDs.
    pub(super) fn name_deliveries(&mut self, ids: &[DeliveryId]) {
        let deliveries = self.events.last_mut().map(|event| &mut event.deliveries).unwrap();
        assert_eq!(deliveries.len(), ids.len());
        for (delivery, id) in deliveries.iter_mut().zip(ids) {
            delivery.id = *id;
        }
        self.ids.extend(ids);
    }

    /// One of all that there ever were.
    pub(super) fn any_delivery(&self, which: &Index) -> Option<DeliveryId> {
        (!self.ids.is_empty()).then(|| *which.get(&self.ids))
    }

    fn deliveries(&self) -> impl Iterator<Item = (&Event, &Delivery)> {
        self.events.iter().flat_map(|event| event.deliveries.iter().map(move |delivery| (event, delivery)))
    }

    fn deliveries_mut(&mut self) -> impl Iterator<Item = &mut Delivery> {
        self.events.iter_mut().flat_map(|event| &mut event.deliveries)
    }

    fn of(&self, id: DeliveryId) -> Option<(&Event, &Delivery)> {
        self.deliveries().find(|(_, delivery)| delivery.id == id)
    }

    fn is_taken(&self, destination: &str, line: Line) -> bool {
        let joined = self.deliveries().map(|(_, delivery)| delivery);
        lifecycle::is_taken(joined.filter(|other| other.destination == destination && other.line == Some(line)).map(|other| &other.life))
    }

    /// Applies a step now, and has the next one of the line step forward then if need be.
    fn apply_then(&mut self, id: DeliveryId, step: Step, then: Timestamp) -> Applied {
        let Some(delivery) = self.deliveries_mut().find(|delivery| delivery.id == id) else { return Applied::Not };
        let applied = delivery.life.apply(step);
        let (destination, line) = (delivery.destination, delivery.line);
        if applied == Applied::LeftFirstPlace {
            let joined = self.deliveries_mut().filter(|other| other.destination == destination && other.line == line);
            let _ = lifecycle::step_forward(joined.map(|other| &mut other.life), then);
        }
        applied
    }

    pub(super) fn apply(&mut self, id: DeliveryId, step: Step) -> Applied {
        self.apply_then(id, step, at(self.now))
    }

    pub(super) fn claim(&mut self, owner: Owner, destination: &str, limit: usize, after: Option<&str>) -> Found {
        if !self.deliveries().any(|(_, delivery)| delivery.destination == destination) && !self.is_paused(destination) {
            return Found::default();
        }
        if self.is_paused(destination) {
            return (Vec::new(), None, true);
        }
        let (now, until) = (at(self.now), at(self.now + 60));
        let due = self.in_turn(destination, after);
        let mut claimed = Vec::new();
        for id in due.into_iter().take(limit) {
            assert!(self.apply(id, Step::Claim { owner, now, until }).counts());
            let (event, delivery) = self.of(id).unwrap();
            let lease = Lease { delivery: id, attempt: delivery.life.attempts(), ordered: delivery.life.stands() };
            claimed.push((event.key.clone(), lease, delivery.life.failures()));
        }
        // A lease that has not run out is nothing to wait for.
        let lives = self.deliveries().filter(|(_, delivery)| delivery.destination == destination).map(|(_, delivery)| delivery.life);
        let waiting = lives.filter(|life| !life.is_leased() || life.claimable_from() <= Some(now));
        let next = waiting.filter_map(|life| life.claimable_from()).min();
        (claimed, next, false)
    }

    /// What is due: one of each source in turn, beginning behind a source; of each the oldest first.
    fn in_turn(&self, destination: &str, after: Option<&str>) -> Vec<DeliveryId> {
        let is_due = |life: &Lifecycle| life.claimable_from().filter(|from| *from <= at(self.now));
        let of_source = |source: &Arc<str>| {
            let own = self.deliveries().filter(|(event, delivery)| event.key.source == *source && delivery.destination == destination);
            let mut due: Vec<_> = own.filter_map(|(_, delivery)| Some((is_due(&delivery.life)?, delivery.id))).collect();
            due.sort();
            due
        };
        let first = self.sources.iter().position(|source| Some(&**source) == after).map_or(0, |last| last + 1);
        let in_turn = self.sources[first..].iter().chain(&self.sources[..first]);
        let of_each: Vec<_> = in_turn.map(of_source).collect();
        let rounds = of_each.iter().map(Vec::len).max().unwrap_or(0);
        (0..rounds).flat_map(|round| of_each.iter().filter_map(move |due| due.get(round)).map(|(_, id)| *id)).collect()
    }

    pub(super) fn finish(&mut self, owner: Owner, lease: Lease, verdict: Verdict, on_dead: OnDead) -> bool {
        let step = Step::Finish { owner, attempt: lease.attempt, verdict, on_dead };
        // The attempt takes two seconds, and the next one steps forward at its end.
        let counted = self.apply_then(lease.delivery, step, at(self.now + 2)).counts();
        if counted {
            let ended = self.deliveries_mut().find(|delivery| delivery.id == lease.delivery).unwrap();
            ended.ended.push(lease.attempt);
        }
        counted
    }

    pub(super) fn retry(&mut self, id: DeliveryId) -> Change {
        let Some((event, delivery)) = self.of(id) else { return Change::Unknown };
        let taken = delivery.line.is_some_and(|line| self.is_taken(delivery.destination, line));
        let done = Change::Done { destination: delivery.destination.into() };
        let change = match delivery.life.status() {
            DeliveryStatus::Delivered => Change::Conflict(DeliveryStatus::Delivered),
            DeliveryStatus::Dead | DeliveryStatus::Cancelled if !event.payload => Change::Gone,
            _ => done.clone(),
        };
        if change == done {
            let _ = self.apply(id, Step::Retry { now: at(self.now), taken });
        }
        change
    }

    pub(super) fn cancel(&mut self, id: DeliveryId) -> Change {
        let Some((_, delivery)) = self.of(id) else { return Change::Unknown };
        let (destination, status) = (delivery.destination.into(), delivery.life.status());
        let counted = self.apply(id, Step::Cancel).counts();
        assert_eq!(counted, matches!(status, DeliveryStatus::Pending | DeliveryStatus::Dead));
        if status == DeliveryStatus::Delivered { Change::Conflict(status) } else { Change::Done { destination } }
    }

    pub(super) fn straighten(&mut self, destination: &str, order: Option<OnDead>) {
        let step = match order {
            None => Step::LeaveLine { now: at(self.now) },
            Some(OnDead::Skip) => Step::LetGo,
            Some(OnDead::Hold) => return,
        };
        let own = self.deliveries().filter(|(_, delivery)| delivery.destination == destination);
        for id in own.map(|(_, delivery)| delivery.id).collect::<Vec<_>>() {
            let counted = self.apply(id, step).counts();
            if counted && order.is_none() {
                self.deliveries_mut().filter(|delivery| delivery.id == id).for_each(|delivery| delivery.line = None);
            }
        }
    }

    /// Takes the leases of all but the living; tells how many.
    pub(super) fn recover(&mut self, living: &[Owner]) -> u64 {
        let now = at(self.now);
        let dead: Vec<_> = (1..=self.owners).map(Owner).filter(|owner| !living.contains(owner)).collect();
        let mut voided = 0;
        for delivery in self.deliveries_mut() {
            voided += dead.iter().filter(|owner| delivery.life.apply(Step::Void { owner: **owner, now }).counts()).count() as u64;
        }
        voided
    }

    pub(super) fn prune(&mut self, bodies_before: i64, ids_before: i64) -> (u64, u64) {
        let mut payloads = 0;
        for event in &mut self.events {
            let old = event.received < bodies_before || event.received < ids_before;
            if event.payload && old && event.is_finished() {
                event.payload = false;
                payloads += 1;
            }
        }
        let before = self.events.len();
        self.events.retain(|event| event.received >= ids_before || !event.is_finished());
        (payloads, (before - self.events.len()) as u64)
    }

    fn is_paused(&self, destination: &str) -> bool {
        DESTINATIONS.iter().zip(self.paused).any(|(name, paused)| *name == destination && paused)
    }

    /// The destinations that are held.
    pub(super) fn paused_names(&self) -> Vec<&'static str> {
        DESTINATIONS.into_iter().filter(|name| self.is_paused(name)).collect()
    }

    /// What is unfinished, for each destination that has anything.
    pub(super) fn backlog(&self) -> Vec<Backlog> {
        let of = |destination: &&str| {
            let own = self.deliveries().filter(|(_, delivery)| delivery.destination == *destination);
            let pending: Vec<_> = own.filter(|(_, delivery)| delivery.life.status() == DeliveryStatus::Pending).collect();
            let oldest = at(pending.first()?.0.received);
            Some(Backlog { destination: (*destination).into(), pending: pending.len() as u64, oldest: Some(oldest) })
        };
        DESTINATIONS.iter().filter_map(of).collect()
    }
}
