//! Recording an event: the unique key decides whether it is fresh, and what belongs to it commits with it.

use std::sync::Arc;

use rusqlite::OptionalExtension as _;

use super::fault::Fault;
use super::keys::{self, Key, key};
use super::names::Role;
use super::unit::{Operation, Unit};
use crate::domain::{VerifiedEvent, VerifiedParts};
use crate::store::Recorded;

/// Records an event with its deliveries, or counts a duplicate.
pub(super) struct Record {
    key: Key,
    parts: VerifiedParts,
    destinations: Vec<Arc<str>>,
}

impl Record {
    /// To be recorded with one delivery for each destination.
    pub(super) fn new(event: VerifiedEvent, destinations: Vec<Arc<str>>) -> Self {
        let parts = event.into_parts();
        Self { key: key(&parts.key.source, &parts.key.event_id), parts, destinations }
    }

    fn count_duplicate(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let source = unit.find(Role::Source, &self.parts.key.source)?;
        let mut statement = unit.conn.prepare_cached(STORED)?;
        let stored = statement.query_row([self.key], |row| {
            let same = Some(row.get(1)?) == source && row.get_ref(2)?.as_bytes()? == self.parts.key.event_id.as_bytes();
            Ok((row.get(0)?, same))
        });
        match stored.optional()? {
            Some((seq, true)) => unit.count_duplicate(seq, self.parts.received_at.as_millis()),
            Some((_, false)) => return Err(Fault::Own("another event has the same key".to_owned())),
            None => return Err(Fault::Own("a key without its event".to_owned())),
        }
        Ok(())
    }

    fn insert(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let VerifiedParts { key, received_at, headers, body, .. } = &self.parts;
        let seq = unit.take_event(received_at.as_millis())?;
        let source = unit.intern(Role::Source, &key.source)?;
        self.insert_event(unit, seq, source)?;
        unit.execute("INSERT INTO payload (seq, headers, body) VALUES (?1, ?2, ?3)", (seq, headers.encoded(), &body[..]))?;
        for destination in &self.destinations {
            let id = unit.take_delivery(received_at.as_millis())?;
            let destination = unit.intern(Role::Destination, destination)?;
            unit.execute(INSERT_DELIVERY, (id, seq, source, destination, received_at.as_millis()))?;
        }
        Ok(())
    }

    fn insert_event(&self, unit: &mut Unit<'_>, seq: i64, source: i64) -> Result<(), Fault> {
        let VerifiedParts { key, provider, event_type, method, subpath, query, headers, .. } = &self.parts;
        let (provider, event_type) = (unit.intern(Role::Provider, provider)?, unit.intern(Role::Type, event_type)?);
        let row = (
            seq,
            source,
            &*key.event_id,
            event_type,
            provider,
            self.parts.received_at.as_millis(),
            method,
            subpath,
            query,
            self.parts.body.len() as i64,
            headers.text("content-type"),
            self.parts.content_digest,
            &self.parts.verified_by,
        );
        unit.execute(INSERT_EVENT, row)?;
        Ok(())
    }
}

impl Operation for Record {
    type Output = Recorded;

    fn bytes(&self) -> usize {
        self.parts.body.len() + self.parts.headers.encoded().len()
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<Recorded, Fault> {
        let seq = unit.next_event()?;
        if keys::insert(unit, self.key, seq)? {
            self.insert(unit)?;
            Ok(Recorded::Fresh)
        } else {
            self.count_duplicate(unit)?;
            Ok(Recorded::Duplicate)
        }
    }
}

pub(super) const STORED: &str = "
    SELECT seq, source, event_id FROM event WHERE seq = (SELECT seq FROM event_key WHERE key = ?1)";
const INSERT_EVENT: &str = "
    INSERT INTO event (seq, source, event_id, type, provider, received_at, method, subpath, query, size, content_type,
                       content_digest, verified_by)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";
const INSERT_DELIVERY: &str = "
    INSERT INTO delivery (id, event_seq, source, destination, state, attempts, failures, due_at, created_at, replay)
    VALUES (?1, ?2, ?3, ?4, 0, 0, 0, ?5, ?5, 0)";
