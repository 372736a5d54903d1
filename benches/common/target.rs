//! A target and what was measured. A measurement on a busy machine scatters, so only a wide miss fails.

/// A measured value within this factor of its target passes the check.
const WIDE: f64 = 1.6;

/// A target and what was measured.
#[derive(Clone, serde::Serialize)]
pub(crate) struct Target {
    what: &'static str,
    measured: f64,
    target: f64,
    /// Whether more is better.
    at_least: bool,
    /// By which factor it may be missed.
    #[serde(skip)]
    margin: f64,
}

impl Target {
    /// More is better.
    pub(crate) fn at_least(what: &'static str, measured: f64, target: f64) -> Self {
        Self { what, measured, target, at_least: true, margin: WIDE }
    }

    /// Less is better.
    pub(crate) fn at_most(what: &'static str, measured: f64, target: f64) -> Self {
        Self { what, measured, target, at_least: false, margin: WIDE }
    }

    /// To be missed by no more than this factor.
    pub(crate) fn within(self, margin: f64) -> Self {
        Self { margin, ..self }
    }

    /// Whether the target is reached, or missed by less than its margin.
    pub(crate) fn is_close(&self) -> bool {
        if self.at_least { self.measured * self.margin >= self.target } else { self.measured <= self.target * self.margin }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, measured, target, at_least, .. } = self;
        let sign = if *at_least { "≥" } else { "≤" };
        let verdict = if self.is_close() { "" } else { "  MISSED" };
        write!(f, "{what} {measured:.2} (target {sign} {target}){verdict}")
    }
}

/// Checks on which side of a target which measured value is.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    assert!(Target::at_least("", 0.5, 0.8).is_close() && !Target::at_least("", 0.49, 0.8).is_close());
    assert!(Target::at_most("", 1.6, 1.0).is_close() && !Target::at_most("", 1.7, 1.0).is_close());
    assert!(Target::at_least("", 0.75, 0.8).within(1.1).is_close() && !Target::at_least("", 0.7, 0.8).within(1.1).is_close());
}
