//! The integration tests: one binary, a file per feature.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod alerts;
mod api;
#[path = "../architecture.rs"]
mod architecture;
mod audit;
mod by_hand;
mod cli;
mod content;
mod crash;
mod dedupe;
mod delivery;
mod docs;
mod durability;
mod exec;
mod explain;
mod failpoints;
mod filters;
mod fixtures;
mod forward;
mod forward_tls;
mod guarantees;
mod handlers;
mod handshakes;
mod idempotency;
mod isolation;
mod lanes;
mod limits;
mod linear;
mod lists;
mod metrics;
mod mutation;
mod openapi;
mod receive;
mod recovery;
mod replay;
mod reverify;
mod search;
mod shutdown;
mod sources;
mod startup;
mod stream;
mod support;
mod vectors;
