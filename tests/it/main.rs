//! The integration tests: one binary, a file per feature.

#[path = "../architecture.rs"]
mod architecture;
mod fixtures;
mod vectors;
