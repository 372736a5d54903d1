//! From a file, flags and the environment to a [`Config`].

use std::path::Path;

use super::Config;
use super::error::ConfigError;
use super::flags::Overrides;
use super::read::read;
use super::resolve::resolve;

/// Looks a variable up: `&|name| std::env::var(name).ok()`, or a table in tests.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

const DEFAULT_TEXT: &str = include_str!("default.toml");

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
            Err(_) if path.is_none() && !overrides.sources.is_empty() => Self::parse_with(&file_name, "", overrides, env),
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

    /// The commented reference of every key, which `onceward init` writes.
    pub fn default_text() -> &'static str {
        DEFAULT_TEXT
    }
}
