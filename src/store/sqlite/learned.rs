//! Secrets that senders have made up and told in a handshake. They must be at hand as they are, so they lie in the database
//! as they are: whoever reads the file can sign for these senders.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};
use secrecy::{ExposeSecret as _, SecretString};

use super::fault::Fault;
use super::names::{self, Role};
use super::unit::{Operation, Unit};
use crate::domain::Timestamp;

/// Keeps a secret, unless the source has one: the first stays.
pub(super) struct Learn {
    pub(super) source: Arc<str>,
    pub(super) secret: SecretString,
    pub(super) at: Timestamp,
}

impl Operation for Learn {
    /// The one that is kept.
    type Output = SecretString;

    fn run(&self, unit: &mut Unit<'_>) -> Result<SecretString, Fault> {
        let source = unit.intern(Role::Source, &self.source)?;
        unit.execute(
            "INSERT INTO learned (source, secret, learned_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            (source, self.secret.expose_secret(), self.at.as_millis()),
        )?;
        let kept: String = unit.conn.prepare_cached(OF_SOURCE)?.query_row([source], |row| row.get(0))?;
        Ok(kept.into())
    }
}

/// Forgets a source's secret, so that the next handshake is believed.
pub(super) struct Forget(pub(super) Arc<str>);

impl Operation for Forget {
    /// Whether there was one.
    type Output = bool;

    fn run(&self, unit: &mut Unit<'_>) -> Result<bool, Fault> {
        let Some(source) = unit.find(Role::Source, &self.0)? else { return Ok(false) };
        Ok(unit.execute("DELETE FROM learned WHERE source = ?1", [source])? > 0)
    }
}

const OF_SOURCE: &str = "SELECT secret FROM learned WHERE source = ?1";

/// The secret that a source has been told.
pub(super) fn of(conn: &Connection, source: &str) -> rusqlite::Result<Option<SecretString>> {
    let Some(source) = names::find(conn, Role::Source, source)? else { return Ok(None) };
    let secret = conn.prepare_cached(OF_SOURCE)?.query_row([source], |row| row.get::<_, String>(0)).optional()?;
    Ok(secret.map(Into::into))
}
