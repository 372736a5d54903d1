//! `traceparent` (W3C Trace Context, level 1): a valid one stays, else the attempt begins a trace of its own.

use crate::domain::Headers;

/// The sender's `traceparent`, if it sent exactly one and it is valid.
pub(super) fn sent(headers: &Headers) -> Option<&str> {
    let mut values = headers.all("traceparent");
    let only = std::str::from_utf8(values.next()?).ok()?;
    (values.next().is_none() && is_valid(only)).then_some(only)
}

/// A new one. Its trace is marked as sampled: most tracing set-ups follow the caller's mark, and unmarked deliveries would
/// never show up in the destination's traces.
pub(super) fn fresh(random: [u8; 24]) -> String {
    format!("00-{}-{}-01", hex::encode(&random[..16]), hex::encode(&random[16..]))
}

/// `version-traceid-parentid-flags`; versions after 00 may go on after another `-`.
fn is_valid(value: &str) -> bool {
    let fields: Vec<&str> = value.splitn(5, '-').collect();
    let [version, trace, parent, flags, rest @ ..] = &fields[..] else { return false };
    is_hex(version, 2)
        && *version != "ff"
        && is_hex(trace, 32)
        && trace.bytes().any(|byte| byte != b'0')
        && is_hex(parent, 16)
        && parent.bytes().any(|byte| byte != b'0')
        && is_hex(flags, 2)
        && (rest.is_empty() || *version != "00")
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn takes_what_the_recommendation_calls_valid() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let parent = "00f067aa0ba902b7";
        let valid = [format!("00-{trace}-{parent}-01"), format!("00-{trace}-{parent}-00"), format!("cc-{trace}-{parent}-01-more")];
        let invalid = [
            String::new(),
            "nonsense".to_owned(),
            format!("ff-{trace}-{parent}-01"),
            format!("00-{trace}-{parent}"),
            format!("00-{trace}-{parent}-01-more"),
            format!("00-{}-{parent}-01", trace.to_uppercase()),
            format!("00-{}-{parent}-01", "0".repeat(32)),
            format!("00-{trace}-{}-01", "0".repeat(16)),
            format!("00-{trace}-{parent}-1"),
            format!(" 00-{trace}-{parent}-01"),
        ];
        assert!(valid.iter().all(|value| is_valid(value)));
        assert_eq!(invalid.iter().find(|value| is_valid(value)), None);
    }

    #[test]
    fn two_are_as_good_as_none() {
        let one = fresh([7; 24]);
        let headers: Headers = [("traceparent", one.as_bytes()), ("traceparent", one.as_bytes())].into_iter().collect();
        assert_eq!(sent(&headers), None);
    }

    proptest! {
        #[test]
        fn a_new_one_is_valid(random in any::<[u8; 24]>().prop_filter("zero is no ID", |r| r[0] != 0 && r[23] != 0)) {
            prop_assert!(is_valid(&fresh(random)));
        }
    }
}
