//! The two listeners, and the only code that knows the HTTP server: requests become domain types on the way in, answers
//! and errors become responses on the way out.

mod access;
mod api;
mod audit;
mod body;
mod connections;
mod failures;
mod idempotent;
mod ops;
mod problem;
mod receive;
mod server;

pub use access::Access;
pub use server::{AdminParts, ListenError, Listener, PublicParts, admin, check_tls, public};
