//! Which events: the same conditions for the API, the database and a job.

use clap::Args;

use super::super::listing::{self, List, instant, one_of};
use super::super::remote::Query;
use super::super::shapes::{Event, Page};
use super::view;
use crate::domain::{EventStatus, Timestamp};
use crate::history::{EventFilter, History, Paging, Sought};

/// Conditions that must all hold.
#[derive(Args, Clone)]
pub(super) struct Filter {
    /// Of this source
    #[arg(long = "source", id = "of_source", value_name = "SOURCE")]
    pub(super) source: Option<String>,
    /// Of exactly this type
    #[arg(long = "type", value_name = "TYPE")]
    pub(super) event_type: Option<String>,
    /// In this status
    #[arg(long, value_parser = status)]
    pub(super) status: Option<EventStatus>,
    /// With this ID
    #[arg(long = "event-id", id = "with_event_id", value_name = "ID")]
    pub(super) event_id: Option<String>,
    /// With all of these words in its ID, type or body; word* stands for all that begin so
    #[arg(short, long, value_name = "WORDS", value_parser = Sought::parse)]
    pub(super) q: Option<Sought>,
    /// Received at or after this time (RFC 3339)
    #[arg(long, value_parser = Timestamp::parse)]
    pub(super) since: Option<Timestamp>,
    /// Received before this time (RFC 3339)
    #[arg(long, value_parser = Timestamp::parse)]
    pub(super) until: Option<Timestamp>,
}

fn status(text: &str) -> Result<EventStatus, String> {
    one_of(text, &EventStatus::ALL, EventStatus::as_str)
}

impl Filter {
    /// Whether it is a filter at all.
    pub(super) fn is_empty(&self) -> bool {
        self.query().is_empty()
    }

    /// For the database.
    pub(super) fn of_store(&self) -> EventFilter {
        EventFilter {
            source: self.source.clone(),
            event_type: self.event_type.clone(),
            status: self.status,
            event_id: self.event_id.clone(),
            q: self.q.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

impl List for Filter {
    type Row = Event;
    const RESOURCE: &'static str = "events";
    const HEADINGS: &'static [&'static str] = view::HEADINGS;

    fn query(&self) -> Query {
        let (since, until) = (instant(self.since), instant(self.until));
        listing::set(&[
            ("source", self.source.as_deref()),
            ("type", self.event_type.as_deref()),
            ("status", self.status.map(EventStatus::as_str)),
            ("event_id", self.event_id.as_deref()),
            ("q", self.q.as_ref().map(Sought::as_str)),
            ("since", since.as_deref()),
            ("until", until.as_deref()),
        ])
    }

    fn cells(event: &Event) -> Vec<String> {
        view::cells(event).to_vec()
    }

    async fn stored(&self, history: &History, paging: Paging) -> anyhow::Result<Page> {
        Page::of(&history.events(self.of_store(), paging).await?)
    }
}
