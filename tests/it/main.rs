//! The integration tests: one binary, a file per feature.

mod fixtures;
mod vectors;
