//! The integration tests: one binary, a file per feature.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
#[path = "../architecture.rs"]
mod architecture;
mod content;
mod dedupe;
mod delivery;
mod fixtures;
mod forward;
mod limits;
mod lists;
mod metrics;
mod receive;
mod support;
mod vectors;
