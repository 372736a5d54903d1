//! A destination's circuit: after so many failures one after another it opens, and nothing but a probe goes there until one
//! succeeds. A pure state machine: the time is passed in, and what changed comes out.

use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::domain::Health;

/// The circuit of one destination.
#[derive(Debug)]
pub(super) struct Circuit {
    settings: config::Circuit,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Everything goes there. So many have failed since the last success.
    Closed { failures: u32 },
    /// Nothing goes there until then, and then a probe.
    Open { until: Instant, wait: Duration },
    /// A probe is under way.
    Probing { wait: Duration },
}

/// What an end has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It was closed and is open; the first probe follows after this wait.
    Opened(Duration),
    /// It was open and is closed.
    Closed,
}

/// What may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passes {
    /// Anything.
    All,
    /// One, as a probe.
    Probe,
    /// Nothing until then.
    From(Instant),
    /// Nothing until the probe under way has ended.
    AfterProbe,
}

impl Circuit {
    /// A closed one.
    pub(super) fn new(settings: config::Circuit) -> Self {
        Self { settings, state: State::Closed { failures: 0 } }
    }

    /// What may begin now.
    pub(super) fn passes(&self, now: Instant) -> Passes {
        match self.state {
            State::Closed { .. } => Passes::All,
            State::Open { until, .. } if now >= until => Passes::Probe,
            State::Open { until, .. } => Passes::From(until),
            State::Probing { .. } => Passes::AfterProbe,
        }
    }

    /// A probe has begun.
    pub(super) fn probing(&mut self) {
        if let State::Open { wait, .. } = self.state {
            self.state = State::Probing { wait };
        }
    }

    /// An attempt has ended. One that began before the circuit opened and fails says nothing new; one that succeeds does.
    pub(super) fn ended(&mut self, now: Instant, health: Health, probe: bool) -> Option<Change> {
        match (self.state, health) {
            (State::Closed { .. }, Health::Well) => {
                self.state = State::Closed { failures: 0 };
                None
            }
            (State::Closed { failures }, Health::Unwell | Health::Overloaded) => self.failed(now, failures.saturating_add(1)),
            (State::Open { .. } | State::Probing { .. }, Health::Well) => {
                self.state = State::Closed { failures: 0 };
                Some(Change::Closed)
            }
            (State::Probing { wait }, Health::Unwell | Health::Overloaded) if probe => {
                let wait = wait.saturating_mul(2).min(self.settings.max_probe);
                self.state = State::Open { until: now + wait, wait };
                None
            }
            // The probe has told nothing: the next one may follow at once.
            (State::Probing { wait }, Health::Unknown) if probe => {
                self.state = State::Open { until: now, wait };
                None
            }
            (_, Health::Unknown) | (State::Open { .. } | State::Probing { .. }, _) => None,
        }
    }

    fn failed(&mut self, now: Instant, failures: u32) -> Option<Change> {
        if self.settings.failures.is_none_or(|most| failures < most) {
            self.state = State::Closed { failures };
            return None;
        }
        let wait = self.settings.probe;
        self.state = State::Open { until: now + wait, wait };
        Some(Change::Opened(wait))
    }

