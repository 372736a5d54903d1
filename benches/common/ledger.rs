//! Which events a run has sent and which were acknowledged: the account that a competitor's database is held against.

use super::request::{ID_LEN, SplitMix, event_id};

/// A duplicate repeats one of this many latest events, some of which are still in flight.
const RECENT: u64 = 4096;

/// Numbers events from 0; a number determines ID and body.
pub(crate) struct Ledger {
    run: u64,
    random: SplitMix,
    duplicates: f64,
    sent: u64,
    /// One bit for each number.
    acknowledged: Vec<u64>,
}

impl Ledger {
    /// An empty ledger; `duplicates` is the share of requests that repeat an event.
    pub(crate) fn new(duplicates: f64) -> Self {
        let run = rand::random();
        Self { run, random: SplitMix(run), duplicates, sent: 0, acknowledged: Vec::new() }
    }

    /// The event of the next request: its number and ID.
    pub(crate) fn draw(&mut self) -> (u64, [u8; ID_LEN]) {
        let repeats = self.sent > 0 && self.random.fraction() < self.duplicates;
        let number = if repeats {
            self.sent - 1 - self.random.next() % self.sent.min(RECENT)
        } else {
            self.sent += 1;
            self.sent - 1
        };
        (number, event_id(self.run, number))
    }

    /// Notes that the event was answered with 200.
    pub(crate) fn acknowledge(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if self.acknowledged.len() <= word {
            self.acknowledged.resize(word + 1, 0);
        }
        self.acknowledged[word] |= 1 << (number % 64);
    }

    /// Distinct events sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Distinct events acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

/// Checks the account of a small run.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    let mut ledger = Ledger::new(0.5);
    let drawn: Vec<_> = (0..1000).map(|_| ledger.draw()).collect();
    let mut numbers: Vec<u64> = drawn.iter().map(|(number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(ledger.sent(), numbers.len() as u64);
    assert!((300..700).contains(&ledger.sent()), "half of 1,000 are new");
    for (number, _) in drawn.iter().filter(|(number, _)| number % 2 == 0) {
        ledger.acknowledge(*number);
    }
    assert_eq!(ledger.acknowledged(), ledger.sent().div_ceil(2));
}
