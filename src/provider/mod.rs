//! Senders as data: a row says how a sender signs, identifies and hand-shakes, and everything about that sender follows
//! from its row. Rows are read once, into [`Provider`]; built-in and users' own rows have one format.

mod compile;
mod coverage;
mod locator;
mod model;
mod row;
mod secret;
mod table;
mod template;

pub use compile::RowError;
pub use coverage::Coverage;
pub use locator::{Locator, LocatorError};
pub use model::{
    Algorithm, Encoding, Handshake, Items, JwtRule, KeyForm, Naming, Place, Provider, Signature, TimestampRule, TimestampUnit, Want,
};
pub use row::{AnswerRow, FactsRow, HandshakeRow, JwtRow, RetryRow, Row, SecretRow, SignatureRow, SignatureRows, TimestampRow};
pub use table::{Table, TableError};
pub use template::{Part, Template, TemplateError};
