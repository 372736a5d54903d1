//! Lists of all kinds: a page, or all pages, as a table or as lines of JSON.

use clap::{Args, ValueEnum};
use serde::de::DeserializeOwned;

use super::output;
use super::reading::Answers;
use super::remote::Query;
use super::shapes::{self, Page};
use crate::domain::Timestamp;
use crate::history::{Cursor, History, MAX_LIMIT, Order, Paging};

/// How much of a list, and in which form.
#[derive(Args)]
pub(super) struct Pages {
    /// How many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MAX_LIMIT as u64))]
    limit: u64,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<Cursor>,
    /// All pages from there on
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// The direction
    #[arg(long, value_enum, default_value_t = Direction::Desc)]
    order: Direction,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Direction {
    Desc,
    Asc,
}

/// A list that can be asked for: a filter that knows what it is a filter of.
pub(super) trait List {
    /// A row, as far as the table shows it.
    type Row: DeserializeOwned;
    /// The list's name in the API.
    const RESOURCE: &'static str;
    /// The table's headings.
    const HEADINGS: &'static [&'static str];

    /// The conditions as the API's parameters.
    fn query(&self) -> Query;

    /// The cells of a row, harmless to a terminal.
    fn cells(row: &Self::Row) -> Vec<String>;

    /// A page from the database.
    async fn stored(&self, history: &History, paging: Paging) -> anyhow::Result<Page>;
}

impl Pages {
    /// The first page.
    pub(super) fn paging(&self) -> Paging {
        let order = match self.order {
            Direction::Desc => Order::Newest,
            Direction::Asc => Order::Oldest,
        };
        let limit = if self.all { MAX_LIMIT } else { usize::try_from(self.limit).unwrap_or(MAX_LIMIT) };
        Paging { limit, cursor: self.cursor, order }
    }
}

/// One page.
pub(super) async fn page<L: List>(list: &L, answers: &Answers, paging: Paging) -> anyhow::Result<Page> {
    match answers {
        Answers::Database(history) => list.stored(history, paging).await,
        Answers::Server(remote) => {
            let mut query = list.query();
            query.push(("limit", paging.limit.to_string()));
            query.extend((paging.order == Order::Oldest).then(|| ("order", "asc".to_owned())));
            query.extend(paging.cursor.map(|cursor| ("cursor", cursor.to_string())));
            remote.page(L::RESOURCE, &query).await
        }
    }
}

/// Prints the list, or the part of it that was asked for.
pub(super) async fn print<L: List>(list: &L, answers: &Answers, pages: &Pages) -> anyhow::Result<()> {
    let (mut paging, mut table) = (pages.paging(), output::table(L::HEADINGS));
    let more = loop {
        let page = page(list, answers, paging).await?;
        let left = if pages.all { MAX_LIMIT } else { paging.limit.saturating_sub(page.data.len()) };
        for row in &page.data {
            match pages.json {
                true => output::line(row)?,
                false => drop(table.add_row(L::cells(&shapes::read(row)?))),
            }
        }
        match page.next {
            // A page is not full where looking for words takes long.
            Some(next) if left > 0 => paging = Paging { limit: left, cursor: Some(next.parse()?), ..paging },
            next => break next,
        }
    };
    if !pages.json {
        output::line(table)?;
        if let Some(next) = more {
            output::line(format!("more: --cursor {next}"))?;
        }
    }
    Ok(())
}

/// Conditions as parameters: those that are set.
pub(super) fn set(conditions: &[(&'static str, Option<&str>)]) -> Query {
    conditions.iter().filter_map(|(name, value)| value.map(|value| (*name, value.to_owned()))).collect()
}

/// An instant of a condition, in the form in which the API reads it.
pub(super) fn instant(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

/// One of a few words, or an error that lists them.
pub(super) fn one_of<T: Copy>(text: &str, all: &[T], name: impl Fn(T) -> &'static str) -> Result<T, String> {
    all.iter().copied().find(|one| name(*one) == text).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        format!("one of {}", names.join(", "))
    })
}
