//! Where questions are answered: by a running server, or from a database that is opened for reading.

use clap::Args;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::remote::{Address, Query, Remote, RemoteError};
use super::settings::{FileArguments, Place};
use super::shapes::Page;
use crate::history::{History, PageView};

/// Where to read. A database that is named goes before a server, a server before the configuration's database.
#[derive(Args)]
pub(super) struct Reading {
    /// The database, instead of the configuration's or of a server: sqlite:PATH
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    #[command(flatten)]
    address: Address,
    #[command(flatten)]
    file: FileArguments,
}

/// Who answers.
pub(super) enum Answers {
    /// A running server.
    Server(Box<Remote>),
    /// The database, beside a running server or without one.
    Database(History),
}

impl Reading {
    /// Opens what is to be read.
    pub(super) fn open(&self) -> anyhow::Result<Answers> {
        match self.database.is_none() && self.address.url().is_some() {
            true => Ok(Answers::Server(Box::new(self.address.remote(&self.file)?))),
            false => {
                let place = Place { database: self.database.clone(), file: self.file.clone() };
                Ok(Answers::Database(place.open()?))
            }
        }
    }

    /// The configuration file.
    pub(super) fn file(&self) -> &FileArguments {
        &self.file
    }
}

impl Remote {
    /// A page of a list.
    pub(super) async fn page(&self, resource: &str, query: &Query) -> anyhow::Result<Page> {
        Ok(self.get(&[resource], query).await.map_err(RemoteError::or_no_api)?)
    }

    /// One thing by its name.
    pub(super) async fn one(&self, path: &[&str], absent: impl FnOnce() -> String) -> anyhow::Result<Box<RawValue>> {
        self.get(path, &Query::new()).await.map_err(|error| error.or_absent(absent))
    }
}

impl Page {
    /// A page of the database in the API's shape.
    pub(super) fn of<T: Serialize>(page: &PageView<T>) -> anyhow::Result<Self> {
        let data = page.data.iter().map(to_raw_value).collect::<Result<_, _>>()?;
        Ok(Self { data, next: page.next.map(|next| next.to_string()) })
    }
}
