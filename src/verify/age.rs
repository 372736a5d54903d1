//! Timestamps: how old a request says that it is, and whether that is near enough to now.

use std::time::Duration;

use super::content::Scope;
use crate::domain::{Code, Rejection, Timestamp, print_duration};
use crate::provider::{TimestampRule, TimestampUnit};

/// Checks the timestamp on both sides: too old and too far ahead.
pub(super) fn check(scope: &Scope<'_>, rule: &TimestampRule, tolerance: Option<Duration>, now: Timestamp) -> Result<(), Rejection> {
    let Some(text) = scope.text(&rule.from).filter(|text| !text.is_empty()) else {
        return Err(Rejection::new(Code::TimestampMissing, format!("there is no timestamp in the {}", rule.from)));
    };
    let Some(at) = parse(&text, rule.unit) else {
        return Err(Rejection::new(Code::TimestampMissing, format!("the timestamp in the {} is not a time", rule.from)));
    };
    // A whole-second timestamp is compared in whole seconds, as the senders' own libraries do.
    let now = if rule.unit == TimestampUnit::Seconds { Timestamp::from_secs(now.as_secs()) } else { now };
    let tolerance = tolerance.unwrap_or(rule.tolerance);
    let (age, ahead) = (now.since(at), at.since(now));
    if age.max(ahead) <= tolerance {
        return Ok(());
    }
    let (off, side) = if age > ahead { (age, "old") } else { (ahead, "ahead of this machine's clock") };
    let seconds = off.as_secs();
    Err(Rejection::new(Code::TimestampStale, format!("the timestamp is {seconds} s {side}; {} is allowed", print_duration(tolerance))))
}

fn parse(text: &str, unit: TimestampUnit) -> Option<Timestamp> {
    match unit {
        TimestampUnit::Seconds => text.parse().ok().map(Timestamp::from_secs),
        TimestampUnit::Millis => text.parse().ok().map(Timestamp::from_millis),
        TimestampUnit::Rfc3339 => Timestamp::parse(text).ok(),
    }
}

/// Writes a timestamp in the unit of a row.
pub(super) fn print(at: Timestamp, unit: TimestampUnit) -> String {
    match unit {
        TimestampUnit::Seconds => at.as_secs().to_string(),
        TimestampUnit::Millis => at.as_millis().to_string(),
        TimestampUnit::Rfc3339 => at.to_string(),
    }
}
