//! What Onceward itself has to say: that a delivery is dead, that a destination is left alone, that a source refuses more than
//! it should. Each is an event of the source `onceward`, recorded once and delivered like any other to the destinations that
//! take from that source. Nothing is told about these events themselves, nor to a destination about itself, so that nothing
//! goes in circles.

mod spike;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::{Announce, AttemptEnd, Clock, Due, Happening, OWN_SOURCE, Observer, OwnEvent, Timestamp, VerifiedEvent, Wake};
use crate::route::{Routed, Routes};
use crate::store::Inbox;
use crate::verify;
use spike::{Spike, Spikes};

/// What is said and not yet recorded. Beyond that it is only in the log: a store that takes nothing has no room for it either.
const WAITING: usize = 256;
/// How often a store that fails is asked to record one, and how far apart.
const TRIES: u32 = 60;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);
/// Alerts that are lost, and filters that fail on alerts, of which is written in each minute.
const WRITTEN: NonZeroU32 = NonZeroU32::new(10).unwrap();

/// Something to be recorded.
struct Notice {
    event_id: String,
    event_type: &'static str,
    data: Value,
    /// What it is about.
    about: Option<Arc<str>>,
    at: Timestamp,
}

/// Says what is worth an event.
pub struct Alerts {
    routes: Routes,
    clock: Arc<dyn Clock>,
    /// Is told of these events as of any other.
    observer: Arc<dyn Observer>,
    spikes: Mutex<Spikes>,
    notices: mpsc::Sender<Notice>,
    losses: DefaultDirectRateLimiter,
    filters: DefaultDirectRateLimiter,
}

/// Records what [`Alerts`] has said outside of any transaction.
pub struct Scribe {
    alerts: Arc<Alerts>,
    notices: mpsc::Receiver<Notice>,
    inbox: Arc<dyn Inbox>,
    wake: Arc<dyn Wake>,
}

impl Alerts {
    /// Alerts for the destinations that take from the source `onceward`. A spike is more than `rejections` (how many, in which
    /// time) of one source. The observer is not these alerts themselves.
    pub fn new(routes: Routes, clock: Arc<dyn Clock>, observer: Arc<dyn Observer>, rejections: (u32, Duration)) -> (Arc<Self>, Pending) {
        let (notices, waiting) = mpsc::channel(WAITING);
        let spikes = Mutex::new(Spikes::new(rejections.0, rejections.1));
        let [losses, filters] = [(); 2].map(|()| RateLimiter::direct(Quota::per_minute(WRITTEN)));
        (Arc::new(Self { routes, clock, observer, spikes, notices, losses, filters }), Pending(waiting))
    }

