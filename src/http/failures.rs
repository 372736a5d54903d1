//! Wrong tokens, counted by who brought them: whoever guesses has to wait.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many may be wrong at once.
const BURST: u32 = 10;
/// How long it takes until one is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(6);
/// How many clients are remembered.
const CLIENTS: usize = 4_096;

/// The failures of each client.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Debt>>);

/// What a client has to wait off.
#[derive(Clone, Copy)]
struct Debt {
    /// When nothing of it is left.
    until: Instant,
}

impl Failures {
    /// How long a client has to wait before it is asked for its token; `None` where it need not.
    pub(super) fn wait(&self, client: IpAddr, now: Instant) -> Option<Duration> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let debt = clients.get(&network(client))?.until.saturating_duration_since(now);
        debt.checked_sub(FORGOTTEN_AFTER * (BURST - 1)).filter(|wait| !wait.is_zero())
    }

    /// A token was wrong.
    pub(super) fn failed(&self, client: IpAddr, now: Instant) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let network = network(client);
        if clients.len() >= CLIENTS && !clients.contains_key(&network) {
            clients.retain(|_, debt| debt.until > now);
            let oldest = clients.iter().min_by_key(|(_, debt)| debt.until).map(|(client, _)| *client);
            if let Some(oldest) = oldest.filter(|_| clients.len() >= CLIENTS) {
                clients.remove(&oldest);
            }
        }
        let debt = clients.entry(network).or_insert(Debt { until: now });
        debt.until = (debt.until.max(now) + FORGOTTEN_AFTER).min(now + FORGOTTEN_AFTER * BURST);
    }
}

/// Who has one address of IPv6 has 2^64 of them.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn after_ten_failures_a_client_waits_and_no_other_does() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..BURST {
            assert_eq!(failures.wait(address("10.0.0.1"), now), None, "{n}");
            failures.failed(address("10.0.0.1"), now);
        }
        assert_eq!(failures.wait(address("10.0.0.1"), now), Some(FORGOTTEN_AFTER));
        assert_eq!(failures.wait(address("10.0.0.2"), now), None);
        assert_eq!(failures.wait(address("10.0.0.1"), now + FORGOTTEN_AFTER), None, "one more try");
        failures.failed(address("10.0.0.1"), now + FORGOTTEN_AFTER);
        assert!(failures.wait(address("10.0.0.1"), now + FORGOTTEN_AFTER).is_some());
        (0..100).for_each(|_| failures.failed(address("10.0.0.1"), now));
        assert_eq!(failures.wait(address("10.0.0.1"), now), Some(FORGOTTEN_AFTER), "it is never locked out for long");
    }

    #[test]
    fn a_network_of_ipv6_is_one_client() {
        let (failures, now) = (Failures::default(), Instant::now());
        (0..BURST).for_each(|n| failures.failed(address(&format!("2001:db8::{n:x}")), now));
        assert!(failures.wait(address("2001:db8::ffff"), now).is_some());
        assert!(failures.wait(address("2001:db8:0:1::1"), now).is_none());
    }

    #[test]
    fn clients_are_remembered_within_a_bound() {
        let (failures, now) = (Failures::default(), Instant::now());
        for n in 0..(CLIENTS as u32 + 10) {
            failures.failed(IpAddr::V4(n.into()), now + Duration::from_millis(n.into()));
        }
        assert_eq!(failures.0.lock().unwrap().len(), CLIENTS);
    }
}
