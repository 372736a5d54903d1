//! How deliveries look to people.

use super::super::output;
use super::super::shapes::{Attempt, Delivery};

/// A row of a list.
pub(super) fn cells(delivery: &Delivery) -> Vec<String> {
    let why = match (&delivery.next_attempt_at, &delivery.last_error) {
        (Some(at), _) => output::clean(at),
        (None, Some(error)) => output::short(error),
        (None, None) => String::new(),
    };
    vec![
        output::clean(&delivery.created_at),
        output::clean(&delivery.id),
        output::clean(&delivery.destination),
        output::clean(&delivery.source),
        output::short(&delivery.event_id),
        output::clean(&delivery.status),
        delivery.attempts.to_string(),
        why,
    ]
}

/// One delivery with its attempts.
pub(super) fn show(delivery: &Delivery) -> std::io::Result<()> {
    let clean = output::clean;
    let facts = [
        ("destination", clean(&delivery.destination)),
        ("source", clean(&delivery.source)),
        ("event ID", clean(&delivery.event_id)),
        ("status", delivery.standing()),
        ("created", clean(&delivery.created_at)),
        ("ended", clean(delivery.finished_at.as_deref().unwrap_or("–"))),
        ("replay", if delivery.replay { "yes" } else { "no" }.to_owned()),
        ("last error", clean(delivery.last_error.as_deref().unwrap_or("–"))),
    ];
    output::facts("delivery", &clean(&delivery.id), facts)?;
    if delivery.history.is_empty() {
        return output::line("\nno attempt has ended");
    }
    let mut table = output::table(&["attempt", "at", "took", "came of it"]);
    for attempt in &delivery.history {
        table.add_row(attempt.cells());
    }
    output::line(format!("\n{table}"))
}

impl Delivery {
    /// Its status, and what it waits for.
    pub(in crate::cli) fn standing(&self) -> String {
        let waits = match (&self.next_attempt_at, self.waits_in_line, self.holds_line) {
            (Some(at), ..) => format!(", next attempt at {at}"),
            (None, true, _) => ", behind another in its order".to_owned(),
            (None, false, true) => ", and those behind it in its order wait".to_owned(),
            (None, false, false) => String::new(),
        };
        output::clean(&format!("{}{waits}", self.status))
    }
}

impl Attempt {
    /// Its number, when it began, how long it took, what came of it.
    pub(in crate::cli) fn cells(&self) -> [String; 4] {
        let answer = self.error.clone().or(self.status_code.map(|code| format!("answered {code}"))).unwrap_or_default();
        [self.attempt.to_string(), output::clean(&self.at), format!("{} ms", self.duration_ms), output::clean(&answer)]
    }
}
