//! Guarantees 2 to 5 under fire: the program is killed over and over, at every failpoint and at any other moment, while
//! senders and destinations go on; now and then it is left alone, and everything has to be there, once, delivered.
//!
//! `ONCEWARD_CRASH_ROUNDS` says how often it is killed, `ONCEWARD_CRASH_SEED` repeats a run as far as the scheduler lets it.

mod check;
mod fate;
mod rare;
mod traffic;
mod world;

use std::collections::BTreeSet;

use onceward::failpoint;

use self::fate::Fates;
use self::world::World;

/// How often the program is killed unless the environment says otherwise.
const ROUNDS: usize = 200;
/// Worlds side by side.
const WORLDS: usize = 2;
/// How often it is killed before everything has to be there.
const BETWEEN_CHECKS: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_acknowledged_is_there_once_and_delivered_however_often_the_program_is_killed() {
    let seed = number("ONCEWARD_CRASH_SEED").unwrap_or_else(rand::random);
    let rounds = number("ONCEWARD_CRASH_ROUNDS").map_or(ROUNDS, |rounds| usize::try_from(rounds).unwrap());
    println!("ONCEWARD_CRASH_SEED={seed} ONCEWARD_CRASH_ROUNDS={rounds}");
    let worlds = (0..WORLDS).map(|world| tokio::spawn(run(seed.wrapping_add(world as u64), world, rounds.div_ceil(WORLDS))));
    let mut met = BTreeSet::new();
    for world in worlds.collect::<Vec<_>>() {
        met.extend(world.await.unwrap());
    }
    let missed: Vec<_> = failpoint::ALL.iter().filter(|name| !rare::meets(name) && !met.contains(*name)).collect();
    assert!(missed.is_empty() || rounds < ROUNDS, "no process was killed at {missed:?}");
}

/// Kills the program so often in a world of its own. Returns at which points it did.
async fn run(seed: u64, world: usize, rounds: usize) -> BTreeSet<&'static str> {
    let mut fates = Fates::new(seed, world);
    let mut world = World::new(seed).await;
    let mut met = BTreeSet::new();
    let mut left = rounds;
    while left > 0 {
        let senders = world.send();
        for _ in 0..left.min(BETWEEN_CHECKS) {
            let fate = fates.next(world.last_has_left_an_owner());
            met.extend(fate.point());
            world.live_until(fate).await;
        }
        left = left.saturating_sub(BETWEEN_CHECKS);
        world.settle(senders).await;
        world.check();
    }
    println!("{}", world.summary());
    met
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}
