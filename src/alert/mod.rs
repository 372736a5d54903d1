//! What Onceward itself has to say: that a delivery is dead, that a destination is left alone, that a source refuses more than
//! it should. Each is an event of the source `onceward`, recorded once and delivered like any other to the destinations that
//! take from that source. Nothing is told about these events themselves, nor to a destination about itself, so that nothing
//! goes in circles.

mod spike;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::domain::{Announce, AttemptEnd, Clock, Happening, OWN_SOURCE, Observer, OwnEvent, Timestamp, Wake};
use crate::route::Routes;
use crate::store::Inbox;
use crate::verify;
use spike::{Spike, Spikes};

/// What is said and not yet recorded. Beyond that it is only in the log: a store that takes nothing has no room for it either.
const WAITING: usize = 256;
/// How often a store that fails is asked to record one, and how far apart.
const TRIES: u32 = 60;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

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
    spikes: Mutex<Spikes>,
    notices: mpsc::Sender<Notice>,
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
    /// time) of one source.
    pub fn new(routes: Routes, clock: Arc<dyn Clock>, rejections: (u32, Duration)) -> (Arc<Self>, Pending) {
        let (notices, waiting) = mpsc::channel(WAITING);
        let spikes = Mutex::new(Spikes::new(rejections.0, rejections.1));
        (Arc::new(Self { routes, clock, spikes, notices }), Pending(waiting))
    }

    fn note(&self, notice: Notice) {
        if self.notices.try_send(notice).is_err() {
            tracing::debug!("an alert is not recorded: too many wait");
        }
    }

    async fn event(&self, notice: &Notice) -> Option<OwnEvent> {
        let body = json!({ "id": notice.event_id, "type": notice.event_type, "at": notice.at, "data": notice.data });
        let event = verify::own(&notice.event_id, notice.event_type, body.to_string().into(), notice.at);
        let mut deliveries = self.routes.choose(&event).await.deliveries;
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
        for _ in 0..TRIES {
            match self.inbox.record(event.clone(), deliveries.clone()).await {
                Ok(_) => return deliveries.iter().for_each(|due| self.wake.wake(&due.destination)),
                Err(_) => sleep(BETWEEN_TRIES).await,
            }
        }
        tracing::warn!(event.id = notice.event_id, "an alert could not be recorded");
    }
}
