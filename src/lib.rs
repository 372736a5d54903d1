//! Onceward receives webhooks, proves who sent them, records each one exactly once and delivers only first-seen events.
//!
//! `docs/ARCHITECTURE.md` has the module map and its invariants. Data runs in one direction, one type per stage:
//! [`domain::RawRequest`] → [`domain::VerifiedEvent`] → [`store::Recorded`] → [`domain::ClaimedDelivery`] →
//! [`domain::Attempt`].

pub mod alert;
pub mod app;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod dispatch;
pub mod domain;
#[doc(hidden)]
pub mod failpoint;
pub mod feed;
pub mod fixture;
#[doc(hidden)]
pub mod fuzzing;
pub mod history;
pub mod http;
pub mod idempotency;
pub mod ingest;
pub mod net;
pub mod provider;
pub mod replay;
pub mod route;
pub mod signing;
pub mod store;
pub mod telemetry;
pub mod verify;
