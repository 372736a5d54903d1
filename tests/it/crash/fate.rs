//! How the lives of the program end.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use onceward::failpoint;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::rare;

/// How a life ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fate {
    /// At a failpoint, when it is reached that often; `told` once it is told to stop.
    At { point: &'static str, count: u32, told: bool },
    /// From outside, after so many acknowledged events more.
    After(usize),
}

impl Fate {
    /// The failpoint, if it is one.
    pub(super) fn point(self) -> Option<&'static str> {
        match self {
            Self::At { point, .. } => Some(point),
            Self::After(_) => None,
        }
    }

    /// At the how manieth time.
    pub(super) fn count(self) -> u32 {
        match self {
            Self::At { count, .. } => count,
            Self::After(_) => 0,
        }
    }
}

/// Whether a point is met only when the program has been told to stop.
fn is_at_the_end(point: &str) -> bool {
    ["app.stopping", "app.before-close", "owner.before-resign", "owner.resigned", "app.closed"].contains(&point)
}

/// Whether a point is met only where a process has died and left its row.
fn needs_an_owner(point: &str) -> bool {
    point.starts_with("recover.owner")
}

/// How often a point may be reached before the process dies there.
fn counts(point: &str) -> RangeInclusive<u32> {
    let once = ["app.", "owner.", "recover.", "refuse.", "store.before-checkpoint", "store.after-checkpoint"];
    let first = ["straighten.dissolved", "straighten.dead-left", "straighten.after"];
    match point {
        _ if once.iter().chain(&first).any(|part| point.starts_with(part)) => 1..=1,
        _ if point.starts_with("record.") => 1..=3,
        _ => 1..=8,
    }
}

/// Acknowledged events of the first life: enough that each destination has got one.
const FIRST: usize = 40;

/// Every point in turn, in an order that the seed decides, and in between a kill from outside.
pub(super) struct Fates {
    chance: StdRng,
    points: VecDeque<&'static str>,
    first: bool,
}

impl Fates {
    /// For one of the worlds: each begins elsewhere, so that few rounds meet all points.
    pub(super) fn new(seed: u64, world: usize) -> Self {
        let mut points: Vec<_> = failpoint::ALL.iter().copied().filter(|point| !rare::meets(point)).collect();
        points.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_sub(world as u64)));
        let middle = points.len() / 2 * (world % 2);
        points.rotate_left(middle);
        Self { chance: StdRng::seed_from_u64(seed), points: points.into(), first: true }
    }

    /// The next one; `owner` tells whether the life before has left an owner's row behind.
    pub(super) fn next(&mut self, owner: bool) -> Fate {
        if std::mem::take(&mut self.first) {
            // An empty database has no destinations yet, so that some points are not met.
            return Fate::After(FIRST);
        }
        if self.chance.random_bool(0.25) {
            return Fate::After(self.chance.random_range(1..=30));
        }
        let fits = self.points.iter().position(|point| owner || !needs_an_owner(point)).expect("most points need no owner");
        let point = self.points.remove(fits).expect("it was just found");
        self.points.push_back(point);
        Fate::At { point, count: self.chance.random_range(counts(point)), told: is_at_the_end(point) }
    }
}
