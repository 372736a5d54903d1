//! Deliveries with a record of what was seen of them.

use std::collections::BTreeSet;

use super::super::*;

/// How long leases last.
pub(super) const LEASE: i64 = 60;
/// The most deliveries in a world that deliveries join.
pub(super) const MOST: usize = 6;

/// Something that happens in a [`World`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    Join,
    Claim(u64),
    /// `back` leases before the last one, reported by its owner or by somebody else.
    Finish {
        back: usize,
        foreign: bool,
        verdict: Ending,
    },
    Release {
        back: usize,
        foreign: bool,
    },
    Renew {
        back: usize,
        foreign: bool,
    },
    Die(u64),
    Wait(i64),
    Pause,
    Retry(usize),
    Cancel(usize),
    Bury,
    PutOff,
    LeaveLine(usize),
    LetGo(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Delivered,
    RetryIn(i64),
    Dead(OnDead),
}

/// A delivery, and what was seen of it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    life: Lifecycle,
    /// The lease that was given last and has not been ended, handed back or taken.
    held: Option<(Owner, u32)>,
    /// The attempts whose ends counted.
    ended: BTreeSet<u32>,
    retried: bool,
}

/// One delivery in no line, or all that have ever joined a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct World {
    now: i64,
    paused: bool,
    ordered: bool,
    deliveries: Vec<Seen>,
    /// Every lease ever given: whose delivery, to whom, which attempt.
    leases: Vec<(usize, Owner, u32)>,
    /// In the order in which they were first attempted.
    begun: Vec<usize>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

impl World {
    /// A single delivery that goes in any order.
    pub(super) fn of_one() -> Self {
        let mut world = Self { now: 0, paused: false, ordered: false, deliveries: Vec::new(), leases: Vec::new(), begun: Vec::new() };
        world.join();
        world
    }

    /// A line in which so many stand.
    pub(super) fn line(length: usize) -> Self {
        let mut world = Self { ordered: true, deliveries: Vec::new(), ..Self::of_one() };
        (0..length).for_each(|_| world.join());
        world
    }

    fn lives(&self) -> impl Iterator<Item = &Lifecycle> {
        self.deliveries.iter().map(|seen| &seen.life)
    }

    fn join(&mut self) {
        let life = match self.ordered {
            true => Lifecycle::joining(at(self.now), is_taken(self.lives())),
            false => Lifecycle::new(at(self.now)),
        };
        self.deliveries.push(Seen { life, held: None, ended: BTreeSet::new(), retried: false });
    }

    fn claimable(&self) -> Option<usize> {
        self.lives().position(|life| life.claimable_from().is_some_and(|from| from <= at(self.now)))
    }

    pub(super) fn act(&mut self, act: Act) {
        let now = at(self.now);
        match act {
            Act::Join if self.ordered && self.deliveries.len() < MOST => self.join(),
            Act::Join => {}
            Act::Wait(seconds) => self.now += seconds,
            Act::Pause => self.paused = !self.paused,
            Act::Claim(owner) => self.claim(Owner(owner)),
            Act::Bury => self.first_due(Step::Bury { now }),
            Act::PutOff => self.first_due(Step::PutOff { now, due: at(self.now + 10) }),
            Act::Die(owner) => (0..self.deliveries.len()).for_each(|which| self.take_from_the_dead(which, Owner(owner))),
            Act::Finish { .. } | Act::Release { .. } | Act::Renew { .. } => self.report(act),
            Act::Retry(which) => self.retry(which),
            Act::Cancel(which) => {
                let _ = self.ends_its_lease(which, Step::Cancel);
            }
            Act::LeaveLine(which) => {
                let _ = self.apply(which, Step::LeaveLine { now });
            }
            Act::LetGo(which) => {
                let _ = self.apply(which, Step::LetGo);
            }
        }
        self.check();
    }

