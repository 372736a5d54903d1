//! From a file, flags and the environment to a [`Config`].

use std::path::Path;

use super::Config;
use super::error::ConfigError;
use super::flags::Overrides;
use super::read::{read, read_table};
use super::resolve::{provider_table, resolve};
use crate::provider::Table;

/// Looks a variable up: `&|name| std::env::var(name).ok()`, or a table in tests.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

const DEFAULT_TEXT: &str = include_str!("default.toml");

/// What stands in for a file when there is none: the API may still have a token.
const WITHOUT_A_FILE: &str = "[admin]\ntoken = \"${ONCEWARD_ADMIN_TOKEN:-}\"\n";

/// The file that is read when none is named.
const DEFAULT_FILE: &str = "onceward.toml";

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong with it.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Self, ConfigError> {
        Self::load_with(Some(path), &Overrides::default(), env)
    }

    /// Reads a file's text; `file_name` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong with it.
    pub fn parse(file_name: &str, text: &str, env: Env<'_>) -> Result<Self, ConfigError> {
        Self::parse_with(file_name, text, &Overrides::default(), env)
    }

    /// Reads the file at `path`, else `./onceward.toml` where there is one, and puts the flags over it. With sources
    /// among the flags no file is needed.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong, and says what to do when there is neither file nor source.
    pub fn load_with(path: Option<&Path>, overrides: &Overrides, env: Env<'_>) -> Result<Self, ConfigError> {
        Self::load_or_default(path, Path::new(DEFAULT_FILE), overrides, env)
    }

    /// From flags alone, whatever files there are.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong.
    pub fn load_flags(overrides: &Overrides) -> Result<Self, ConfigError> {
        Self::parse_with("command line", "", overrides, &|_| None)
    }

    /// [`Self::load_with`], with the file that is read when none is named.
    pub(super) fn load_or_default(path: Option<&Path>, default: &Path, overrides: &Overrides, env: Env<'_>) -> Result<Self, ConfigError> {
        let file = path.unwrap_or(default);
        let file_name = file.display().to_string();
        match std::fs::read_to_string(file) {
            Ok(text) => Self::parse_with(&file_name, &text, overrides, env),
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ConfigError::whole(&file_name, format!("cannot be read: {error}")))
            }
            Err(_) if path.is_none() && !overrides.sources.is_empty() => Self::parse_with("command line", WITHOUT_A_FILE, overrides, env),
            Err(_) => Err(ConfigError::whole(
                &file_name,
                "there is no such file: make one with `onceward init`, or serve without one: `onceward serve --source stripe=SECRET`",
            )),
        }
    }

    fn parse_with(file_name: &str, text: &str, overrides: &Overrides, env: Env<'_>) -> Result<Self, ConfigError> {
        let (mut file, mut report) = read(file_name, text, env)?;
        overrides.apply(&mut file, &mut report);
        resolve(file, report)
    }

    /// The provider table of the file at `path`: the built-in rows and its own. Nothing else in the file is looked at, so
    /// that a variable which is unset here does not matter.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, or one of its rows is wrong.
    pub fn provider_table(path: &Path, env: Env<'_>) -> Result<Table, ConfigError> {
        let file_name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::whole(&file_name, format!("cannot be read: {error}")))?;
        let (file, mut report) = read_table(&file_name, &text, "providers", env)?;
        let table = provider_table(file.providers, &mut report);
        report.into_error().map_or(Ok(table), Err)
    }

    /// The commented reference of every key, which `onceward init` writes.
    pub fn default_text() -> &'static str {
        DEFAULT_TEXT
    }
}
