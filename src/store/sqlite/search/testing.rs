//! What tests do to the file with the words, without its thread.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::super::find;
use super::Keeper;
use super::fill::Filler;
use super::{index, parts};
use crate::domain::Silent;
use crate::store::EventFilter;
use crate::store::sqlite::open as database;
use crate::store::words::Texts;

const PATIENCE: Duration = Duration::from_secs(30);

/// Both, for writing and for reading.
fn open(path: &Path) -> (Connection, Connection) {
    let main = database::read_only(path, PATIENCE).unwrap();
    let mut index = index::open(path, PATIENCE).unwrap();
    index::check(&mut index, &main).unwrap();
    (index, main)
}

/// No words are left.
pub(in super::super) fn forget(path: &Path) {
    std::fs::remove_file(index::path_of(path)).unwrap();
}

/// Takes the words of a few events at a time.
pub(in super::super) fn fill(path: &Path, steps: usize, bodies: Duration) {
    let (mut index, main) = open(path);
    let filler = Filler::new([].into(), bodies);
    (0..steps).take_while(|_| filler.fill(&mut index, &main).unwrap()).for_each(drop);
}

/// Takes the words of an event out.
pub(in super::super) fn erase(path: &Path, seq: i64) -> bool {
    let (mut index, main) = open(path);
    super::erase::erase(&mut index, &main, seq).unwrap()
}

/// A step of the thread, the first one.
pub(in super::super) fn step(path: &Path) {
    let (index, main) = open(path);
    let filler = Filler::new([].into(), Duration::from_secs(30 * 24 * 3_600));
    let mut keeper = Keeper { main, index, filler, swept: None, looked: None, observer: Arc::new(Silent) };
    keeper.step().unwrap();
}

/// Drops what nobody can find any more.
pub(in super::super) fn sweep(path: &Path) {
    let (mut index, main) = open(path);
    while parts::sweep(&mut index, &main).unwrap() {}
}

/// A connection that can ask for words.
pub(in super::super) fn reader(path: &Path) -> Connection {
    let conn = database::read_only(path, PATIENCE).unwrap();
    index::attach(&conn, path).unwrap();
    assert!(index::is_attached(&conn).unwrap());
    conn
}

/// How many parts can be asked.
pub(in super::super) fn count_parts(path: &Path) -> usize {
    parts::all(&open(path).0, "main").unwrap().len()
}

/// Whether all that is recorded is in.
pub(in super::super) fn is_caught_up(path: &Path) -> bool {
    let (index, main) = (Connection::open(index::path_of(path)).unwrap(), Connection::open(path).unwrap());
    let reached: rusqlite::Result<i64> = index.query_row("SELECT seq FROM reached", (), |row| row.get(0));
    reached.is_ok_and(|reached| reached == index::newest(&main).unwrap())
}

/// Changes the file.
pub(in super::super) fn run(path: &Path, sql: &str) {
    Connection::open(index::path_of(path)).unwrap().execute_batch(sql).unwrap();
}

/// How many tables of words there are, and all words.
pub(in super::super) fn terms(path: &Path) -> (usize, Vec<String>) {
    let conn = Connection::open(index::path_of(path)).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE words_%'";
    let tables: Vec<String> = conn.prepare(sql).unwrap().query_map((), |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let mut terms = Vec::new();
    for table in &tables {
        conn.execute_batch(&format!("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab('main', '{table}', 'row')")).unwrap();
        let mut statement = conn.prepare("SELECT term FROM vocabulary").unwrap();
        terms.extend(statement.query_map((), |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap));
        drop(statement);
        conn.execute_batch("DROP TABLE temp.vocabulary").unwrap();
    }
    (tables.len(), terms)
}

/// The words of a text.
pub(in super::super) fn plain_words(text: &str) -> String {
    Texts { event_id: "", event_type: "", content_type: None, body: text.as_bytes() }.words()
}

/// What a question with this filter asks SQLite of a part.
pub(in super::super) fn queries(conn: &Connection, filter: &EventFilter) -> Vec<String> {
    find::queries(conn, filter)
}
