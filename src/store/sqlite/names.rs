//! Names as numbers: sources, destinations, providers and event types repeat in every row.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

/// What a name is the name of; the numbers are stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    Source = 0,
    Destination = 1,
    Provider = 2,
    Type = 3,
}

/// Beyond this many cached names the cache starts afresh: event types come from senders.
const CACHED: usize = 10_000;

/// The names that the writer has met. To be forgotten when a transaction is rolled back.
#[derive(Default)]
pub(super) struct Names {
    ids: [HashMap<Arc<str>, i64>; 4],
    names: HashMap<i64, Arc<str>>,
}

impl Names {
    /// The number of a name; a new one if it has none.
    pub(super) fn intern(&mut self, conn: &Connection, role: Role, name: &str) -> rusqlite::Result<i64> {
        if let Some(id) = self.find(conn, role, name)? {
            return Ok(id);
        }
        conn.prepare_cached("INSERT INTO name (role, name) VALUES (?1, ?2)")?.execute((role as i64, name))?;
        let id = conn.last_insert_rowid();
        self.remember(role, name.into(), id);
        Ok(id)
    }

    /// The number of a name, if it has one.
    pub(super) fn find(&mut self, conn: &Connection, role: Role, name: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(id) = self.ids[role as usize].get(name) {
            return Ok(Some(*id));
        }
        let found = find(conn, role, name)?;
        if let Some(id) = found {
            self.remember(role, name.into(), id);
        }
        Ok(found)
    }

    /// The name behind a number.
    pub(super) fn name(&mut self, conn: &Connection, id: i64) -> rusqlite::Result<Arc<str>> {
        if let Some(name) = self.names.get(&id) {
            return Ok(Arc::clone(name));
        }
        let name = of(conn, id)?;
        self.make_room();
        self.names.insert(id, Arc::clone(&name));
        Ok(name)
    }

    /// Forgets an event type whose name has been deleted.
    pub(super) fn forget_type(&mut self, id: i64) {
        if let Some(name) = self.names.remove(&id) {
            self.ids[Role::Type as usize].remove(&name);
        }
    }

    /// Forgets all: numbers given out in a transaction that was rolled back are void, and another process may have deleted
    /// what it has met.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn make_room(&mut self) {
        if self.names.len() >= CACHED {
            self.forget();
        }
    }

    fn remember(&mut self, role: Role, name: Arc<str>, id: i64) {
        self.make_room();
        self.names.insert(id, Arc::clone(&name));
        self.ids[role as usize].insert(name, id);
    }
}

/// The name of a number, uncached.
pub(super) fn of(conn: &Connection, id: i64) -> rusqlite::Result<Arc<str>> {
    conn.prepare_cached("SELECT name FROM name WHERE id = ?1")?.query_row([id], |row| row.get(0))
}

/// The number of a name, uncached.
pub(super) fn find(conn: &Connection, role: Role, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM name WHERE role = ?1 AND name = ?2")?.query_row((role as i64, name), |row| row.get(0)).optional()
}

/// Every name of a role with its number.
pub(super) fn all(conn: &Connection, role: Role) -> rusqlite::Result<Vec<(i64, String)>> {
    conn.prepare_cached("SELECT id, name FROM name WHERE role = ?1")?
        .query_map([role as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_names_are_kept_in_memory_than_the_bound() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("migrations/0001.sql")).unwrap();
        let mut names = Names::default();
        for n in 0..CACHED + 10 {
            names.intern(&conn, Role::Type, &n.to_string()).unwrap();
            assert!(names.names.len() <= CACHED && names.ids[3].len() <= CACHED);
        }
        for id in 1..CACHED + 10 {
            assert_eq!(*names.name(&conn, id as i64).unwrap(), *(id - 1).to_string());
            assert!(names.names.len() <= CACHED && names.ids[3].len() <= CACHED);
        }
    }
}
