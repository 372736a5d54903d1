//! Publishing by hand: what an operator says is an event of a source, is one. It takes the way of every other from there on.

use std::sync::Arc;

use bytes::Bytes;

use super::{COMMIT_DEADLINE, Ingest, Source};
use crate::domain::{Happening, Headers};
use crate::store::{Recorded, StoreError};
use crate::verify::{self, ByHand};

/// What is to be published.
pub struct Publication {
    /// The event's ID.
    pub event_id: String,
    /// Its type; empty for none.
    pub event_type: String,
    /// The header fields that are kept of it.
    pub headers: Headers,
    /// The raw body.
    pub body: Bytes,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Published {
    /// It is an event now.
    Fresh,
    /// It was there already.
    Known,
    /// Its ID was there already, with another body.
    Differs,
}

impl Ingest {
    /// Records an event of the source and has it delivered. What is there already stays as it is, so that this is safe to
    /// repeat.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot commit.
    pub async fn publish(&self, source: &Source, publication: Publication) -> Result<Published, StoreError> {
        let Publication { event_id, event_type, headers, body } = publication;
        let (source_name, provider) = (Arc::clone(&source.name), Arc::from(&*source.verifier.provider().name));
        let event = ByHand { source: source_name, provider, event_id, event_type: event_type.clone(), headers, body };
        let event = verify::by_hand(event, self.parts.clock.now());
        let key = event.key.clone();
        let routed = self.parts.routes.choose(&event).await;
        let publishing = self.parts.inbox.publish(event, routed.deliveries.clone());
        let recorded = tokio::time::timeout(COMMIT_DEADLINE, publishing).await.unwrap_or_else(|_| Err(self.slow_store()))?;
        let published = match recorded {
            Recorded::Fresh | Recorded::SameContent { .. } => Published::Fresh,
            Recorded::Duplicate | Recorded::Dropped { .. } => Published::Known,
            Recorded::BodyDiffers => Published::Differs,
        };
        if published == Published::Fresh {
            self.wake(&routed.deliveries);
            self.tell(&Happening::Accepted { event: &key, event_type: &event_type, deliveries: routed.deliveries.len() });
            self.tell_of_filters(source, &key, &routed);
            self.tell(&Happening::Published { event: &key });
        }
        Ok(published)
    }
}
