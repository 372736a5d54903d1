//! Which destinations take an event, and in which order: by source, type and filter, with the line of the order key. Asked once
//! for each event before it is recorded, and again when it is replayed; knows nothing of how anything is delivered.

mod filter;
#[doc(hidden)]
pub mod fuzzing;
mod judge;
mod order;
mod subject;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use filter::{Filter, FilterError};
pub use order::{OrderBy, Pointer, PointerError};
pub use subject::Subject;

use crate::domain::{Due, Line, TypePattern};
use filter::{Asked, Fault};
use judge::Judge;

/// What becomes of an event on which a filter fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFilterError {
    /// It is delivered: rather too much than lost.
    #[default]
    Deliver,
    /// It is not.
    Skip,
}

impl OnFilterError {
    /// Its name in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deliver => "deliver",
            Self::Skip => "skip",
        }
    }
}

/// One destination's claim on events.
#[derive(Debug, Clone)]
pub struct Route {
    /// The destination's name.
    pub destination: Arc<str>,
    /// The sources it takes from.
    pub sources: Vec<Arc<str>>,
    /// The types it takes; empty for all.
    pub types: Vec<TypePattern>,
    /// What an event must be like besides.
    pub filter: Option<Filter>,
    /// What becomes of an event on which the filter fails.
    pub on_filter_error: OnFilterError,
    /// Which events go one at a time and in order.
    pub order_by: Option<OrderBy>,
}

/// Where an event goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Routed {
    /// The destinations that take it, with its place in their orders; none for an event that nobody takes.
    pub deliveries: Vec<Due>,
    /// Filters that failed on it, whatever became of it there.
    pub failures: Vec<FilterFailure>,
}

/// A filter that failed on an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterFailure {
    /// The destination whose filter it is.
    pub destination: Arc<str>,
    /// Why, without anything of what the event holds.
    pub cause: String,
}

/// All routes.
#[derive(Debug, Clone)]
pub struct Routes {
    routes: Vec<Route>,
    judge: Judge,
}

impl Routes {
    /// The routes in the order of the configuration.
    pub fn new(routes: Vec<Route>) -> Self {
        Self { routes, judge: Judge::new() }
    }

    /// Where an event goes.
    pub async fn choose<'e>(&self, event: impl Into<Subject<'e>>) -> Routed {
        let event = event.into();
        let routes: Vec<&Route> = self.routes.iter().filter(|route| route.may_take(&event)).collect();
        let filters: Vec<&Filter> = routes.iter().filter_map(|route| route.filter.as_ref()).collect();
        let verdicts = match filters.is_empty() {
            true => Vec::new(),
            false => self.judge.judge(&filters, Asked::of(&event)).await,
        };
        let (mut routed, mut verdicts) = (Routed::default(), verdicts.into_iter());
        let mut lines = Lines { event: &event, known: Vec::new() };
        for route in routes {
            let verdict = route.filter.as_ref().and_then(|_| verdicts.next()).unwrap_or(Ok(true));
            if routed.takes(route, verdict) {
                routed.deliveries.push(lines.due(route));
            }
        }
        routed
    }

    /// An event as due at these destinations, whether or not they would take it, with its place in their orders. A name that
    /// is no destination's is left out.
    pub fn at<'e>(&self, destinations: &[Arc<str>], event: impl Into<Subject<'e>>) -> Vec<Due> {
        let event = event.into();
        let mut lines = Lines { event: &event, known: Vec::new() };
        let wanted = self.routes.iter().filter(|route| destinations.contains(&route.destination));
        wanted.map(|route| lines.due(route)).collect()
    }

    /// The names of all destinations, in the order of the configuration.
    pub fn destinations(&self) -> impl Iterator<Item = &Arc<str>> {
        self.routes.iter().map(|route| &route.destination)
    }
}

impl Route {
    /// Whether it takes such an event, its filter aside.
    fn may_take(&self, event: &Subject<'_>) -> bool {
        self.sources.contains(event.source) && (self.types.is_empty() || self.types.iter().any(|pattern| pattern.matches(event.event_type)))
    }
}

impl Routed {
    /// Whether a route takes the event of which its filter says this; notes it where the filter failed.
    fn takes(&mut self, route: &Route, verdict: Result<bool, Fault>) -> bool {
        verdict.unwrap_or_else(|fault| {
            self.failures.push(FilterFailure { destination: Arc::clone(&route.destination), cause: fault.to_string() });
            route.on_filter_error == OnFilterError::Deliver
        })
    }
}

/// The lines of an event, each looked for once.
struct Lines<'r, 'e> {
    event: &'r Subject<'e>,
    known: Vec<(&'r OrderBy, Option<Line>)>,
}

impl<'r> Lines<'r, '_> {
    /// The event as due at the destination of this route.
    fn due(&mut self, route: &'r Route) -> Due {
        let line = route.order_by.as_ref().and_then(|key| self.line(key));
        Due { line, ..Due::to(Arc::clone(&route.destination)) }
    }

    fn line(&mut self, key: &'r OrderBy) -> Option<Line> {
        if let Some((_, line)) = self.known.iter().find(|(known, _)| *known == key) {
            return *line;
        }
        let line = key.line(self.event);
        self.known.push((key, line));
        line
    }
}
