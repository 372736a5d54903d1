//! Senders as data: a row says how a sender signs, identifies and hand-shakes, and everything about that sender follows
//! from its row. Rows are read once, into [`Provider`]; built-in and users' own rows have one format.

mod compile;
mod coverage;
mod locator;
mod model;
mod published;
mod row;
mod secret;
mod table;
mod template;
mod view;

pub use compile::RowError;
pub use coverage::Coverage;
pub(crate) use locator::is_wild;
pub use locator::{Locator, LocatorError};
pub use model::{
    Algorithm, Encoding, Fetch, Handshake, Items, JwtRule, KeyForm, Naming, Place, Provider, Signature, TimestampRule, TimestampUnit, Want,
};
pub use published::{Published, PublishedForm, check_host};
pub use row::{
    AnswerRow, FactsRow, FetchRow, HandshakeRow, JwtRow, PublishedRow, RetryRow, Row, SecretRow, SignatureRow, SignatureRows, TimestampRow,
};
pub use table::{Table, TableError};
pub use template::{Part, Template, TemplateError};
pub use view::View;
