//! The integration tests: one binary, a file per feature.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../architecture.rs"]
mod architecture;
mod cli;
mod dedupe;
mod durability;
mod fixtures;
mod recovery;
mod shutdown;
mod startup;
mod support;
mod vectors;
