//! A list's query put together from fixed fragments: text that comes from outside is only ever bound.

use rusqlite::types::{Type, Value};
use rusqlite::{Connection, Row, params_from_iter};

use super::names::{self, Role};
use super::span::{self, Kind};
use crate::domain::Timestamp;
use crate::store::{Order, Page};

/// The conditions of a query with their values, in order.
#[derive(Default, Clone)]
pub(super) struct Conditions {
    text: String,
    values: Vec<Value>,
    /// The lowest and the highest number that can match. One of each: of two, SQLite would seek to either and filter
    /// by the other.
    low: Option<i64>,
    high: Option<i64>,
}

impl Conditions {
    /// Adds a condition with one `?`.
    pub(super) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.also(condition);
        self.values.push(value.into());
    }

    /// Adds a condition with a `?` for each value.
    pub(super) fn and_all(&mut self, condition: &str, values: impl IntoIterator<Item = i64>) {
        self.also(condition);
        self.values.extend(values.into_iter().map(Value::from));
    }

    /// Adds a condition without a value.
    pub(super) fn also(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        self.text.push_str(condition);
    }

    /// Bounds the time by `since` and `until`, and the number by what these can mean for it. `false` when nothing can match.
    pub(super) fn between(&mut self, conn: &Connection, range: &Range) -> rusqlite::Result<bool> {
        if let Some(since) = range.since {
            let Some(low) = span::lowest(conn, range.kinds, since)? else { return Ok(false) };
            self.low = Some(low);
            self.and(&format!("{} >= ?", range.time), since.as_millis());
        }
        if let Some(until) = range.until {
            let Some(high) = span::highest(conn, range.kinds, until)? else { return Ok(false) };
            self.high = Some(high);
            self.and(&format!("{} < ?", range.time), until.as_millis());
        }
        Ok(true)
    }

    /// Narrows the numbers to the next so many of those that can match behind `after` and up to `last`. `None` when there are
    /// none.
    pub(super) fn within(&mut self, after: i64, last: i64, most: i64) -> Option<Window> {
        let after = after.max(self.low.unwrap_or(i64::MIN).saturating_sub(1));
        let end = last.min(self.high.unwrap_or(i64::MAX));
        let to = end.min(after.saturating_add(most));
        (self.low, self.high) = (Some(after.saturating_add(1)), Some(to));
        (after < end).then_some(Window { after, to, is_last: to == end })
    }

    /// The lowest and the highest number that can match in a page.
    pub(super) fn bounds(&self, page: Page) -> (i64, i64) {
        let (low, high) = (self.low.unwrap_or(i64::MIN), self.high.unwrap_or(i64::MAX));
        match (page.after, page.order) {
            (None, _) => (low, high),
            (Some(after), Order::Newest) => (low, high.min(after.saturating_sub(1))),
            (Some(after), Order::Oldest) => (low.max(after.saturating_add(1)), high),
        }
    }

    /// Nothing below this number matches.
    pub(super) fn from(&mut self, low: i64) {
        self.low = Some(self.low.map_or(low, |before| before.max(low)));
    }

    /// The page of `select` under these conditions, ordered by the column `number`.
    pub(super) fn list<T>(
        self,
        conn: &Connection,
        select: &str,
        number: &str,
        page: Page,
        row: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let (sql, values) = self.query(select, number, page);
        conn.prepare_cached(&sql)?.query_map(params_from_iter(values), row)?.collect()
    }

    /// The query of that page, with its values.
    pub(super) fn query(mut self, select: &str, number: &str, page: Page) -> (String, Vec<Value>) {
        let (low, high) = self.bounds(page);
        for (comparison, bound, none) in [(">=", low, i64::MIN), ("<=", high, i64::MAX)] {
            if bound != none {
                self.and(&format!("{number} {comparison} ?"), bound);
            }
        }
        let direction = match page.order {
            Order::Newest => "DESC",
            Order::Oldest => "ASC",
        };
        self.values.push(i64::try_from(page.limit).unwrap_or(i64::MAX).into());
        (format!("{select}{} ORDER BY {number} {direction} LIMIT ?", self.text), self.values)
    }
}

/// A range of numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// It begins behind this one.
    pub(super) after: i64,
    /// It ends with this one.
    pub(super) to: i64,
    /// Whether no number behind it can match.
    pub(super) is_last: bool,
}

/// A column with an index of its own, and the name that it must have, if one is asked for.
pub(super) struct Named<'a> {
    /// As the query names it.
    pub(super) column: &'static str,
    /// Counts the rows with a value, up to a limit.
    pub(super) count: &'static str,
    /// What the name is of.
    pub(super) role: Role,
    /// The name.
    pub(super) name: Option<&'a str>,
}

/// A column with an index of its own, and the value that it must have.
struct Indexed {
    column: &'static str,
    count: &'static str,
    value: i64,
}

/// How far rows are counted to tell the rare from the common.
const FAR: [i64; 2] = [100, 2_000];

impl Conditions {
    /// One condition for each name that is asked for; `None` when there is no such name, and nothing can match.
    pub(super) fn named(conn: &Connection, columns: &[Named<'_>]) -> rusqlite::Result<Option<Self>> {
        let mut indexed = Vec::new();
        for Named { column, count, role, name } in columns {
            let Some(name) = name else { continue };
            let Some(value) = names::find(conn, *role, name)? else { return Ok(None) };
            indexed.push(Indexed { column, count, value });
        }
        let mut conditions = Self::default();
        conditions.all_of(conn, &indexed)?;
        Ok(Some(conditions))
    }

    /// Adds a condition for each column. SQLite walks one index and filters by the rest: here it is led to the one with the
    /// fewest rows, or a rare value together with a common one would be looked for among all the common.
    fn all_of(&mut self, conn: &Connection, columns: &[Indexed]) -> rusqlite::Result<()> {
        let rarest = if columns.len() > 1 { rarest(conn, columns)? } else { None };
        for (place, Indexed { column, value, .. }) in columns.iter().enumerate() {
            let led_away = if rarest.is_some_and(|rarest| rarest != place) { "+" } else { "" };
            self.and(&format!("{led_away}{column} = ?"), *value);
        }
        Ok(())
    }
}

/// The column whose value is rarest; `None` if all are common.
fn rarest(conn: &Connection, columns: &[Indexed]) -> rusqlite::Result<Option<usize>> {
    for far in FAR {
        for (place, Indexed { count, value, .. }) in columns.iter().enumerate() {
            let rows: i64 = conn.prepare_cached(count)?.query_row((value, far), |row| row.get(0))?;
            if rows < far {
                return Ok(Some(place));
            }
        }
    }
    Ok(None)
}

/// A range of time over rows whose numbers ascend with it.
pub(super) struct Range {
    /// Whose numbers.
    pub(super) kinds: &'static [Kind],
    /// The column with the time.
    pub(super) time: &'static str,
    /// At or after.
    pub(super) since: Option<Timestamp>,
    /// Before.
    pub(super) until: Option<Timestamp>,
}

/// A stored value that this program never writes.
pub(super) fn unknown(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, format!("the database holds {what} that is unknown").into())
}

/// A count, which is never negative.
pub(super) fn count(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| unknown(column, "a negative count"))
}
