//! What has to hold once the program was left alone: the database, what the senders know and what the destinations saw, held
//! against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rusqlite::{Connection, Row};

use super::traffic::{Known, Sent};
use super::world::{End, World};
use crate::support::receiver::Seen;

/// A delivery as it is stored.
#[derive(Debug)]
struct Delivery {
    id: i64,
    event: String,
    destination: String,
    status: &'static str,
    attempts: u32,
    failures: u32,
    leased: bool,
    line: Option<i64>,
    /// The attempts that came to their end: number and status code.
    history: BTreeMap<u32, Option<u16>>,
}

/// An attempt as its destination saw it.
#[derive(Debug)]
struct Arrival {
    life: usize,
    delivery: i64,
    attempt: u32,
    event: String,
    arrived: Instant,
    answered: Option<(Instant, u16)>,
}

/// Everything to be held against each other.
struct Books<'a> {
    known: BTreeMap<String, Known>,
    /// In the order in which they were recorded, with how many duplicates were counted.
    events: Vec<(String, u64)>,
    deliveries: BTreeMap<i64, Delivery>,
    arrivals: Vec<Arrival>,
    lives: &'a [End],
}

impl World {
    /// Fails the test unless everything is as it has to be.
    pub(super) fn check(&self) {
        let database = Connection::open(self.folder.path().join("onceward.db")).unwrap();
        let whole: String = database.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
        assert_eq!(whole, "ok");
        let mut arrivals: Vec<_> = self.receiver.seen().iter().map(Arrival::of).collect();
        arrivals.extend(std::fs::read_to_string(self.folder.path().join("ran")).unwrap_or_default().lines().map(Arrival::of_command));
        let known = self.traffic.known.lock().unwrap().clone();
        let books = Books { known, events: events(&database), deliveries: deliveries(&database), arrivals, lives: &self.lives };
        books.every_acknowledged_event_is_there_once();
        books.every_event_has_its_deliveries();
        books.deliveries_have_ended_as_their_destinations_have_it();
        books.each_recorded_attempt_was_seen();
        books.only_a_kill_loses_the_end_of_an_attempt();
        books.what_stands_in_a_line_goes_in_order();
    }
}

impl Books<'_> {
    fn every_acknowledged_event_is_there_once(&self) {
        let stored: BTreeMap<_, _> = self.events.iter().map(|(event, duplicates)| (event.as_str(), *duplicates)).collect();
        assert_eq!(stored.len(), self.events.len(), "an event is stored twice");
        for event in stored.keys() {
            assert!(self.known.contains_key(*event), "nobody has sent {event}, or it was forged");
        }
        for (event, known) in self.known.iter().filter(|(_, known)| known.acknowledged) {
            let duplicates = *stored.get(event.as_str()).unwrap_or_else(|| panic!("{event} is lost"));
            assert!(known.accepted <= 1, "{event} was the first one twice");
            assert!(duplicates >= known.duplicates, "{event}: {duplicates} duplicates are counted of {}", known.duplicates);
        }
        // Each sender waits for the answer before it goes on.
        let mut last = BTreeMap::new();
        for Sent { sender, number, id, .. } in self.events.iter().map(|(event, _)| &self.known[event].sent) {
            assert!(last.insert(sender, number).is_none_or(|before| before < number), "{id} is recorded out of its turn");
        }
    }

    fn every_event_has_its_deliveries(&self) {
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for delivery in self.deliveries.values() {
            found.entry(&delivery.event).or_default().push(&delivery.destination);
        }
        for (event, _) in &self.events {
            let mut destinations = found.remove(event.as_str()).unwrap_or_default();
            destinations.sort_unstable();
            let expected: &[&str] = match &self.known[event].sent {
                Sent { source: "stripe", .. } => &["plain"],
                Sent { ping: false, .. } => &["ordered", "plain"],
                Sent { ping: true, .. } => &["command", "ordered", "plain"],
            };
            assert_eq!(destinations, expected, "{event}");
        }
        assert!(found.is_empty(), "deliveries without an event: {found:?}");
    }

    fn deliveries_have_ended_as_their_destinations_have_it(&self) {
        for delivery in self.deliveries.values() {
            let poisoned = self.known[&delivery.event].sent.poisoned && delivery.destination != "command";
            assert_eq!(delivery.status, if poisoned { "dead" } else { "delivered" }, "{delivery:?}");
            assert!(!delivery.leased && delivery.history.keys().all(|number| *number <= delivery.attempts), "{delivery:?}");
            let taken = delivery.history.values().filter(|status| **status == Some(200)).count();
            let failed = delivery.history.values().filter(|status| **status == Some(500)).count();
            let (took, ended) = (usize::from(!poisoned), delivery.history.len());
            assert!(ended >= taken.max(took), "its end is not in the history: {delivery:?}");
            if delivery.destination == "command" {
                assert_eq!(ended, 1, "{delivery:?}");
            } else {
                assert_eq!((taken, failed, delivery.failures as usize), (took, ended - took, ended - took), "{delivery:?}");
            }
            let last = *delivery.history.keys().last().unwrap();
            assert!(poisoned || delivery.destination == "command" || delivery.history[&last] == Some(200), "went on after: {delivery:?}");
            assert_eq!(last, delivery.attempts, "was attempted after its end: {delivery:?}");
        }
    }

    fn each_recorded_attempt_was_seen(&self) {
        let mut seen = BTreeMap::new();
        for arrival in &self.arrivals {
            let delivery = self.deliveries.get(&arrival.delivery).unwrap_or_else(|| panic!("no such delivery: {arrival:?}"));
            assert_eq!(delivery.event, arrival.event, "{arrival:?}");
            let twice = seen.insert((arrival.delivery, arrival.attempt), arrival.answered.map(|(_, status)| status));
            assert!(twice.is_none(), "a number came twice: {arrival:?}");
            assert!((1..=delivery.attempts).contains(&arrival.attempt), "{arrival:?} {delivery:?}");
        }
        for delivery in self.deliveries.values() {
            for (number, status) in &delivery.history {
                assert_eq!(seen.get(&(delivery.id, *number)), Some(status), "attempt {number} of {delivery:?}");
            }
        }
    }

    /// An attempt without an end in the history was under way when its process was killed.
    fn only_a_kill_loses_the_end_of_an_attempt(&self) {
        let kills = self.lives.iter().filter(|end| matches!(end, End::Killed(_))).count();
        for delivery in self.deliveries.values() {
            let lost = delivery.attempts as usize - delivery.history.len();
            assert!(lost <= kills, "{lost} attempts without an end, in {kills} kills: {delivery:?}");
        }
        let mut lost = BTreeSet::new();
        for arrival in &self.arrivals {
            if !self.deliveries[&arrival.delivery].history.contains_key(&arrival.attempt) {
                assert!(matches!(self.lives[arrival.life], End::Killed(_)), "repeated without a kill: {arrival:?}");
                assert!(lost.insert((arrival.delivery, arrival.life)), "repeated twice for one kill: {arrival:?}");
            }
        }
    }

    /// One at a time, in the order in which they were recorded; through every kill.
    fn what_stands_in_a_line_goes_in_order(&self) {
        let mut lines: BTreeMap<i64, Vec<&Arrival>> = BTreeMap::new();
        for delivery in self.deliveries.values() {
            assert_eq!(delivery.line.is_some(), delivery.destination == "ordered", "{delivery:?}");
        }
        for arrival in &self.arrivals {
            if let Some(line) = self.deliveries[&arrival.delivery].line {
                lines.entry(line).or_default().push(arrival);
            }
        }
        for arrivals in lines.values_mut() {
            arrivals.sort_by_key(|arrival| arrival.arrived);
            for pair in arrivals.windows(2) {
                let [before, after] = [pair[0], pair[1]];
                assert!((before.delivery, before.attempt) < (after.delivery, after.attempt), "out of order: {before:?} {after:?}");
                let over = before.answered.is_some_and(|(at, _)| at <= after.arrived);
                // A killed process leaves the destination at work.
                assert!(over || before.life != after.life, "two at a time: {before:?} {after:?}");
            }
        }
    }
}

