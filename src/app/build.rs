//! From configuration to parts.

use std::num::NonZeroU32;
use std::sync::Arc;

use super::StartError;
use crate::alert::{self, Alerts};
use crate::config::{self, Config, Target};
use crate::deliver::{self, Handlers, Kit};
use crate::dispatch::LaneParts;
use crate::domain::{Clock, OWN_SOURCE, Observer};
use crate::ingest;
use crate::net::Clients;
use crate::route::{Route, Routes};
use crate::verify::{Setup, Verifier};

/// The sources with their verifiers.
pub(super) fn sources(config: &Config) -> Result<Vec<ingest::Source>, StartError> {
    config.sources.iter().map(source).collect()
}

/// What judges the requests of a source.
pub(super) fn verifier(source: &config::Source) -> Result<Verifier, StartError> {
    let setup = Setup {
        provider: Arc::clone(&source.provider),
        secrets: source.secrets.clone(),
        params: source.params.clone(),
        url: source.url.clone(),
        tolerance: source.tolerance,
        verify: source.verify,
        replay_guard: source.replay_guard,
    };
    Verifier::new(Arc::clone(&source.name), setup).map_err(|error| StartError::Key { source_name: source.name.to_string(), error })
}

fn source(source: &config::Source) -> Result<ingest::Source, StartError> {
    let verifier = verifier(source)?;
    let rate = source.rate_limit.and_then(|rate| Some((NonZeroU32::new(rate.count)?, rate.per)));
    Ok(ingest::Source::new(Arc::clone(&source.name), verifier, source.max_body, rate))
}

/// Which destinations take what. Made once: with it the places are shared where filters are evaluated.
pub(super) fn routes(config: &Config) -> Routes {
    let route = |destination: &config::Destination| Route {
        destination: Arc::clone(&destination.name),
        sources: destination.from.clone(),
        types: destination.types.clone(),
        filter: destination.filter.clone(),
        on_filter_error: destination.on_filter_error,
        order_by: destination.order_by.clone(),
    };
    Routes::new(config.destinations.iter().map(route).collect())
}

/// What Onceward has to say, if any destination takes it.
pub(super) fn alerts(
    config: &Config,
    routes: &Routes,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
) -> Option<(Arc<Alerts>, alert::Pending)> {
    let is_own = |source: &Arc<str>| **source == *OWN_SOURCE;
    let is_taken = config.destinations.iter().any(|destination| destination.from.iter().any(is_own));
    let config::Rate { count, per } = config.alerts.rejections;
    is_taken.then(|| Alerts::new(routes.clone(), Arc::clone(clock), Arc::clone(observer), (count, per)))
}

/// The clients of the destinations that are URLs: those with the same settings share one.
pub(super) fn clients(config: &Config) -> Result<Clients, StartError> {
    let clients = Clients::default();
    for destination in &config.destinations {
        if let Target::Url(target) = &destination.target {
            let made = clients.with(&target.as_ref().into());
            made.map_err(|error| StartError::Destination { name: destination.name.to_string(), error: error.into() })?;
        }
    }
    Ok(clients)
}

/// The destinations, each as a lane.
pub(super) fn lanes(config: &Config, clock: &Arc<dyn Clock>, handlers: &Handlers) -> Result<Vec<LaneParts>, StartError> {
    let kit = Kit { clients: clients(config)?, clock: Arc::clone(clock), handlers: handlers.clone() };
    let lane = |destination: &config::Destination| match deliver::build(destination, &kit) {
        Ok(built) => Ok(LaneParts::new(destination, built)),
        Err(error) => Err(StartError::Destination { name: destination.name.to_string(), error }),
    };
    config.destinations.iter().map(lane).collect()
}
