//! An attempt's place in its lane: whoever holds it is under way, and the destination's gate learns how it went.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::circuit::Change;
use super::post::Post;
use crate::domain::{Happening, Health};

/// A place. Given back when it is dropped, also by an attempt that is broken off: a probe without an end would keep the
/// circuit shut for ever.
pub(super) struct Place {
    post: Arc<Post>,
    /// The place itself, and the ticket.
    permits: Option<[OwnedSemaphorePermit; 2]>,
    probe: bool,
    judged: bool,
    /// Whether the lane may have waited for this end.
    awaited: bool,
    over: Arc<AtomicBool>,
}

impl Place {
    /// A place for an attempt, which may probe an open circuit.
    pub(super) fn new(post: Arc<Post>, place: OwnedSemaphorePermit, ticket: OwnedSemaphorePermit, probe: bool) -> Self {
        Self { post, permits: Some([place, ticket]), probe, judged: false, awaited: false, over: Arc::default() }
    }

    /// Becomes true when the attempt is over, whatever is still to be done about its end.
    pub(super) fn over(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.over)
    }

    /// The attempt has ended and says this about the destination, which asks for that wait.
    pub(super) fn ended(&mut self, health: Health, asked: Option<Duration>) {
        self.judged = true;
        let Post { name, gate, observer, .. } = &*self.post;
        let end = gate.ended(Instant::now(), health, asked, self.probe);
        self.awaited = end.was_narrow;
        match end.change {
            Some(Change::Opened(probe_in)) => observer.happened(&Happening::CircuitOpened { destination: name, probe_in }),
            Some(Change::Closed) => observer.happened(&Happening::CircuitClosed { destination: name }),
            None => {}
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.judged {
            self.ended(Health::Unknown, None);
        }
        self.over.store(true, Ordering::SeqCst);
        self.post.one_has_ended();
        // First the place, then the call: whoever is woken must find it free.
        drop(self.permits.take());
        if self.awaited {
            self.post.call();
        }
    }
}
