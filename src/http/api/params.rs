//! Query parameters: every unknown or unreadable one is an error that says what is allowed.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::domain::{Code, Timestamp};
use crate::history::{Cursor, MAX_LIMIT, Order, Paging, Sought};
use crate::http::problem::Problem;

/// The parameters of one request, taken out one by one; [`Params::finish`] refuses what is left.
pub(super) struct Params {
    left: BTreeMap<String, String>,
    known: Vec<&'static str>,
}

impl Params {
    /// Reads a query.
    pub(super) fn parse(query: &str) -> Result<Self, Problem> {
        let mut left = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if left.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(invalid(&name, "given more than once"));
            }
        }
        Ok(Self { left, known: Vec::new() })
    }

    /// A parameter as text; an empty one counts as left out.
    pub(super) fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name).filter(|value| !value.is_empty())
    }

    /// Words to look for; an empty text counts as left out.
    pub(super) fn sought(&mut self, name: &'static str) -> Result<Option<Sought>, Problem> {
        self.text(name).map(|text| sought(name, &text)).transpose()
    }

    fn take(&mut self, name: &'static str) -> Option<String> {
        self.known.push(name);
        self.left.remove(name)
    }

    /// A parameter that parses.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T::Err: std::fmt::Display,
    {
        self.take(name).map(|text| text.parse().map_err(|error: T::Err| invalid(name, error))).transpose()
    }

    /// A parameter that is one of a few words.
    pub(super) fn one_of<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let allowed = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| invalid(name, format!("one of {}", allowed())))
    }

    /// An instant.
    pub(super) fn time(&mut self, name: &'static str) -> Result<Option<Timestamp>, Problem> {
        self.take(name).map(|text| Timestamp::parse(&text).map_err(|error| invalid(name, error))).transpose()
    }

    /// `limit`, `cursor` and `order`.
    pub(super) fn paging(&mut self) -> Result<Paging, Problem> {
        let default = Paging::default();
        let limit = self.parsed::<usize>("limit")?.unwrap_or(default.limit);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(invalid("limit", format!("a number from 1 to {MAX_LIMIT}")));
        }
        let cursor = self.parsed::<Cursor>("cursor")?;
        let order = self.one_of("order", &[("desc", Order::Newest), ("asc", Order::Oldest)])?.unwrap_or(default.order);
        Ok(Paging { limit, cursor, order })
    }

    /// Refuses parameters that nobody asked for.
    pub(super) fn finish(self) -> Result<(), Problem> {
        match self.left.keys().next() {
            Some(name) => Err(invalid(name, format!("unknown; known are {}", self.known.join(", ")))),
            None => Ok(()),
        }
    }
}

/// Words to look for.
pub(super) fn sought(name: &str, text: &str) -> Result<Sought, Problem> {
    Sought::parse(text).map_err(|error| invalid(name, error))
}

/// Something is wrong with what the client asked for.
pub(super) fn invalid(name: &str, what: impl std::fmt::Display) -> Problem {
    Problem::new(Code::InvalidParameter).detail(format!("{name}: {what}"))
}
