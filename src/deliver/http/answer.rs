//! What an answer means for the delivery.

use std::time::{Duration, UNIX_EPOCH};

use crate::domain::{Headers, Health, Outcome, Timestamp};

/// The longest wait that a destination can ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// 2xx is success, 410 Gone and what is in `dead_on` end the delivery, everything else is worth another attempt: a redirect
/// or a 404 is as a rule a mistake that somebody mends.
pub(super) fn outcome(status: u16, dead_on: &[u16], headers: &Headers, now: Timestamp) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered,
        410 => Outcome::GiveUp { reason: "answered 410: the destination is gone".to_owned() },
        _ if dead_on.contains(&status) => Outcome::GiveUp { reason: format!("answered {status}, which is in dead_on") },
        300..=399 => retry(format!("answered {status}: redirects are not followed"), headers, now),
        _ => retry(format!("answered {status}"), headers, now),
    }
}

/// What a status says about the destination. Some answers are about the one request, above all those that are configured to end
/// it: whoever gives them is at work, and nothing tells whether the next request would fare better.
pub(super) fn health(status: u16, dead_on: &[u16]) -> Health {
    match status {
        _ if dead_on.contains(&status) => Health::Unknown,
        200..=299 => Health::Well,
        429 | 503 => Health::Overloaded,
        400 | 409 | 413 | 414 | 415 | 422 | 431 => Health::Unknown,
        _ => Health::Unwell,
    }
}

fn retry(reason: String, headers: &Headers, now: Timestamp) -> Outcome {
    let after = headers.text("retry-after").and_then(|value| retry_after(value.trim(), now));
    Outcome::Retry { reason, after }
}

/// `Retry-After` (RFC 9110, 10.2.3) as a wait from `now`: seconds, or a date. A date in the past is no wait.
fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(LONGEST_WAIT, Duration::from_secs).min(LONGEST_WAIT));
    }
    let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).plus(date).since(now).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-02T03:04:05.250Z").unwrap()
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_day() {
        let cases = [
            ("0", Some(Duration::ZERO)),
            ("120", Some(Duration::from_secs(120))),
            ("86401", Some(LONGEST_WAIT)),
            ("99999999999999999999999999", Some(LONGEST_WAIT)),
            ("Fri, 02 Jan 2026 03:05:05 GMT", Some(Duration::from_millis(59_750))),
            ("Friday, 02-Jan-26 03:05:05 GMT", Some(Duration::from_millis(59_750))),
            ("Fri, 02 Jan 2026 03:04:05 GMT", Some(Duration::ZERO)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(Duration::ZERO)),
            ("Tue, 01 Jan 2030 00:00:00 GMT", Some(LONGEST_WAIT)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("2026-01-02T03:05:05Z", None),
        ];
        for (value, expected) in cases {
            assert_eq!(retry_after(value, now()), expected, "{value}");
        }
    }

    #[test]
    fn only_2xx_delivers_and_only_410_and_dead_on_give_up() {
        for status in 100..=999 {
            let judged = outcome(status, &[422, 200], &Headers::default(), now());
            assert_eq!(judged == Outcome::Delivered, (200..300).contains(&status), "{status}");
            assert_eq!(matches!(judged, Outcome::GiveUp { .. }), status == 410 || status == 422, "{status}");
            assert_eq!(health(status, &[404]) == Health::Well, judged == Outcome::Delivered, "{status}");
        }
    }

    #[test]
    fn what_is_about_the_one_request_says_nothing_about_the_destination() {
        for (status, expected) in [(500, Health::Unwell), (404, Health::Unwell), (503, Health::Overloaded), (422, Health::Unknown)] {
            assert_eq!(health(status, &[]), expected, "{status}");
            assert_eq!(health(status, &[404, 422, 500, 503]), Health::Unknown, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic_or_wait_longer_than_a_day(value in ".{0,60}", millis in any::<i64>()) {
            if let Some(after) = retry_after(&value, Timestamp::from_millis(millis)) {
                prop_assert!(after <= LONGEST_WAIT);
            }
        }
    }
}
