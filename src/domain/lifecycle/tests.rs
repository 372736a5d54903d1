//! Every short sequence of steps, and many long ones, on one delivery and on a line of them. What must hold is said
//! here in other words than there: by a record of who was given which lease, and what came of it.

mod world;

use proptest::prelude::*;
use proptest::sample::Index;

use self::world::{Act, Ending, LEASE, MOST, World};
use super::*;

/// Takes every sequence of so many acts. An act that changes nothing is not gone on from: what could follow follows
/// without it, too.
fn every_sequence(world: &World, acts: &[Act], length: usize, seen: &mut usize) {
    for act in acts {
        let mut next = world.clone();
        next.act(*act);
        if next == *world {
            continue;
        }
        *seen += 1;
        if length > 1 {
            every_sequence(&next, acts, length - 1, seen);
        } else {
            next.drain();
        }
    }
}

fn finish(verdict: Ending) -> Act {
    Act::Finish { back: 0, foreign: false, verdict }
}

#[test]
fn every_short_sequence_of_steps_keeps_a_delivery_whole() {
    let acts = [
        Act::Claim(1),
        Act::Claim(2),
        finish(Ending::Delivered),
        finish(Ending::RetryIn(10)),
        finish(Ending::Dead(OnDead::Skip)),
        Act::Finish { back: 1, foreign: false, verdict: Ending::Delivered },
        Act::Finish { back: 0, foreign: true, verdict: Ending::Delivered },
        Act::Release { back: 0, foreign: false },
        Act::Renew { back: 0, foreign: false },
        Act::Renew { back: 1, foreign: false },
        Act::Die(1),
        Act::Wait(LEASE),
        Act::Retry(0),
        Act::Cancel(0),
        Act::Bury,
        Act::PutOff,
    ];
    let mut seen = 0;
    every_sequence(&World::of_one(), &acts, 6, &mut seen);
    assert!(seen > 10_000, "only {seen} sequences changed anything");
}

#[test]
fn every_short_sequence_of_steps_keeps_a_line_in_order() {
    let acts = [
        Act::Claim(1),
        finish(Ending::Delivered),
        finish(Ending::RetryIn(0)),
        finish(Ending::Dead(OnDead::Skip)),
        finish(Ending::Dead(OnDead::Hold)),
        Act::Wait(LEASE),
        Act::Die(1),
        Act::Retry(0),
        Act::Retry(1),
        Act::Cancel(0),
        Act::Cancel(1),
        Act::Cancel(2),
        Act::Join,
        Act::LeaveLine(0),
        Act::LetGo(0),
    ];
    let mut seen = 0;
    every_sequence(&World::line(3), &acts, 5, &mut seen);
    assert!(seen > 10_000, "only {seen} sequences changed anything");
}

fn ending() -> impl Strategy<Value = Ending> {
    let on_dead = any::<bool>().prop_map(|hold| Ending::Dead(if hold { OnDead::Hold } else { OnDead::Skip }));
    prop_oneof![3 => Just(Ending::Delivered), 3 => (0..90i64).prop_map(Ending::RetryIn), 3 => on_dead]
}

/// Mostly the last lease and its owner.
fn lease() -> impl Strategy<Value = (usize, bool)> {
    (prop_oneof![4 => Just(0), 1 => 0..5usize], proptest::bool::weighted(0.15))
}

fn act() -> impl Strategy<Value = Act> {
    let which = || any::<Index>().prop_map(|which| which.index(MOST));
    prop_oneof![
        2 => Just(Act::Join),
        6 => (1..4u64).prop_map(Act::Claim),
        6 => (lease(), ending()).prop_map(|((back, foreign), verdict)| Act::Finish { back, foreign, verdict }),
        1 => lease().prop_map(|(back, foreign)| Act::Release { back, foreign }),
        1 => lease().prop_map(|(back, foreign)| Act::Renew { back, foreign }),
        1 => (1..4u64).prop_map(Act::Die),
        3 => (1..130i64).prop_map(Act::Wait),
        1 => Just(Act::Pause),
        2 => which().prop_map(Act::Retry),
        2 => which().prop_map(Act::Cancel),
        1 => prop_oneof![Just(Act::Bury), Just(Act::PutOff)],
        1 => prop_oneof![which().prop_map(Act::LeaveLine), which().prop_map(Act::LetGo)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_steps_loses_or_doubles_the_end_of_a_delivery(acts in proptest::collection::vec(act(), 1..60)) {
        let mut world = World::of_one();
        acts.iter().for_each(|act| world.act(*act));
        world.drain();
    }

    #[test]
    fn no_sequence_of_steps_has_a_line_stuck_or_out_of_order(acts in proptest::collection::vec(act(), 1..60), length in 1..MOST) {
        let mut world = World::line(length);
        acts.iter().for_each(|act| world.act(*act));
        world.drain();
    }
}
