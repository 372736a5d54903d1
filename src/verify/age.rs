//! Timestamps: how old a request says that it is, and whether that is near enough to now.

use std::time::Duration;

use super::content::Scope;
use crate::domain::{Code, Rejection, Timestamp, print_duration};
use crate::provider::{Locator, TimestampRule, TimestampUnit};

/// A number below this is seconds (until the year 5138), one from it on milliseconds (from 1973).
const SMALLEST_MILLIS: i64 = 100_000_000_000;

/// Checks the timestamp on both sides: too old and too far ahead.
pub(super) fn check(scope: &Scope<'_>, rule: &TimestampRule, tolerance: Option<Duration>, now: Timestamp) -> Result<(), Rejection> {
    let Some(text) = scope.text(&rule.from).filter(|text| !text.is_empty()) else {
        return Err(Rejection::new(Code::TimestampMissing, format!("there is no timestamp in the {}", rule.from)));
    };
    let Some(at) = parse(&text, rule.unit) else {
        return Err(Rejection::new(Code::TimestampMissing, format!("the timestamp in the {} is not a time", rule.from)));
    };
    // A whole-second timestamp is compared in whole seconds, as the senders' own libraries do.
    let whole_seconds = matches!(rule.unit, TimestampUnit::Seconds | TimestampUnit::HttpDate);
    let now = if whole_seconds { Timestamp::from_secs(now.as_secs()) } else { now };
    let tolerance = tolerance.unwrap_or(rule.tolerance);
    let (age, ahead) = (now.since(at), at.since(now));
    if age.max(ahead) <= tolerance {
        return Ok(());
    }
    let (off, side) = if age > ahead { (age, "old") } else { (ahead, "ahead of this machine's clock") };
    let seconds = off.as_secs();
    Err(Rejection::new(Code::TimestampStale, format!("the timestamp is {seconds} s {side}; {} is allowed", print_duration(tolerance))))
}

/// Checks that a signature has not ended, where it says when it does.
pub(super) fn check_end(scope: &Scope<'_>, now: Timestamp) -> Result<(), Rejection> {
    let Some(end) = scope.text(&Locator::SignatureItem("expires".into())) else { return Ok(()) };
    match parse(&end, TimestampUnit::Seconds) {
        Some(end) if now < end => Ok(()),
        Some(_) => Err(Rejection::new(Code::TimestampStale, "the signature has expired")),
        None => Err(Rejection::new(Code::TimestampMissing, "the signature's end is not a time")),
    }
}

fn parse(text: &str, unit: TimestampUnit) -> Option<Timestamp> {
    match unit {
        TimestampUnit::Seconds => text.parse().ok().map(Timestamp::from_secs),
        TimestampUnit::Millis => text.parse().ok().map(Timestamp::from_millis),
        TimestampUnit::SecondsOrMillis => {
            let number: i64 = text.parse().ok()?;
            Some(if number.abs() < SMALLEST_MILLIS { Timestamp::from_secs(number) } else { Timestamp::from_millis(number) })
        }
        TimestampUnit::Rfc3339 => Timestamp::parse(text).ok(),
        TimestampUnit::HttpDate => {
            let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(Timestamp::from_secs(i64::try_from(since_epoch.as_secs()).ok()?))
        }
    }
}

/// Writes a timestamp in the unit of a row.
pub(super) fn print(at: Timestamp, unit: TimestampUnit) -> String {
    match unit {
        TimestampUnit::Seconds => at.as_secs().to_string(),
        TimestampUnit::Millis | TimestampUnit::SecondsOrMillis => at.as_millis().to_string(),
        TimestampUnit::HttpDate => {
            httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(at.as_secs()).unwrap_or_default()))
        }
        TimestampUnit::Rfc3339 => at.to_string(),
    }
}
