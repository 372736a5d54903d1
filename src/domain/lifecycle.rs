//! A model of a delivery's life, and of the rule by which those of a line go one after another: what each step of an
//! engine does, and when it counts. Engines take these steps in their own way, in SQL say; the contract suite of the
//! store holds them against this. Nothing here knows what is delivered, or who asks.

use super::delivery::{DeliveryStatus, OnDead, Verdict};
use super::time::Timestamp;

#[cfg(test)]
mod tests;

/// Who holds a lease: a process, from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub u64);

/// Where one delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifecycle {
    state: State,
    place: Place,
    attempts: u32,
    failures: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Can be claimed from then on.
    Due(Timestamp),
    /// Stands behind another in its line, and has no time at which it is due.
    Behind,
    /// An attempt runs; can be claimed from the lease's end on.
    Leased {
        owner: Owner,
        until: Timestamp,
    },
    Delivered,
    Dead,
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In no line.
    Free,
    /// In its line: unfinished, or dead and holding up those behind it.
    Standing,
    /// It has left its line, and goes back there if it is retried.
    Left,
}

/// What an engine does to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begins an attempt.
    Claim {
        /// Who makes it.
        owner: Owner,
        /// When.
        now: Timestamp,
        /// When the lease ends.
        until: Timestamp,
    },
    /// Prolongs a lease, also one that has run out unless somebody has claimed the delivery since.
    Renew {
        /// Whose lease.
        owner: Owner,
        /// Its attempt.
        attempt: u32,
        /// Its new end.
        until: Timestamp,
    },
    /// Ends an attempt.
    Finish {
        /// Whose lease.
        owner: Owner,
        /// Its attempt.
        attempt: u32,
        /// What becomes of the delivery.
        verdict: Verdict,
        /// What becomes of those behind it, should it be dead.
        on_dead: OnDead,
    },
    /// Hands the delivery back, its attempt not made or broken off.
    Release {
        /// Whose lease.
        owner: Owner,
        /// Its attempt.
        attempt: u32,
        /// When the delivery is due again.
        due: Timestamp,
    },
    /// Takes the lease of a process that has died.
    Void {
        /// Which.
        owner: Owner,
        /// When the delivery is due again.
        now: Timestamp,
    },
    /// Puts off what is due and cannot be read for the time being.
    PutOff {
        /// When it was to be claimed.
        now: Timestamp,
        /// When it is due again.
        due: Timestamp,
    },
    /// Gives up what is due and has nothing left to be delivered. Those behind it go on.
    Bury {
        /// When it was to be claimed.
        now: Timestamp,
    },
    /// Makes the next one of a line due. Whoever leaves the first place has it done to the next: see [`step_forward`].
    StepForward {
        /// When it is due.
        now: Timestamp,
    },
    /// An operator asks for another try. Whether there still is something to deliver is for the engine to see.
    Retry {
        /// When it is due.
        now: Timestamp,
        /// Whether somebody stands in its line: see [`is_taken`].
        taken: bool,
    },
    /// An operator calls it off.
    Cancel,
    /// The order was taken out of the configuration: it leaves its line for good.
    LeaveLine {
        /// When it is due, if it stood behind another.
        now: Timestamp,
    },
    /// The dead were told not to hold up their lines any more.
    LetGo,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Applied {
    /// It did not count, and nothing has changed.
    Not,
    /// It counted.
    Counted,
    /// It counted, and the delivery has left the first place of its line: the next one is to step forward.
    LeftFirstPlace,
}

impl Applied {
    /// Whether the step counted.
    pub fn counts(self) -> bool {
        self != Self::Not
    }
}

impl Lifecycle {
    /// A delivery in no line, due at this time.
    pub fn new(due: Timestamp) -> Self {
        Self { state: State::Due(due), place: Place::Free, attempts: 0, failures: 0 }
    }

    /// A delivery that joins a line: due at this time, or behind another if somebody stands there.
    pub fn joining(due: Timestamp, taken: bool) -> Self {
        let state = if taken { State::Behind } else { State::Due(due) };
        Self { state, place: Place::Standing, attempts: 0, failures: 0 }
    }

    /// Takes a step, if it counts.
    pub fn apply(&mut self, step: Step) -> Applied {
        let was_first = self.stands() && !self.waits_in_line();
        if !self.take(step) {
            return Applied::Not;
        }
        if was_first && !self.stands() { Applied::LeftFirstPlace } else { Applied::Counted }
    }

    fn take(&mut self, step: Step) -> bool {
        match step {
            Step::Claim { owner, now, until } if self.is_claimable(now) => {
                self.attempts = self.attempts.saturating_add(1);
                self.goes_to(State::Leased { owner, until })
            }
            Step::Renew { owner, attempt, until } if self.is_held(owner, attempt) => self.goes_to(State::Leased { owner, until }),
            Step::Finish { owner, attempt, verdict, on_dead } if self.is_held(owner, attempt) => self.finish(verdict, on_dead),
            Step::Release { owner, attempt, due } if self.is_held(owner, attempt) => self.goes_to(State::Due(due)),
            Step::Void { owner, now } if self.owner() == Some(owner) => self.goes_to(State::Due(now)),
            Step::PutOff { now, due } if self.is_claimable(now) => self.goes_to(State::Due(due)),
            Step::Bury { now } if self.is_claimable(now) => self.ends(State::Dead),
            Step::StepForward { now } if self.waits_in_line() => self.goes_to(State::Due(now)),
            Step::Retry { now, taken } => self.retry(now, taken),
            Step::Cancel if !matches!(self.state, State::Delivered | State::Cancelled) => self.ends(State::Cancelled),
            Step::LeaveLine { now } if self.stands() => self.leave_line(now),
            Step::LetGo if self.holds_line() => self.ends(State::Dead),
            _ => false,
        }
    }

