//! What the benchmarks share: a load and its measurement, the program and a bare server as processes, facts about the machine,
//! targets and tables. None of them uses all of it.
#![allow(dead_code, reason = "compiled into each benchmark, which uses its own part")]

pub(crate) mod bare;
pub(crate) mod database;
pub(crate) mod latency;
pub(crate) mod ledger;
pub(crate) mod load;
pub(crate) mod machine;
pub(crate) mod onceward;
pub(crate) mod pace;
pub(crate) mod process;
pub(crate) mod proof;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod table;
pub(crate) mod target;

/// Targets without a test harness check themselves at start.
///
/// # Panics
/// When the arithmetic of a measurement is broken.
pub(crate) fn self_check() {
    for check in [latency::self_check, ledger::self_check, request::self_check, response::self_check, table::self_check, target::self_check]
    {
        check();
    }
}

/// An option that is a number above 0.
///
/// # Errors
/// When it is not.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0).ok_or_else(|| "a number above 0".to_owned())
}
