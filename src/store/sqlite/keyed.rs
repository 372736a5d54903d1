//! Requests that come with a key. A claim belongs to its owner, as a lease does, and is void when the owner is dead. What must
//! not be done twice marks the claim in its own transaction: then it is known that it was done, whatever happens before the
//! answer is kept.

use rusqlite::{OptionalExtension as _, Row};

use super::fault::Fault;
use super::owner;
use super::queue::Priority;
use super::unit::{Operation, Unit};
use crate::domain::{Headers, Timestamp};
use crate::failpoint;
use crate::store::{Answer, KeyClaim, KeyedRequest, NextAction};

const CLAIMED: i64 = 0;
const ANSWERED: i64 = 2;

/// Claims a key.
pub(super) struct ClaimKey(pub(super) KeyedRequest);

impl Operation for ClaimKey {
    type Output = NextAction;
    const ONLY_IF_AWAITED: bool = true;

    fn run(&self, unit: &mut Unit<'_>) -> Result<NextAction, Fault> {
        let KeyedRequest { key, fingerprint, expires_at, .. } = &self.0;
        let found = unit.conn.prepare_cached(FIND)?.query_row([key.0], Found::read).optional()?;
        if let Some(found) = found
            && let Some(taken) = self.judge(unit, found)
        {
            return Ok(taken);
        }
        // A new row, so that whoever had the old claim cannot take this one for it.
        unit.execute("DELETE FROM keyed WHERE key = ?1", [key.0])?;
        unit.execute(INSERT, (key.0, fingerprint, unit.owner.id(), expires_at.as_millis()))?;
        failpoint::reach("keyed.claimed");
        Ok(NextAction::Start(KeyClaim(unit.conn.last_insert_rowid())))
    }
}

pub(super) const FIND: &str = "SELECT fingerprint, stage, owner, expires_at, status, headers, body FROM keyed WHERE key = ?1";
const INSERT: &str = "INSERT INTO keyed (key, fingerprint, stage, owner, expires_at) VALUES (?1, ?2, 0, ?3, ?4)";

impl ClaimKey {
    /// What is to be done instead of beginning; `None` when the key is free.
    fn judge(&self, unit: &Unit<'_>, found: Found) -> Option<NextAction> {
        let held = found.owner.is_some_and(|owner| self.is_held(unit, owner));
        if !held && (found.stage == CLAIMED || found.expires_at <= self.0.now) {
            return None;
        }
        if found.fingerprint != self.0.fingerprint {
            return Some(NextAction::Reused);
        }
        Some(match found.answer {
            _ if held => NextAction::InFlight,
            Some(answer) if found.stage == ANSWERED => NextAction::Replay(answer),
            _ => NextAction::Lost,
        })
    }

    fn is_held(&self, unit: &Unit<'_>, owner: i64) -> bool {
        match owner == unit.owner.id() {
            true => !self.0.alone,
            false => !owner::is_dead(unit.path, owner),
        }
    }
}

/// What is known of a key.
struct Found {
    fingerprint: [u8; 32],
    stage: i64,
    owner: Option<i64>,
    expires_at: Timestamp,
    answer: Option<Answer>,
}

impl Found {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            fingerprint: row.get(0)?,
            stage: row.get(1)?,
            owner: row.get(2)?,
            expires_at: Timestamp::from_millis(row.get(3)?),
            answer: Self::answer(row)?,
        })
    }

    /// One that cannot be read is none.
    fn answer(row: &Row<'_>) -> rusqlite::Result<Option<Answer>> {
        let Some(status) = row.get(4)? else { return Ok(None) };
        let headers = Headers::from_encoded(row.get::<_, Vec<u8>>(5)?);
        let body = row.get::<_, Vec<u8>>(6)?.into();
        Ok(headers.ok().map(|headers| Answer { status, headers, body }))
    }
}

/// Notes that what was asked for is done, in the transaction that does it.
///
/// # Errors
/// [`Fault::Own`] when the claim is not held any more: then it must not be done.
pub(super) fn mark(unit: &mut Unit<'_>, claim: Option<KeyClaim>) -> Result<(), Fault> {
    let Some(KeyClaim(id)) = claim else { return Ok(()) };
    if unit.execute(MARK, (id, unit.owner.id()))? == 0 {
        return Err(Fault::Own("the claim of an Idempotency-Key is lost".to_owned()));
    }
    failpoint::reach("keyed.marked");
    Ok(())
}

const MARK: &str = "UPDATE keyed SET stage = 1 WHERE id = ?1 AND owner = ?2 AND stage < 2";

/// Keeps an answer.
pub(super) struct Complete {
    /// Whose.
    pub(super) claim: KeyClaim,
    /// None where it is not kept.
    pub(super) answer: Option<Answer>,
}

impl Operation for Complete {
    /// Whether the claim was held.
    type Output = bool;
    const PRIORITY: Priority = Priority::Onward;

    fn bytes(&self) -> usize {
        self.answer.as_ref().map_or(0, |answer| answer.body.len())
    }

    fn run(&self, unit: &mut Unit<'_>) -> Result<bool, Fault> {
        let answer = self.answer.as_ref();
        let (status, headers) = (answer.map(|answer| answer.status), answer.map(|answer| answer.headers.encoded()));
        let body = answer.map(|answer| &answer.body[..]);
        let held = unit.execute(COMPLETE, (self.claim.0, unit.owner.id(), status, headers, body))? == 1;
        failpoint::reach("keyed.completed");
        Ok(held)
    }
}

const COMPLETE: &str = "
    UPDATE keyed SET stage = 2, owner = NULL, status = ?3, headers = ?4, body = ?5 WHERE id = ?1 AND owner = ?2";

/// Gives a claim up.
pub(super) struct Abandon(pub(super) KeyClaim);

impl Operation for Abandon {
    type Output = ();
    const PRIORITY: Priority = Priority::Onward;

    fn run(&self, unit: &mut Unit<'_>) -> Result<(), Fault> {
        let claim = (self.0.0, unit.owner.id());
        if unit.execute("DELETE FROM keyed WHERE id = ?1 AND owner = ?2 AND stage = 0", claim)? == 0 {
            unit.execute("UPDATE keyed SET stage = 2, owner = NULL WHERE id = ?1 AND owner = ?2", claim)?;
        }
        failpoint::reach("keyed.abandoned");
        Ok(())
    }
}

/// Forgets keys that have expired.
pub(super) struct PruneKeys {
    /// Until then.
    pub(super) now: Timestamp,
    /// At most so many.
    pub(super) chunk: usize,
}

impl Operation for PruneKeys {
    /// How many.
    type Output = u64;

    fn run(&self, unit: &mut Unit<'_>) -> Result<u64, Fault> {
        let chunk = i64::try_from(self.chunk.max(1)).unwrap_or(i64::MAX);
        let gone = unit.execute(PRUNE, (self.now.as_millis(), chunk))?;
        failpoint::reach("keyed.pruned");
        Ok(gone as u64)
    }
}

/// The dead have no row among the owners once their leases are void.
pub(super) const PRUNE: &str = "
    DELETE FROM keyed WHERE id IN (
        SELECT id FROM keyed WHERE expires_at <= ?1 AND (owner IS NULL OR NOT EXISTS (SELECT 1 FROM owner o WHERE o.id = keyed.owner))
        ORDER BY expires_at LIMIT ?2)";
