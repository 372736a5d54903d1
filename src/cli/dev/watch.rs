//! What happens, as it happens: on standard output, and remembered for the play.

use std::sync::{Mutex, PoisonError};

use crate::cli::output;
use crate::domain::{Happening, Observer, Verdict};

/// Prints happenings, or only remembers the explanation of the last refusal.
pub(super) struct Watch {
    print: bool,
    refusal: Mutex<String>,
}

impl Watch {
    pub(super) fn new(print: bool) -> Self {
        Self { print, refusal: Mutex::default() }
    }

    /// The explanation of the last refusal.
    pub(super) fn take_refusal(&self) -> String {
        std::mem::take(&mut *self.refusal.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Watch {
    fn happened(&self, happening: &Happening<'_>) {
        if let Happening::Refused { diagnosis, .. } = happening {
            (*diagnosis).clone_into(&mut self.refusal.lock().unwrap_or_else(PoisonError::into_inner));
        }
        if let Some(text) = self.print.then(|| line(happening)).flatten()
            && let Err(error) = output::line(text)
        {
            tracing::debug!(cause = %error, "nobody reads our output");
        }
    }
}

fn line(happening: &Happening<'_>) -> Option<String> {
    let clean = output::clean;
    let text = match happening {
        Happening::Accepted { event, event_type, .. } => {
            format!("accepted   {}  {}  {}", event.source, clean(event_type), clean(&event.event_id))
        }
        Happening::Duplicate { event } => format!("duplicate  {}  {}", event.source, clean(&event.event_id)),
        Happening::SameContent { event, earlier, .. } => {
            format!("same       {}  {} has the content of {}", event.source, clean(&event.event_id), clean(earlier))
        }
        Happening::BodyDiffers { event, .. } => {
            format!("differs    {}  {} came before with other content", event.source, clean(&event.event_id))
        }
        Happening::FilterFailed { destination, event, cause, .. } => {
            format!("filter     {destination}  failed on {}: {cause}", clean(&event.event_id))
        }
        Happening::Handshake { source } => format!("handshake  {source}"),
        Happening::Refused { source, code, diagnosis, .. } => format!("refused    {source}  {code}: {}", clean(diagnosis)),
        Happening::Attempted(end) => {
            let became = match end.verdict {
                Verdict::Delivered => "delivered".to_owned(),
                Verdict::RetryAt(at) => format!("failed, again at {at}"),
                Verdict::Dead => "dead".to_owned(),
            };
            format!("attempt {}  {} → {}  {became}", end.attempt, clean(&end.event.event_id), end.destination)
        }
        Happening::Readmitted { rejection, event, .. } => {
            format!("let in     {}  {} (rejection {rejection})", event.source, clean(&event.event_id))
        }
        Happening::Replayed { event, deliveries } => format!("replayed   {}  {}  × {deliveries}", event.source, clean(&event.event_id)),
        Happening::Published { event } => format!("published  {}  {}", event.source, clean(&event.event_id)),
        Happening::Erased { event } => format!("erased     {}  {}", event.source, clean(&event.event_id)),
        Happening::Ordered { what, destination, delivery: Some(id) } => format!("{what:<9}  delivery {id} to {destination}"),
        Happening::Ordered { what, destination, delivery: None } => format!("{what:<9}  {destination}"),
        Happening::Job { id, kind, status, total, done, failed } => {
            format!("job {id}      {kind} {}: {done} of {total} done, {failed} failed", status.as_str())
        }
        Happening::UnknownSource { name, .. } => format!("unknown    there is no source {}", clean(name)),
        Happening::Buried { destination, buried } => {
            format!("dead       {} → {destination}  {}", clean(&buried.event.event_id), buried.reason)
        }
        Happening::CircuitOpened { destination, .. } => format!("circuit    {destination} keeps failing and is left alone"),
        Happening::CircuitClosed { destination } => format!("circuit    {destination} works again"),
        Happening::StoreFailed { cause } => format!("store      {cause}"),
        Happening::Verified { .. } | Happening::Answered { .. } | Happening::Committed { .. } => return None,
    };
    Some(text)
}