    fn note(&self, notice: Notice) {
        if let Err(error) = self.notices.try_send(notice)
            && self.losses.check().is_ok()
        {
            let (TrySendError::Full(notice) | TrySendError::Closed(notice)) = error;
            tracing::warn!(event.id = notice.event_id, event.r#type = notice.event_type, "an alert is not recorded: too many wait");
        }
    }

    async fn event(&self, notice: &Notice) -> Option<OwnEvent> {
        let body = json!({ "id": notice.event_id, "type": notice.event_type, "at": notice.at, "data": notice.data });
        let event = verify::own(&notice.event_id, notice.event_type, body.to_string().into(), notice.at);
        let Routed { mut deliveries, failures } = self.routes.choose(&event).await;
        for failure in &failures {
            let (destination, quiet) = (&failure.destination, self.filters.check().is_err());
            self.observer.happened(&Happening::FilterFailed { destination, event: &event.key, cause: &failure.cause, quiet });
        }
        deliveries.retain(|due| Some(&due.destination) != notice.about.as_ref());
        (!deliveries.is_empty()).then_some(OwnEvent { event, deliveries })
    }

    fn refused(&self, source: &str, code: &'static str) {
        let now = self.clock.now();
        let spike = self.spikes.lock().unwrap_or_else(PoisonError::into_inner).count(source, code, now);
        let Some(Spike { since, count, codes }) = spike else { return };
        let data = json!({ "source": source, "count": count, "since": since, "codes": codes });
        self.note(Notice {
            event_id: format!("rejections:{source}:{}", since.as_millis()),
            event_type: "onceward.rejections.spike",
            data,
            about: None,
            at: now,
        });
    }
}

/// What is still to be recorded, until there is a [`Scribe`] for it.
pub struct Pending(mpsc::Receiver<Notice>);

impl Pending {
    /// The one who records it.
    pub fn into_scribe(self, alerts: Arc<Alerts>, inbox: Arc<dyn Inbox>, wake: Arc<dyn Wake>) -> Scribe {
        Scribe { alerts, notices: self.0, inbox, wake }
    }
}

#[async_trait]
impl Announce for Alerts {
    async fn dead(&self, end: &AttemptEnd<'_>, error: Option<&str>) -> Option<OwnEvent> {
        if &*end.event.source == OWN_SOURCE {
            return None;
        }
        let data = json!({
            "delivery": end.delivery.to_string(),
            "destination": &**end.destination,
            "source": &*end.event.source,
            "event_id": &*end.event.event_id,
            "attempts": end.attempt,
            "error": error,
        });
        let notice = Notice {
            event_id: format!("delivery-dead:{}:{}", end.delivery, end.attempt),
            event_type: "onceward.delivery.dead",
            data,
            about: Some(Arc::clone(end.destination)),
            at: self.clock.now(),
        };
        self.event(&notice).await
    }
}

impl Observer for Alerts {
    fn happened(&self, happening: &Happening<'_>) {
        match happening {
            Happening::CircuitOpened { destination, probe_in } => {
                let at = self.clock.now();
                self.note(Notice {
                    event_id: format!("circuit:{destination}:{}", at.as_millis()),
                    event_type: "onceward.circuit.opened",
                    data: json!({ "destination": &***destination, "next_probe_at": at.plus(*probe_in) }),
                    about: Some(Arc::clone(destination)),
                    at,
                });
            }
            Happening::Buried { destination, buried } if &*buried.event.source != OWN_SOURCE => self.note(Notice {
                event_id: format!("delivery-dead:{}:0", buried.delivery),
                event_type: "onceward.delivery.dead",
                data: json!({
                    "delivery": buried.delivery.to_string(),
                    "destination": &***destination,
                    "source": &*buried.event.source,
                    "event_id": &*buried.event.event_id,
                    "attempts": 0,
                    "error": buried.reason,
                }),
                about: Some(Arc::clone(destination)),
                at: self.clock.now(),
            }),
            Happening::Refused { source, code, .. } => self.refused(source, code.as_str()),
            _ => {}
        }
    }
}

impl Scribe {
    /// Records until the program stops.
    pub async fn run(mut self, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                Some(notice) = self.notices.recv() => tokio::select! {
                    () = stopping.cancelled() => return,
                    () = self.record(&notice) => {}
                },
            }
        }
    }

    async fn record(&self, notice: &Notice) {
        let Some(OwnEvent { event, deliveries }) = self.alerts.event(notice).await else { return };
        let mut cause = String::new();
        for _ in 0..TRIES {
            match self.inbox.record(event.clone(), deliveries.clone()).await {
                Ok(recorded) => return self.recorded(&event, &deliveries, recorded.is_fresh()),
                Err(error) => cause = error.to_string(),
            }
            sleep(BETWEEN_TRIES).await;
        }
        tracing::warn!(event.id = notice.event_id, event.r#type = notice.event_type, cause, "an alert could not be recorded");
    }

    fn recorded(&self, event: &VerifiedEvent, deliveries: &[Due], is_fresh: bool) {
        if is_fresh {
            let (event, event_type) = (&event.key, &*event.event_type);
            self.alerts.observer.happened(&Happening::Accepted { event, event_type, deliveries: deliveries.len() });
        }
        deliveries.iter().for_each(|due| self.wake.wake(&due.destination));
    }
}