    /// Applies a step and has the next one step forward; what holds for every step is held here.
    fn apply(&mut self, which: usize, step: Step) -> Applied {
        let Some(seen) = self.deliveries.get_mut(which) else { return Applied::Not };
        let before = seen.life;
        let applied = seen.life.apply(step);
        check_step(&before, &seen.life, step, applied);
        if applied == Applied::LeftFirstPlace {
            let stands = is_taken(self.lives());
            let stepped = step_forward(self.deliveries.iter_mut().map(|seen| &mut seen.life), at(self.now));
            assert_eq!(stepped.counts(), stands, "the next one of a line steps forward, whenever there is one");
        }
        applied
    }

    fn ends_its_lease(&mut self, which: usize, step: Step) -> bool {
        let counted = self.apply(which, step).counts();
        if counted {
            self.deliveries[which].held = None;
        }
        counted
    }

    fn claim(&mut self, owner: Owner) {
        let Some(which) = self.claimable().filter(|_| !self.paused) else { return };
        let counted = self.apply(which, Step::Claim { owner, now: at(self.now), until: at(self.now + LEASE) }).counts();
        assert!(counted, "what can be claimed is");
        let attempt = self.deliveries[which].life.attempts();
        self.deliveries[which].held = Some((owner, attempt));
        self.leases.push((which, owner, attempt));
        if attempt == 1 {
            self.begun.push(which);
        }
    }

    fn first_due(&mut self, step: Step) {
        if let Some(which) = self.claimable().filter(|_| !self.paused) {
            assert!(self.ends_its_lease(which, step), "it is due");
        }
    }

    fn take_from_the_dead(&mut self, which: usize, owner: Owner) {
        let held = self.deliveries[which].held.is_some_and(|(holder, _)| holder == owner);
        let voided = self.ends_its_lease(which, Step::Void { owner, now: at(self.now) });
        assert_eq!(voided, held, "all that the dead held is taken, and nothing else");
    }

    /// Somebody reports under a lease: it counts if and only if that is the last one, given to them and not over.
    fn report(&mut self, act: Act) {
        let (Act::Finish { back, foreign, .. } | Act::Release { back, foreign } | Act::Renew { back, foreign }) = act else { return };
        let Some((which, owner, attempt)) = self.leases.len().checked_sub(back + 1).map(|last| self.leases[last]) else { return };
        let owner = if foreign { Owner(owner.0 + 1) } else { owner };
        let is_current = self.deliveries[which].held == Some((owner, attempt));
        let counted = match act {
            Act::Renew { .. } => self.apply(which, Step::Renew { owner, attempt, until: at(self.now + LEASE) }).counts(),
            Act::Release { .. } => self.ends_its_lease(which, Step::Release { owner, attempt, due: at(self.now + 5) }),
            Act::Finish { verdict, .. } => {
                let (verdict, on_dead) = verdict.at(self.now);
                let counted = self.ends_its_lease(which, Step::Finish { owner, attempt, verdict, on_dead });
                assert!(!counted || self.deliveries[which].ended.insert(attempt), "an attempt ends once");
                counted
            }
            _ => return,
        };
        assert_eq!(counted, is_current, "{act:?} under attempt {attempt} of {owner:?}");
    }

    fn retry(&mut self, which: usize) {
        let taken = is_taken(self.lives());
        let had_ended = |life: &Lifecycle| matches!(life.status(), DeliveryStatus::Dead | DeliveryStatus::Cancelled);
        let Some(ended) = self.lives().nth(which).map(had_ended) else { return };
        let counted = self.apply(which, Step::Retry { now: at(self.now), taken }).counts();
        assert!(counted || !ended, "what is dead or cancelled can always be retried");
        self.deliveries[which].retried |= ended;
    }

