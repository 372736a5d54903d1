//! The table of senders: the built-in rows, and users' own beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::compile::RowError;
use super::model::Provider;
use super::row::Row;

const BUILTIN: &str = include_str!("builtin.toml");

/// Senders by name.
#[derive(Debug, Clone, Default)]
pub struct Table(BTreeMap<Arc<str>, Arc<Provider>>);

/// A table that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The text is no table of rows.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// A row contradicts itself.
    #[error("provider {name}: {error}")]
    Row {
        /// The row's name.
        name: String,
        /// What is wrong in it.
        error: RowError,
    },
}

impl Table {
    /// The built-in table.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    pub fn builtin() -> Self {
        Self::parse(BUILTIN).expect("the built-in table is read by a test")
    }

    /// A table from its text: one row for each top-level key.
    ///
    /// # Errors
    /// [`TableError`] says which row and key is wrong.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let rows: BTreeMap<String, Row> = toml::from_str(text)?;
        let mut table = Self::default();
        for (name, row) in rows {
            let provider = Provider::compile(&name, row).map_err(|error| TableError::Row { name, error })?;
            table.add(provider);
        }
        Ok(table)
    }

    /// Adds a sender; one of the same name is replaced.
    pub fn add(&mut self, provider: Provider) {
        self.0.insert(Arc::clone(&provider.name), Arc::new(provider));
    }

    /// The sender of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.get(name)
    }

    /// Every sender, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.values()
    }

    /// Whether any sender puts its static credentials into the header of that lower-case name.
    pub fn is_credential(&self, header: &str) -> bool {
        self.iter().any(|provider| provider.credentials.iter().any(|name| name == header))
    }

    /// Whether any sender puts its static credentials into the query parameter of that name.
    pub fn is_credential_parameter(&self, name: &str) -> bool {
        self.iter().any(|provider| provider.credential_parameters.iter().any(|known| known == name))
    }

    /// Every name, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_reads_and_every_row_says_what_a_user_must_know() {
        let table = Table::parse(BUILTIN).unwrap_or_else(|error| panic!("{error}"));
        assert!(table.names().count() >= 10);
        for provider in table.iter() {
            let row = &provider.row;
            assert!(row.title.is_some() && row.setup.is_some() && row.facts.is_some(), "{}: title, setup and facts", provider.name);
            let has_example = row.secret.example.is_some() || !provider.needs_secret();
            assert!(row.secret.hint.is_some() && has_example, "{}: secret.hint and secret.example", provider.name);
            assert!(!row.event_type.is_empty(), "{}: event_type", provider.name);
        }
    }

    #[test]
    fn a_wrong_row_names_the_key_and_what_is_allowed() {
        let error = |text: &str| Table::parse(text).unwrap_err().to_string();
        let cases = [
            ("[a]\nsignature = { header = \"X\", algorithm = \"md5\" }", "signature.algorithm"),
            ("[a]\nsignature = { header = \"X\", encoding = \"base32\" }", "hex, base64, base64url"),
            ("[a]\nsignature = { algorithm = \"token\" }", "signature.header"),
            ("[a]\nsignature = { header = \"X\", pair = \"=\" }", "signature.list"),
            ("[a]\nsignature = { header = \"X\" }\nsigned = \"{timestamp}.{body}\"", "timestamp"),
            ("[a]\nsignature = { header = \"X\" }\nevent_id = [\"cookie:x\"]", "event_id"),
            ("[a]\nsignature = { header = \"X\", hedaer = \"Y\" }", "hedaer"),
            ("[a]\nsignature = []", "signature"),
            ("[a]\nsignature = [{ header = \"X\" }, { algorithm = \"none\" }]", "let anyone in"),
            ("[a]\nsignature = { header = \"X Y\" }", "no header name"),
            ("[a]\nsignature = { header = \"X\" }\nsigned = \"{json:/a}\"", "cannot be signed by itself"),
            ("[a]\nsignature = { header = \"X\" }\nsigned = \"{timestamp}\"\ntimestamp = { from = \"json:/t\" }", "timestamp.from"),
            ("[a]\nsignature = { header = \"X\" }\nanswer = { content_type = \"a\\nb\" }", "answer.content_type"),
            ("[a]\nsignature = { header = \"X\" }\ncredentials = [\"a b\"]", "credentials"),
            ("[a]\nsignature = { header = \"X\", prehash = \"sha256\" }", "signature.prehash"),
            ("[a]\nsignature = { header = \"X\", each = \"/a\" }", "signature.each"),
            ("[a]\nsignature = { header = \"X\", when = { \"json:/a\" = \"1\" } }", "signature.when"),
            ("[a]\nsignature = { header = \"X\", components = [] }", "signature.components"),
            ("[a]\nsignature = { header = \"X\", algorithm = \"ed25519\", published = { url = \"{header:U}\" } }", "published.hosts"),
            (
                "[a]\nsignature = { header = \"X\", algorithm = \"ed25519\", published = { url = \"https://a.test\", form = \"jwks\" } }",
                "published.form",
            ),
            ("[a]\nsignature = { header = \"X\" }\nitem_id = \"json:/id\"", "item_id"),
            ("[a]\nsignature = { header = \"X\" }\ncovers = \"all\"", "covers"),
        ];
        for (text, expected) in cases {
            assert!(error(text).contains(expected), "{text}\n{}", error(text));
        }
    }
}
