//! What the end of a command means for the delivery.

use std::process::ExitStatus;

use crate::domain::{Health, Outcome};

/// 0 is success and what is in `dead_on` ends the delivery. Everything else is worth another attempt: 75 (`EX_TEMPFAIL`)
/// asks for it, and the rest is as a rule a mistake that somebody mends.
pub(super) fn outcome(status: ExitStatus, dead_on: &[u8]) -> (Outcome, Health) {
    let retry = |reason| (Outcome::Retry { reason, after: None }, Health::Unwell);
    match status.code() {
        Some(0) => (Outcome::Delivered, Health::Well),
        Some(code) if dead_on.iter().any(|dead| i32::from(*dead) == code) => {
            (Outcome::GiveUp { reason: format!("exited with code {code}, which is in dead_on") }, Health::Unknown)
        }
        Some(code) => retry(format!("exited with code {code}")),
        // Shown as "signal: 9 (SIGKILL)".
        None => retry(format!("killed by {}", status.to_string().replacen(": ", " ", 1))),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn retry(reason: &str) -> (Outcome, Health) {
        (Outcome::Retry { reason: reason.to_owned(), after: None }, Health::Unwell)
    }

    #[test]
    fn only_0_delivers_and_only_dead_on_gives_up() {
        for code in 0..=255 {
            let (judged, health) = outcome(ExitStatus::from_raw(code << 8), &[65, 1]);
            assert_eq!(judged == Outcome::Delivered, code == 0, "{code}");
            assert_eq!(matches!(judged, Outcome::GiveUp { .. }), code == 65 || code == 1, "{code}");
            assert_eq!(health == Health::Well, code == 0, "{code}");
            assert_eq!(health == Health::Unknown, code == 65 || code == 1, "{code}");
        }
        assert_eq!(outcome(ExitStatus::from_raw(75 << 8), &[]), retry("exited with code 75"));
    }

    #[test]
    fn a_signal_is_named() {
        assert_eq!(outcome(ExitStatus::from_raw(libc::SIGKILL), &[137]), retry("killed by signal 9 (SIGKILL)"));
        assert_eq!(outcome(ExitStatus::from_raw(libc::SIGTERM), &[15]), retry("killed by signal 15 (SIGTERM)"));
    }
}