    /// What holds at any time.
    fn check(&self) {
        let stand = self.lives().filter(|life| life.stands()).count();
        let first = self.lives().filter(|life| life.stands() && !life.waits_in_line()).count();
        assert_eq!(first, stand.min(1), "of those in a line one is first, and only that is due, leased, or holds: {self:#?}");
        for seen in &self.deliveries {
            let life = seen.life;
            assert!(life.failures() <= life.attempts(), "{life:?}");
            assert!(!life.waits_in_line() || life.stands(), "{life:?}");
            assert_eq!(life.is_leased(), seen.held.is_some(), "{seen:?}");
            check_not_stuck(life);
        }
        let unhurried: Vec<_> = self.begun.iter().filter(|which| !self.deliveries[**which].retried).collect();
        assert!(unhurried.is_sorted() || !self.ordered_throughout(), "first attempts are in the order of creation: {self:#?}");
    }

    /// Whether nobody was let out of the line before its end.
    fn ordered_throughout(&self) -> bool {
        self.lives().all(|life| life.place != Place::Free)
    }

    /// From here on all attempts succeed: then nobody waits, but behind a dead one that holds.
    pub(super) fn drain(mut self) {
        self.paused = false;
        while let Some(from) = self.lives().filter_map(Lifecycle::claimable_from).min() {
            self.now = self.now.max(from.as_secs());
            let which = self.claimable().expect("one can be claimed from now on");
            self.claim(Owner(9));
            self.report(Act::Finish { back: 0, foreign: false, verdict: Ending::Delivered });
            assert_eq!(self.deliveries[which].life.status(), DeliveryStatus::Delivered);
        }
        let pending = self.lives().any(|life| life.status() == DeliveryStatus::Pending);
        assert!(!pending || self.lives().any(Lifecycle::holds_line), "the line is stuck: {self:#?}");
    }
}

impl Ending {
    fn at(self, now: i64) -> (Verdict, OnDead) {
        match self {
            Self::Delivered => (Verdict::Delivered, OnDead::Skip),
            Self::RetryIn(seconds) => (Verdict::RetryAt(at(now + seconds)), OnDead::Hold),
            Self::Dead(on_dead) => (Verdict::Dead, on_dead),
        }
    }
}

/// What holds for every step on one delivery.
fn check_step(before: &Lifecycle, after: &Lifecycle, step: Step, applied: Applied) {
    use DeliveryStatus::{Cancelled, Dead, Delivered, Pending};
    assert!(applied.counts() || before == after, "a step that does not count changes nothing: {before:?} {step:?}");
    assert_eq!(applied == Applied::LeftFirstPlace, before.stands() && !before.waits_in_line() && !after.stands(), "{before:?} {step:?}");
    let begun = u32::from(applied.counts() && matches!(step, Step::Claim { .. }));
    assert_eq!(after.attempts(), before.attempts() + begun, "only a claim begins an attempt");
    let allowed = match (before.status(), after.status()) {
        (Delivered, to) => to == Delivered && !applied.counts(),
        (Dead | Cancelled, Pending) => matches!(step, Step::Retry { .. }) && after.failures() == 0,
        (Dead, Cancelled) => step == Step::Cancel,
        (Dead, to) => to == Dead,
        (Cancelled, to) => to == Cancelled,
        (Pending, Delivered) => matches!(step, Step::Finish { verdict: Verdict::Delivered, .. }),
        (Pending, Dead) => matches!(step, Step::Finish { verdict: Verdict::Dead, .. } | Step::Bury { .. }),
        (Pending, Cancelled) => step == Step::Cancel,
        (Pending, Pending) => true,
    };
    assert!(allowed, "{before:?} {step:?} {after:?}");
}

/// What is unfinished and not behind another can be claimed at its time, and not sooner.
fn check_not_stuck(life: Lifecycle) {
    let can_claim = |now| life.clone().apply(Step::Claim { owner: Owner(7), now, until: now }).counts();
    match life.claimable_from() {
        Some(from) => assert!(can_claim(from) && !can_claim(Timestamp::from_millis(from.as_millis() - 1)), "{life:?}"),
        None => assert!(life.waits_in_line() || life.status() != DeliveryStatus::Pending, "{life:?}"),
    }
}
