//! All that was measured, what was to be reached, and what must not be.

use crate::arguments::{Arguments, Measurement};
use crate::arrival::Latency;
use crate::backlog::Backlog;
use crate::common::machine::Machine;
use crate::common::target::Target;
use crate::isolation::Isolation;
use crate::ratio::Ratio;

/// All that was measured.
#[derive(serde::Serialize)]
pub(crate) struct Report {
    machine: Machine,
    ratio: Option<Ratio>,
    latency: Option<Latency>,
    isolation: Option<Isolation>,
    backlog: Option<Backlog>,
    targets: Vec<Target>,
    /// Events lost or not delivered, and requests without a 200.
    wrong: Vec<String>,
}

impl Report {
    /// Without a measurement yet.
    pub(crate) fn new(machine: Machine) -> Self {
        Self { machine, ratio: None, latency: None, isolation: None, backlog: None, targets: Vec::new(), wrong: Vec::new() }
    }

    /// Measures, and keeps the result; returns it as text.
    ///
    /// # Errors
    /// When it cannot be measured.
    pub(crate) async fn add(&mut self, measurement: Measurement, arguments: &Arguments) -> anyhow::Result<String> {
        let (text, targets, wrong) = match measurement {
            Measurement::Ratio => {
                let done = self.ratio.insert(Ratio::measure(arguments).await?);
                (done.to_string(), done.targets(), done.wrong())
            }
            Measurement::Latency => {
                let done = self.latency.insert(Latency::measure(arguments).await?);
                (done.to_string(), done.targets(), done.wrong())
            }
            Measurement::Isolation => {
                let done = self.isolation.insert(Isolation::measure(arguments).await?);
                (done.to_string(), done.targets(), done.wrong())
            }
            Measurement::Backlog => {
                let done = self.backlog.insert(Backlog::measure(arguments).await?);
                (done.to_string(), done.targets(), done.wrong())
            }
        };
        let lines = targets.iter().map(Target::to_string).chain(wrong.iter().map(|complaint| format!("WRONG  {complaint}")));
        let text = std::iter::once(text).chain(lines.map(|line| line + "\n")).collect();
        self.targets.extend(targets);
        self.wrong.extend(wrong);
        Ok(text)
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_correct(&self) -> bool {
        self.wrong.is_empty()
    }

    /// Whether no target is missed by a wide margin.
    pub(crate) fn close_to_targets(&self) -> bool {
        self.targets.iter().all(Target::is_close)
    }

    /// As one JSON document.
    ///
    /// # Errors
    /// None that can happen with these types.
    pub(crate) fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}
