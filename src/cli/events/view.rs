//! How events look to people.

use super::super::output;
use super::super::shapes::{Delivery, Event};

/// What a list shows of an event.
pub(super) const HEADINGS: &[&str] = &["received", "source", "type", "event ID", "status", "duplicates"];

/// A row of a list.
pub(super) fn cells(event: &Event) -> [String; 6] {
    [
        output::clean(&event.received_at),
        output::clean(&event.source),
        output::clean(event.r#type.as_deref().unwrap_or("–")),
        output::short(&event.event_id),
        output::clean(&event.status),
        event.duplicates.to_string(),
    ]
}

/// One event with everything about it.
pub(super) fn show(event: &Event) -> anyhow::Result<()> {
    facts(event)?;
    output::headers(event.headers.as_deref().unwrap_or_default())?;
    Ok(deliveries(&event.deliveries)?)
}

fn facts(event: &Event) -> std::io::Result<()> {
    let clean = output::clean;
    output::facts(
        "event",
        &clean(&event.event_id),
        [
            ("source", clean(&event.source)),
            ("provider", clean(&event.provider)),
            ("type", clean(event.r#type.as_deref().unwrap_or("–"))),
            ("received", clean(&event.received_at)),
            ("status", clean(&event.status)),
            ("duplicates", event.duplicates.to_string()),
            ("verified by", clean(&event.verified_by)),
            ("same content as", clean(event.same_content_as.as_deref().unwrap_or("–"))),
            ("body differs", if event.body_differs { "a duplicate came with other content" } else { "no" }.to_owned()),
            ("size", format!("{} bytes", event.size)),
        ],
    )
}

fn deliveries(deliveries: &[Delivery]) -> std::io::Result<()> {
    if deliveries.is_empty() {
        return output::line("no destination takes this event");
    }
    let mut table = output::table(&["delivery", "destination", "attempt", "at", "took", "came of it"]);
    for delivery in deliveries {
        let (id, destination) = (output::clean(&delivery.id), output::clean(&delivery.destination));
        for attempt in &delivery.history {
            let [number, at, took, answer] = attempt.cells();
            table.add_row([&id, &destination, &number, &at, &took, &answer]);
        }
        let at = output::clean(delivery.finished_at.as_deref().unwrap_or_default());
        table.add_row([&id, &destination, "", &at, "", &delivery.standing()]);
    }
    output::line(table)
}
