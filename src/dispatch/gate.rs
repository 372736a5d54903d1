//! What may begin at a destination now, from all that holds it back: its circuit, its rate limit, its own word that it is
//! overloaded. One for each lane, asked before a claim and told of every end.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::brake::Brake;
use super::circuit::{Change, Circuit, Passes};
use super::pace::Pace;
use crate::config;
use crate::domain::Health;

/// The settings of a gate.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most attempts at once; at least one.
    pub concurrency: usize,
    /// The most attempts in a time.
    pub rate: Option<config::Rate>,
    /// When to leave the destination alone.
    pub circuit: config::Circuit,
}

/// The gate of one destination.
pub(super) struct Gate {
    most: usize,
    state: Mutex<State>,
}

struct State {
    circuit: Circuit,
    pace: Option<Pace>,
    brake: Brake,
}

/// What may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// So many, and at least one; as a probe of an open circuit, if it is one.
    For {
        /// How many.
        count: usize,
        /// Whether the one is a probe.
        probe: bool,
        /// Whether nothing but the places is a bound, so that more can be taken before there is a place.
        ahead: bool,
    },
    /// Nothing before then.
    From(Instant),
    /// Nothing before something under way has ended.
    AfterAnEnd,
}

/// What an end has brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    /// What it changed about the circuit.
    pub(super) change: Option<Change>,
    /// Whether less was let through before than the lane has places for, so that somebody may have waited for this end.
    pub(super) was_narrow: bool,
}

impl Gate {
    /// An open one.
    pub(super) fn new(limits: Limits) -> Self {
        let now = Instant::now();
        let state = State {
            circuit: Circuit::new(limits.circuit),
            pace: limits.rate.map(|rate| Pace::new(rate, now)),
            brake: Brake::new(limits.circuit.max_probe),
        };
        Self { most: limits.concurrency, state: Mutex::new(state) }
    }

    /// What may begin now beside `running` others.
    pub(super) fn room(&self, now: Instant, running: usize) -> Room {
        self.lock().room(now, running, self.most)
    }

    /// Counts one that is to begin, unless anything but the places holds it back.
    pub(super) fn admit(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let is_admitted = !state.is_narrow(now, self.most) && state.pace.as_ref().is_none_or(|pace| pace.free(now) > 0);
        if is_admitted {
            state.began(now, 1, false);
        }
        is_admitted
    }

    /// Whether one that was counted may begin beside `running` others.
    pub(super) fn lets(&self, now: Instant, running: usize) -> bool {
        let state = self.lock();
        state.circuit.passes(now) == Passes::All && state.brake.until(now).is_none() && running < state.brake.width()
    }

    /// So many have begun.
    pub(super) fn began(&self, now: Instant, count: usize, probe: bool) {
        self.lock().began(now, count, probe);
    }

    /// One that was counted does not begin.
    pub(super) fn began_not(&self, now: Instant, probe: bool) {
        let mut state = self.lock();
        if let Some(pace) = &mut state.pace {
            pace.give_back();
        }
        if probe {
            // It has told nothing, and nothing changes by it but that there may be another one.
            let _ = state.circuit.ended(now, Health::Unknown, true);
        }
    }

    /// An attempt has ended; `asked` is the wait that the destination asked for.
    pub(super) fn ended(&self, now: Instant, health: Health, asked: Option<Duration>, probe: bool) -> End {
        let mut state = self.lock();
        let was_narrow = state.is_narrow(now, self.most);
        match health {
            Health::Well => state.brake.eased(self.most),
            Health::Overloaded => state.brake.overloaded(now, asked),
            Health::Unwell | Health::Unknown => {}
        }
        let change = state.circuit.ended(now, health, probe);
        if change == Some(Change::Closed) {
            state.brake.narrow();
        }
        End { change, was_narrow }
    }

    /// Until when nothing goes there because it is overloaded.
    pub(super) fn overloaded_until(&self, now: Instant) -> Option<Instant> {
        self.lock().brake.until(now)
    }

