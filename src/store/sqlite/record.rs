//! Recording an event: the unique key decides whether it is fresh, and what belongs to it commits with it.

use std::sync::Arc;

use rusqlite::{OptionalExtension as _, Row};

use super::fault::Fault;
use super::keys::{self, Key, content_key, key};
use super::names::Role;
use super::new_delivery::NewDelivery;
use super::tally::Brought;
use super::unit::{Operation, Unit};
use crate::domain::{Due, Lease, ReplayGuard, Timestamp, VerifiedEvent, VerifiedParts};
use crate::failpoint;
use crate::store::Recorded;

/// Records an event with its deliveries, or counts a duplicate.
pub(super) struct Record {
    key: Key,
    /// The key of its content, and what becomes of it when the key is taken.
    content: Option<(Key, ReplayGuard)>,
    parts: VerifiedParts,
    deliveries: Vec<Due>,
    /// When it is recorded, and its deliveries are due: when it was received, but for what was refused at first.
    recorded_at: Timestamp,
    /// Whether another one of the same identity is counted.
    counts: bool,
}

/// What is known of a recorded event.
struct Stored {
    seq: i64,
    source: i64,
    event_id: Arc<str>,
    content_digest: [u8; 32],
}

/// Where an event stands among those of the same content.
#[derive(Clone, Copy)]
enum Content<'a> {
    /// Not compared.
    Unguarded,
    /// The first, whose key is in the levels.
    First,
    /// Came before under this ID.
    SameAs(&'a str),
}

impl Record {
    /// To be recorded with these deliveries.
    pub(super) fn new(event: VerifiedEvent, deliveries: Vec<Due>) -> Self {
        let parts = event.into_parts();
        let content = parts.replay_guard.map(|guard| (content_key(&parts.key.source, &parts.content_digest), guard));
        let recorded_at = parts.received_at;
        Self { key: key(&parts.key.source, &parts.key.event_id), content, parts, deliveries, recorded_at, counts: true }
    }

    /// Recorded at another time than it was received.
    pub(super) fn at(self, recorded_at: Timestamp) -> Self {
        Self { recorded_at, ..self }
    }

    /// Changing nothing if it is there already.
    pub(super) fn uncounted(self) -> Self {
        Self { counts: false, ..self }
    }

    /// The event's ID.
    pub(super) fn event_id(&self) -> &Arc<str> {
        &self.parts.key.event_id
    }

    fn count_duplicate(&self, unit: &mut Unit<'_>) -> Result<Recorded, Fault> {
        let stored = self.stored(unit, self.key)?;
        if stored.event_id != self.parts.key.event_id {
            return Err(Fault::Own("another event has the same key".to_owned()));
        }
        let differs = stored.content_digest != self.parts.content_digest;
        if self.counts {
            self.count(unit, &stored, differs);
        }
        Ok(if differs { Recorded::BodyDiffers } else { Recorded::Duplicate })
    }

    /// Its identity is new, and so written; its content came before.
    fn repeat(&self, unit: &mut Unit<'_>, seq: i64, content: Key, guard: ReplayGuard) -> Result<(Recorded, Vec<Option<Lease>>), Fault> {
        let stored = self.stored(unit, content)?;
        if stored.content_digest != self.parts.content_digest {
            return Err(Fault::Own("another content has the same key".to_owned()));
        }
        let earlier = Arc::clone(&stored.event_id);
        match guard {
            ReplayGuard::Mark => {
                let leases = self.insert(unit, Content::SameAs(&earlier))?;
                Ok((Recorded::SameContent { earlier }, leases))
            }
            ReplayGuard::Drop => {
                // The identity stays free: whoever repeats content with an ID made up must not use up the ID of another event.
                keys::erase(unit, self.key, seq)?;
                self.count(unit, &stored, false);
                Ok((Recorded::Dropped { earlier }, Vec::new()))
            }
        }
    }

    /// Counts a duplicate of a stored event.
    fn count(&self, unit: &mut Unit<'_>, stored: &Stored, differs: bool) {
        let at = self.parts.received_at;
        unit.count_duplicate(stored.seq, at.as_millis(), differs);
        unit.tally(stored.source, at, Brought { duplicates: 1, ..Brought::default() });
    }

