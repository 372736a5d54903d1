//! Where a command's configuration comes from: a file, flags, the environment.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;

use crate::app;
use crate::config::{Config, ConfigError, Database, Overrides, SourceFlag};
use crate::history::History;
use crate::provider::Table;

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "onceward.toml";

/// Which configuration file.
#[derive(Args, Debug, Clone, Default)]
pub(super) struct FileArguments {
    /// The configuration file; ./onceward.toml when there is one
    #[arg(short, long = "config", value_name = "FILE", env = "ONCEWARD_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

/// The database where neither a flag nor a file names one.
const DEFAULT_DATABASE: &str = "onceward.db";

/// A configuration file and what overrides it. Not `Debug`: the flags hold secrets.
#[derive(Args, Clone, Default)]
pub(super) struct Settings {
    #[command(flatten)]
    pub(super) file: FileArguments,
    /// A source without a file: NAME=SECRET where the name is a provider's, or NAME:PROVIDER=SECRET; repeatable
    #[arg(long = "source", value_name = "NAME[:PROVIDER]=SECRET")]
    pub(super) sources: Vec<String>,
    /// Where the events of those sources go
    #[arg(long, value_name = "URL")]
    pub(super) forward: Option<String>,
    /// Where webhooks are received, instead of the file's `listen`
    #[arg(long, value_name = "IP:PORT")]
    pub(super) listen: Option<String>,
    /// Where the API is, instead of the file's `admin.listen`
    #[arg(long, value_name = "IP:PORT")]
    pub(super) admin_listen: Option<String>,
    /// Where events are kept, instead of the file's `database`: sqlite:PATH
    #[arg(long, value_name = "DATABASE")]
    pub(super) database: Option<String>,
}

/// Which database.
#[derive(Args)]
pub(super) struct Place {
    /// The database, instead of the configuration's: sqlite:PATH
    #[arg(long, value_name = "DATABASE")]
    pub(super) database: Option<String>,
    #[command(flatten)]
    pub(super) file: FileArguments,
}

impl Place {
    /// The database as named, else the configuration's, else the default one.
    pub(super) fn path(&self) -> anyhow::Result<PathBuf> {
        if let Some(name) = &self.database {
            return Ok(PathBuf::from(name.strip_prefix("sqlite:").unwrap_or(name)));
        }
        match self.file.path() {
            None => Ok(DEFAULT_DATABASE.into()),
            Some(_) => {
                let Database::Sqlite(path) = Settings { file: self.file.clone(), ..Settings::default() }.load()?.database;
                Ok(path)
            }
        }
    }

    /// Its history, to be read beside a running server, or without one.
    pub(super) fn open(&self) -> anyhow::Result<History> {
        let nothing_named = self.database.is_none() && self.file.path().is_none();
        let opened = app::open_history_at(&self.path()?);
        match nothing_named {
            true => opened.context("no onceward.toml here: name a file by -c or a database by --database"),
            false => Ok(opened?),
        }
    }
}

/// Arguments that do not go together, or that the argument parser must not see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(pub(super) String);

impl FileArguments {
    /// The named file, else the default one when it exists.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
    }

    /// The provider table: the built-in rows, and those of the file when there is one.
    pub(super) fn table(&self) -> Result<Table, ConfigError> {
        match self.path() {
            Some(path) => Config::provider_table(&path, &|name| std::env::var(name).ok()),
            None => Ok(Table::builtin()),
        }
    }

    /// The configuration of the file alone.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        Ok(load(self.path().as_deref(), &Overrides::default())?)
    }
}

impl FileArguments {
    /// The URLs of the file's sources, each with its provider's name; none where the file is not whole or has none.
    pub(super) fn urls(&self) -> Vec<(String, String)> {
        let config = self.path().and_then(|path| load(Some(&path), &Overrides::default()).ok());
        let sources = config.iter().flat_map(|config| &config.sources);
        sources.filter_map(|source| Some((source.provider.name.to_string(), source.shown_url()?))).collect()
    }

    /// As [`FileArguments::urls`], each with its source's name.
    pub(super) fn urls_of_sources(&self) -> Vec<(String, String)> {
        let config = self.path().and_then(|path| load(Some(&path), &Overrides::default()).ok());
        let sources = config.iter().flat_map(|config| &config.sources);
        sources.filter_map(|source| Some((source.name.to_string(), source.shown_url()?))).collect()
    }
}

impl Settings {
    /// The configuration. The flags of sources are read here and not by the argument parser, which would print them.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let sources = self.sources.iter().map(|flag| SourceFlag::parse(flag));
        let overrides = Overrides {
            sources: sources.collect::<Result<_, _>>().map_err(|error| UsageError(format!("--source: {error}")))?,
            forward: self.forward.clone(),
            listen: self.listen.clone(),
            admin_listen: self.admin_listen.clone(),
            database: self.database.clone(),
        };
        Ok(load(self.file.path().as_deref(), &overrides)?)
    }
}

fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::load_with(path, overrides, &|name| std::env::var(name).ok())
}
