//! From the commit straight to the attempt: where a destination has a place free, it is kept for an event while that is being
//! recorded, and the attempt begins from what is in memory.

use std::sync::Arc;

use crate::domain::{ClaimedDelivery, Due, Lease, Reservation, StoredEvent, VerifiedEvent, Wake};
use crate::failpoint;
use crate::store::{Inbox, Recorded, StoreError};

/// Records an event with its deliveries, and has these begin. That goes on to its end although nobody waits for it any more: what
/// is committed under a lease must not be left lying until that runs out.
pub(super) async fn record(
    inbox: Arc<dyn Inbox>,
    wake: Arc<dyn Wake>,
    event: VerifiedEvent,
    mut deliveries: Vec<Due>,
) -> Result<Recorded, StoreError> {
    if deliveries.is_empty() {
        return inbox.record(event, deliveries).await;
    }
    let recording = tokio::spawn(async move {
        let hand_over = HandOver::reserve(&*wake, &event, &mut deliveries);
        let (recorded, leases) = inbox.record_leased(event, deliveries.clone()).await?;
        failpoint::reach("ingest.recorded");
        hand_over.begin(&*wake, &deliveries, &leases);
        failpoint::reach("ingest.woken");
        Ok(recorded)
    });
    recording.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the recording of an event was broken off".to_owned())))
}

/// The places that are kept for one event.
struct HandOver {
    places: Vec<Option<Reservation>>,
    /// There if any place is.
    event: Option<Arc<StoredEvent>>,
}

impl HandOver {
    /// Reserves a place for each delivery whose destination has one, and marks it as to be leased at once.
    fn reserve(wake: &dyn Wake, event: &VerifiedEvent, deliveries: &mut [Due]) -> Self {
        let mut places = Vec::with_capacity(deliveries.len());
        for due in deliveries {
            let place = wake.reserve(&due.destination, event.body.len());
            due.lease = place.as_ref().map(Reservation::lease);
            places.push(place);
        }
        let event = places.iter().any(Option::is_some).then(|| Arc::new(stored(event)));
        Self { places, event }
    }

    /// Begins what was leased, and wakes the destinations of what was not.
    fn begin(self, wake: &dyn Wake, deliveries: &[Due], leases: &[Option<Lease>]) {
        for ((due, place), lease) in deliveries.iter().zip(self.places).zip(leases) {
            match (place, lease, &self.event) {
                (Some(place), Some(lease), Some(event)) => place.begin(ClaimedDelivery {
                    lease: *lease,
                    destination: Arc::clone(&due.destination),
                    failures: 0,
                    replay: false,
                    event: Arc::clone(event),
                }),
                (place, ..) => {
                    // First the place is free again, then its lane is called.
                    drop(place);
                    wake.wake(&due.destination);
                }
            }
        }
    }
}

/// The event as it would be read back.
fn stored(event: &VerifiedEvent) -> StoredEvent {
    StoredEvent {
        key: event.key.clone(),
        provider: Arc::clone(&event.provider),
        event_type: event.event_type.clone(),
        method: event.method.clone(),
        subpath: event.subpath.clone(),
        query: event.query.clone(),
        headers: event.headers.clone(),
        body: event.body.clone(),
        received_at: event.received_at,
    }
}