impl Arrival {
    /// What the URL destinations saw: the life is in the path.
    fn of(seen: &Seen) -> Self {
        Self {
            life: seen.target.rsplit('/').next().unwrap().parse().unwrap(),
            delivery: seen.header("onceward-delivery").parse().unwrap(),
            attempt: seen.header("onceward-attempt").parse().unwrap(),
            event: seen.header("idempotency-key"),
            arrived: seen.arrived,
            answered: seen.answered,
        }
    }
}

impl Arrival {
    /// What the command has written: the life, the delivery, the attempt and the event.
    fn of_command(line: &str) -> Self {
        let [life, delivery, attempt, event] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("half a line: {line:?}") };
        let (life, delivery, attempt) = (life.parse().unwrap(), delivery.parse().unwrap(), attempt.parse().unwrap());
        Self { life, delivery, attempt, event: event.to_owned(), arrived: Instant::now(), answered: None }
    }
}

fn events(database: &Connection) -> Vec<(String, u64)> {
    let sql = "SELECT (SELECT name FROM name WHERE id = source) || ':' || event_id, duplicates FROM event ORDER BY seq";
    let mut statement = database.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn deliveries(database: &Connection) -> BTreeMap<i64, Delivery> {
    let sql = "
        SELECT d.id, (SELECT name FROM name WHERE id = e.source) || ':' || e.event_id,
               (SELECT name FROM name WHERE id = d.destination), d.state, d.attempts, d.failures, d.owner IS NOT NULL, d.line
        FROM delivery d LEFT JOIN event e ON e.seq = d.event_seq";
    let mut statement = database.prepare(sql).unwrap();
    let read = |row: &Row<'_>| {
        Ok(Delivery {
            id: row.get(0)?,
            event: row.get(1)?,
            destination: row.get(2)?,
            status: ["pending", "delivered", "dead", "cancelled"][usize::from(row.get::<_, u8>(3)?)],
            attempts: row.get(4)?,
            failures: row.get(5)?,
            leased: row.get(6)?,
            line: row.get(7)?,
            history: BTreeMap::new(),
        })
    };
    let mut found: BTreeMap<_, _> = statement.query_map((), read).unwrap().map(Result::unwrap).map(|row| (row.id, row)).collect();
    let mut statement = database.prepare("SELECT delivery, number, status_code FROM attempt").unwrap();
    let mut rows = statement.query(()).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (delivery, number): (i64, u32) = (row.get(0).unwrap(), row.get(1).unwrap());
        let history = &mut found.get_mut(&delivery).expect("an attempt has its delivery").history;
        assert!(history.insert(number, row.get(2).unwrap()).is_none(), "attempt {number} of {delivery} is stored twice");
    }
    found
}
