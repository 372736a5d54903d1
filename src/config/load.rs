//! From a file, flags and the environment to a [`Config`].

use std::path::Path;

use super::Config;
use super::error::ConfigError;
use super::flags::Overrides;

/// Looks a variable up: `&|name| std::env::var(name).ok()`, or a table in tests.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

const DEFAULT_TEXT: &str = include_str!("default.toml");

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
    pub fn parse(file_name: &str, _text: &str, _env: Env<'_>) -> Result<Self, ConfigError> {
        Err(ConfigError::whole(file_name, "cannot be read"))
    }

    /// Reads the file at `path`, else `./onceward.toml` where there is one, and puts the flags over it. With sources
    /// among the flags no file is needed.
    ///
    /// # Errors
    /// [`ConfigError`] lists everything that is wrong, and says what to do when there is neither file nor source.
    pub fn load_with(path: Option<&Path>, _overrides: &Overrides, env: Env<'_>) -> Result<Self, ConfigError> {
        let path = path.unwrap_or(Path::new("onceward.toml"));
        Self::parse(&path.display().to_string(), "", env)
    }

    /// The commented reference of every key, which `onceward init` writes.
    pub fn default_text() -> &'static str {
        DEFAULT_TEXT
    }

    /// What is allowed and yet worth a second look, a line each.
    pub fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
