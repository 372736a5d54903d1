//! Onceward receives webhooks, proves who sent them, records each one exactly once and delivers only first-seen events.
//!
//! `docs/ARCHITECTURE.md` has the module map and its invariants. Data runs in one direction, one type per stage:
//! [`domain::RawRequest`] → [`domain::VerifiedEvent`] → [`store::Recorded`] → [`domain::ClaimedDelivery`] →
//! [`domain::Attempt`].

pub mod deliver;
pub mod dispatch;
pub mod domain;
pub mod history;
pub mod net;
pub mod store;