    fn goes_to(&mut self, state: State) -> bool {
        self.state = state;
        true
    }

    /// Goes to an end and out of its line.
    fn ends(&mut self, state: State) -> bool {
        if self.stands() {
            self.place = Place::Left;
        }
        self.goes_to(state)
    }

    fn finish(&mut self, verdict: Verdict, on_dead: OnDead) -> bool {
        match verdict {
            Verdict::Delivered => return self.ends(State::Delivered),
            Verdict::RetryAt(_) | Verdict::Dead => self.failures = self.failures.saturating_add(1),
        }
        match (verdict, on_dead) {
            (Verdict::RetryAt(due), _) => self.goes_to(State::Due(due)),
            (_, OnDead::Hold) => self.goes_to(State::Dead),
            (_, OnDead::Skip) => self.ends(State::Dead),
        }
    }

    /// What runs, or stands behind another, cannot be hastened. What had ended begins its schedule anew, but goes on
    /// counting its attempts: an end under an old lease must not pass for a new one.
    fn retry(&mut self, now: Timestamp, taken: bool) -> bool {
        match (self.state, self.place) {
            (State::Leased { .. } | State::Behind | State::Delivered, _) => return false,
            (State::Due(_), _) => return self.goes_to(State::Due(now)),
            (State::Dead | State::Cancelled, Place::Left) => *self = Self { attempts: self.attempts, ..Self::joining(now, taken) },
            // One that holds its line never left the first place.
            (State::Dead | State::Cancelled, Place::Free | Place::Standing) => self.state = State::Due(now),
        }
        self.failures = 0;
        true
    }

    fn leave_line(&mut self, now: Timestamp) -> bool {
        self.place = Place::Free;
        if self.waits_in_line() {
            self.state = State::Due(now);
        }
        true
    }

    fn owner(&self) -> Option<Owner> {
        match self.state {
            State::Leased { owner, .. } => Some(owner),
            _ => None,
        }
    }

    /// Whether this is the current lease. It stays so beyond its end, until somebody else claims the delivery.
    fn is_held(&self, owner: Owner, attempt: u32) -> bool {
        self.owner() == Some(owner) && self.attempts == attempt
    }

    fn is_claimable(&self, now: Timestamp) -> bool {
        self.claimable_from().is_some_and(|from| from <= now)
    }

    /// From when on it can be claimed: when it is due, or when its lease ends. `None` after its end, and behind another.
    pub fn claimable_from(&self) -> Option<Timestamp> {
        match self.state {
            State::Due(from) | State::Leased { until: from, .. } => Some(from),
            State::Behind | State::Delivered | State::Dead | State::Cancelled => None,
        }
    }

    /// When its next attempt is due; `None` while one runs, behind another, and after its end.
    pub fn next_attempt_at(&self) -> Option<Timestamp> {
        self.claimable_from().filter(|_| !self.is_leased())
    }

    /// The status that people see.
    pub fn status(&self) -> DeliveryStatus {
        match self.state {
            State::Due(_) | State::Behind | State::Leased { .. } => DeliveryStatus::Pending,
            State::Delivered => DeliveryStatus::Delivered,
            State::Dead => DeliveryStatus::Dead,
            State::Cancelled => DeliveryStatus::Cancelled,
        }
    }

    /// Attempts begun: the number of the last one. It only grows.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Attempts that failed since its schedule began.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Whether somebody holds it, though the lease may have run out.
    pub fn is_leased(&self) -> bool {
        self.owner().is_some()
    }

    /// Whether it has a place in its line, so that those who join stand behind it.
    pub fn stands(&self) -> bool {
        self.place == Place::Standing
    }

    /// Whether another one has to come to its end before this one is due.
    pub fn waits_in_line(&self) -> bool {
        self.state == State::Behind
    }

    /// Whether it is dead and those behind it wait.
    pub fn holds_line(&self) -> bool {
        self.state == State::Dead && self.stands()
    }
}

/// Whether somebody stands in a line, of all that have ever joined it.
pub fn is_taken<'a>(line: impl IntoIterator<Item = &'a Lifecycle>) -> bool {
    line.into_iter().any(Lifecycle::stands)
}

/// Has the next one of a line step forward, after [`Applied::LeftFirstPlace`]: the oldest of those that stand there.
/// `line` is all that have ever joined it, in the order in which they were created.
pub fn step_forward<'a>(line: impl IntoIterator<Item = &'a mut Lifecycle>, now: Timestamp) -> Applied {
    let next = line.into_iter().find(|delivery| delivery.stands());
    next.map_or(Applied::Not, |next| next.apply(Step::StepForward { now }))
}
