//! Settings as people read them. Nothing here can be a secret.

use std::fmt;

use super::{Circuit, ClientTls, Rate, Retry};
use crate::domain::print_duration;

/// As it is configured.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            60 => "m",
            3600 => "h",
            _ => "s",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exponential { attempts: 1, .. } => f.write_str("never"),
            Self::Exponential { attempts, first, max, factor } => {
                write!(f, "{attempts} attempts, {} to {}, × {factor}", print_duration(*first), print_duration(*max))
            }
            Self::Schedule(waits) => {
                let waits: Vec<_> = waits.iter().map(|wait| print_duration(*wait)).collect();
                write!(f, "after {}", waits.join(", "))
            }
        }
    }
}

impl fmt::Display for Circuit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(failures) = self.failures else { return f.write_str("never") };
        write!(f, "{failures} failures, probes {} to {}", print_duration(self.probe), print_duration(self.max_probe))
    }
}

impl fmt::Display for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (&self.ca, &self.identity) {
            (None, None) => "default",
            (Some(_), None) => "ca",
            (None, Some(_)) => "cert",
            (Some(_), Some(_)) => "ca, cert",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn settings_read_as_they_are_meant() {
        let seconds = Duration::from_secs;
        let exponential = |attempts| Retry::Exponential { attempts, first: seconds(5), max: seconds(43_200), factor: 1.5 };
        let circuit = |failures| Circuit { failures, probe: seconds(5), max_probe: seconds(300) };
        let identity = Some(("c".into(), "k".into()));
        for (shown, expected) in [
            (exponential(12).to_string(), "12 attempts, 5s to 12h, × 1.5"),
            (exponential(1).to_string(), "never"),
            (Retry::Schedule(vec![seconds(5), seconds(300)]).to_string(), "after 5s, 5m"),
            (circuit(Some(5)).to_string(), "5 failures, probes 5s to 5m"),
            (circuit(None).to_string(), "never"),
            (ClientTls::default().to_string(), "default"),
            (ClientTls { ca: Some("a".into()), identity }.to_string(), "ca, cert"),
        ] {
            assert_eq!(shown, expected);
        }
    }
}
