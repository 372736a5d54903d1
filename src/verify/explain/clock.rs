//! Clocks and units of time. The age of a request is looked at only once its signature holds.

use std::sync::Arc;

use super::trial::Bench;
use crate::domain::Code;
use crate::provider::{Provider, TimestampUnit};
use crate::verify::Setup;

/// The units that senders use, with what they are called.
const UNITS: &[(TimestampUnit, &str)] = &[
    (TimestampUnit::Seconds, "seconds"),
    (TimestampUnit::Millis, "milliseconds"),
    (TimestampUnit::SecondsOrMillis, "seconds or milliseconds"),
    (TimestampUnit::Rfc3339, "RFC 3339 text"),
    (TimestampUnit::HttpDate, "a date as in HTTP"),
];

/// The timestamp in another unit than the row says.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    if !matches!(bench.refusal().rejection.code, Code::TimestampStale | Code::TimestampMissing) {
        return None;
    }
    let own = bench.provider().signatures.iter().find_map(|signature| signature.timestamp.as_ref())?.unit;
    let (_, expected) = UNITS.iter().find(|(unit, _)| *unit == own)?;
    let (_, came) = UNITS.iter().filter(|(unit, _)| *unit != own).find(|(unit, _)| bench.try_setup(with_unit(bench, *unit)))?;
    Some(format!("the signature holds, and the timestamp is in time when it is read as {came}: the row says {expected}"))
}

fn with_unit(bench: &Bench<'_>, unit: TimestampUnit) -> Setup {
    let mut provider = Provider::clone(bench.provider());
    provider.signatures.iter_mut().filter_map(|signature| signature.timestamp.as_mut()).for_each(|rule| rule.unit = unit);
    Setup { provider: Arc::new(provider), ..bench.setup().clone() }
}

/// What a refusal by this code says of the signature.
pub(super) fn verdict(code: Code) -> Option<&'static str> {
    match code {
        Code::TimestampStale => Some(
            "the signature holds, only the time does not fit: the clock of this machine or of the sender is off, or the request was \
             held up on its way or is an old one sent again",
        ),
        Code::EventIdMissing | Code::BodyUnreadable => Some("the signature holds"),
        _ => None,
    }
}