    /// The event of the same source whose key this is.
    fn stored(&self, unit: &mut Unit<'_>, key: Key) -> Result<Stored, Fault> {
        let source = unit.find(Role::Source, &self.parts.key.source)?;
        let mut statement = unit.conn.prepare_cached(STORED)?;
        let read = |row: &Row<'_>| Ok(Stored { seq: row.get(0)?, source: row.get(1)?, event_id: row.get(2)?, content_digest: row.get(3)? });
        match statement.query_row([key], read).optional()? {
            Some(stored) if Some(stored.source) == source => Ok(stored),
            Some(_) => Err(Fault::Own("an event of another source has the same key".to_owned())),
            None => Err(Fault::Own("a key without its event".to_owned())),
        }
    }

    /// Returns the leases of its deliveries.
    fn insert(&self, unit: &mut Unit<'_>, content: Content<'_>) -> Result<Vec<Option<Lease>>, Fault> {
        let VerifiedParts { key, received_at, headers, body, .. } = &self.parts;
        let recorded_at = self.recorded_at.as_millis();
        let seq = unit.take_event(received_at.as_millis(), recorded_at)?;
        let source = unit.intern(Role::Source, &key.source)?;
        self.insert_event(unit, seq, source, content)?;
        failpoint::reach("record.event-inserted");
        unit.execute("INSERT INTO payload (seq, headers, body) VALUES (?1, ?2, ?3)", (seq, headers.encoded(), &body[..]))?;
        failpoint::reach("record.payload-inserted");
        if !self.parts.item_ids.is_empty() {
            let ids = serde_json::Value::from(&self.parts.item_ids[..]).to_string();
            unit.execute("INSERT INTO item (seq, ids) VALUES (?1, ?2)", (seq, ids))?;
        }
        let bytes = headers.encoded().len() + body.len();
        unit.tally(source, *received_at, Brought { events: 1, bytes: bytes as i64, ..Brought::default() });
        let new = NewDelivery { event: seq, source, created_at: self.recorded_at, replay: false };
        self.deliveries.iter().map(|due| Ok(new.insert(unit, due)?.1)).collect()
    }

    fn insert_event(&self, unit: &mut Unit<'_>, seq: i64, source: i64, content: Content<'_>) -> Result<(), Fault> {
        let VerifiedParts { key, provider, event_type, method, subpath, query, headers, .. } = &self.parts;
        let (same_as, first) = match content {
            Content::Unguarded => (None, false),
            Content::First => (None, true),
            Content::SameAs(earlier) => (Some(earlier), false),
        };
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
            same_as,
            first,
        );
        unit.execute(INSERT_EVENT, row)?;
        Ok(())
    }
}

impl Operation for Record {
    /// With the leases of its deliveries.
    type Output = (Recorded, Vec<Option<Lease>>);

    fn bytes(&self) -> usize {
        self.parts.body.len() + self.parts.headers.encoded().len()
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<Self::Output, Fault> {
        let seq = unit.next_event()?;
        if !keys::insert(unit, self.key, seq)? {
            return Ok((self.count_duplicate(unit)?, Vec::new()));
        }
        failpoint::reach("record.key-inserted");
        let content = match self.content {
            None => Content::Unguarded,
            Some((key, guard)) if !keys::insert(unit, key, seq)? => return self.repeat(unit, seq, key, guard),
            Some(_) => Content::First,
        };
        failpoint::reach("record.keys-inserted");
        Ok((Recorded::Fresh, self.insert(unit, content)?))
    }
}

pub(super) const STORED: &str = "
    SELECT seq, source, event_id, content_digest FROM event WHERE seq = (SELECT seq FROM event_key WHERE key = ?1)";
const INSERT_EVENT: &str = "
    INSERT INTO event (seq, source, event_id, type, provider, received_at, method, subpath, query, size, content_type,
                       content_digest, verified_by, same_content_as, content_key)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