    /// When the next probe may begin, while it is open; now, while one is under way.
    pub(super) fn opens_at(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some(until.max(now)),
            State::Probing { .. } => Some(now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn circuit(failures: u32) -> Circuit {
        Circuit::new(config::Circuit { failures: Some(failures), probe: 5 * SECOND, max_probe: 30 * SECOND })
    }

    /// Open since `now`.
    fn opened(now: Instant) -> Circuit {
        let mut circuit = circuit(1);
        assert_eq!(circuit.ended(now, Health::Unwell, false), Some(Change::Opened(5 * SECOND)));
        circuit
    }

    #[test]
    fn it_opens_after_so_many_failures_without_a_success_between() {
        let (mut circuit, now) = (circuit(3), Instant::now());
        for health in [Health::Unwell, Health::Overloaded, Health::Well, Health::Unwell, Health::Unknown, Health::Unwell] {
            assert_eq!(circuit.ended(now, health, false), None, "{health:?}");
            assert_eq!(circuit.passes(now), Passes::All);
        }
        assert_eq!(circuit.ended(now, Health::Unwell, false), Some(Change::Opened(5 * SECOND)));
        assert_eq!(circuit.passes(now), Passes::From(now + 5 * SECOND));
        assert_eq!(circuit.ended(now, Health::Unwell, false), None, "told once");
    }

    #[test]
    fn probes_go_one_at_a_time_and_twice_as_far_apart_each_time_up_to_the_bound() {
        let mut now = Instant::now();
        let mut circuit = opened(now);
        for wait in [5, 10, 20, 30, 30] {
            assert_eq!(circuit.passes(now), Passes::From(now + wait * SECOND));
            now += wait * SECOND;
            assert_eq!(circuit.passes(now), Passes::Probe);
            circuit.probing();
            assert_eq!(circuit.passes(now + 100 * SECOND), Passes::AfterProbe);
            assert_eq!(circuit.ended(now, Health::Unwell, true), None);
        }
        now += 30 * SECOND;
        circuit.probing();
        assert_eq!(circuit.ended(now, Health::Well, true), Some(Change::Closed));
        assert_eq!(circuit.passes(now), Passes::All);
    }

    #[test]
    fn ends_of_what_began_before_it_opened_do_not_count_unless_they_are_a_success() {
        let now = Instant::now();
        let mut circuit = opened(now);
        circuit.probing();
        assert_eq!(circuit.ended(now, Health::Unwell, false), None);
        assert_eq!(circuit.passes(now), Passes::AfterProbe, "the probe is still under way");
        assert_eq!(circuit.ended(now, Health::Well, false), Some(Change::Closed));
        assert_eq!(circuit.ended(now, Health::Unwell, true), Some(Change::Opened(5 * SECOND)), "as any other failure by now");
    }

    #[test]
    fn a_probe_that_tells_nothing_is_followed_by_another() {
        let now = Instant::now();
        let mut circuit = opened(now);
        circuit.probing();
        assert_eq!(circuit.ended(now, Health::Unknown, true), None);
        assert_eq!(circuit.passes(now), Passes::Probe);
    }

    #[test]
    fn without_a_number_of_failures_it_never_opens() {
        let mut circuit = Circuit::new(config::Circuit { failures: None, probe: SECOND, max_probe: SECOND });
        let now = Instant::now();
        assert!((0..1_000).all(|_| circuit.ended(now, Health::Unwell, false).is_none()));
        assert_eq!(circuit.passes(now), Passes::All);
    }

    proptest! {
        #[test]
        fn opening_and_closing_alternate_and_it_never_stays_shut(
            most in 1_u32..5,
            ends in proptest::collection::vec((0..4_usize, 0..40_u64), 0..200),
        ) {
            let (mut circuit, mut now, mut open, mut probing) = (circuit(most), Instant::now(), false, false);
            for (health, wait) in ends {
                now += Duration::from_secs(wait);
                match circuit.passes(now) {
                    Passes::Probe => {
                        circuit.probing();
                        probing = true;
                    }
                    Passes::From(until) => prop_assert!(open && until > now && until <= now + 30 * SECOND),
                    Passes::AfterProbe => prop_assert!(open && probing),
                    Passes::All => prop_assert!(!open),
                }
                let health = [Health::Well, Health::Unwell, Health::Overloaded, Health::Unknown][health];
                match circuit.ended(now, health, probing) {
                    Some(Change::Opened(_)) => { prop_assert!(!open); open = true; }
                    Some(Change::Closed) => { prop_assert!(open); open = false; }
                    None => {}
                }
                probing = false;
            }
        }
    }
}