    /// When the next probe may begin, while the circuit is open.
    pub(super) fn next_probe(&self, now: Instant) -> Option<Instant> {
        self.lock().circuit.opens_at(now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn room(&self, now: Instant, running: usize, most: usize) -> Room {
        let probe = match self.circuit.passes(now) {
            Passes::All => false,
            Passes::Probe => true,
            Passes::From(until) => return Room::From(until),
            Passes::AfterProbe => return Room::AfterAnEnd,
        };
        if let Some(until) = self.brake.until(now) {
            return Room::From(until);
        }
        let free = if probe { 1 } else { most.min(self.brake.width()).saturating_sub(running) };
        let paced = self.pace.as_ref().map_or(usize::MAX, |pace| pace.free(now));
        match (free, paced) {
            (0, _) => Room::AfterAnEnd,
            (_, 0) => Room::From(self.pace.as_ref().map_or(now, |pace| pace.next(now))),
            (free, paced) => {
                let ahead = self.pace.is_none() && !self.is_narrow(now, most);
                Room::For { count: free.min(paced), probe, ahead }
            }
        }
    }

    fn began(&mut self, now: Instant, count: usize, probe: bool) {
        if let Some(pace) = &mut self.pace {
            pace.take(now, count);
        }
        if probe && count > 0 {
            self.circuit.probing();
        }
    }

    /// Whether less is let through than the lane has places for.
    fn is_narrow(&self, now: Instant, most: usize) -> bool {
        self.brake.width() < most || self.circuit.passes(now) != Passes::All
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Rate;

    /// Room for so many, with more than places as a bound.
    fn room(count: usize, probe: bool) -> Room {
        Room::For { count, probe, ahead: false }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn gate(rate: Option<Rate>) -> Gate {
        let circuit = config::Circuit { failures: Some(2), probe: 5 * SECOND, max_probe: 60 * SECOND };
        Gate::new(Limits { concurrency: 8, rate, circuit })
    }

    #[tokio::test(start_paused = true)]
    async fn the_narrowest_of_all_bounds_counts() {
        let (gate, now) = (gate(Some(Rate { count: 25, per: SECOND })), Instant::now());
        assert_eq!(gate.room(now, 0), room(3, false));
        assert_eq!(gate.room(now, 7), room(1, false));
        assert_eq!(gate.room(now, 8), Room::AfterAnEnd);
        gate.began(now, 3, false);
        let Room::From(at) = gate.room(now, 3) else { panic!("the rate is used up") };
        assert_eq!(at - now, Duration::from_millis(40));
        gate.ended(now, Health::Overloaded, Some(7 * SECOND), false);
        assert_eq!(gate.room(now, 2), Room::From(now + 7 * SECOND));
        let later = now + 7 * SECOND;
        assert_eq!(gate.room(later, 1), Room::AfterAnEnd, "one at a time");
        assert_eq!(gate.room(later, 0), room(1, false));
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_goes_alone_though_others_are_still_under_way() {
        let (gate, now) = (gate(None), Instant::now());
        gate.ended(now, Health::Unwell, None, false);
        let opened = End { change: Some(Change::Opened(5 * SECOND)), was_narrow: false };
        assert_eq!(gate.ended(now, Health::Unwell, None, false), opened);
        assert_eq!(gate.room(now, 6), Room::From(now + 5 * SECOND));
        let later = now + 5 * SECOND;
        assert_eq!(gate.room(later, 6), room(1, true));
        gate.began(later, 0, true);
        assert_eq!(gate.room(later, 6), room(1, true), "nothing was due");
        gate.began(later, 1, true);
        assert_eq!(gate.room(later, 6), Room::AfterAnEnd);
        gate.began_not(later, true);
        assert_eq!(gate.room(later, 6), room(1, true), "one that was not made is made again");
        gate.began(later, 1, true);
        assert_eq!(gate.next_probe(later), Some(later));
        assert_eq!(gate.ended(later, Health::Well, None, true), End { change: Some(Change::Closed), was_narrow: true });
        assert_eq!((gate.room(later, 0), gate.next_probe(later)), (room(1, false), None), "no rush");
        for width in [2, 4, 8, 8] {
            gate.ended(later, Health::Well, None, false);
            assert_eq!(gate.room(later, 0), Room::For { count: width, probe: false, ahead: width == 8 });
        }
    }
}
