//! Collects what is wrong, so that one run names everything, and one mistake is named once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Problem};
use super::places::{Places, Spot, join, parent};
use crate::domain::{parse_duration, parse_size};

/// Everything found so far, and where keys stand.
#[derive(Debug)]
pub(super) struct Report {
    /// Where keys stand.
    pub(super) places: Places,
    problems: Vec<Problem>,
    reported: BTreeSet<String>,
    /// Tables with a key that could not be read: what is missing there may be that key.
    incomplete: BTreeSet<String>,
    /// Keys whose value came out of a variable, which is where secrets live.
    expanded: BTreeSet<String>,
}

impl Report {
    pub(super) fn new(places: Places) -> Self {
        Self { places, problems: Vec::new(), reported: BTreeSet::new(), incomplete: BTreeSet::new(), expanded: BTreeSet::new() }
    }

    /// Something is wrong at `path`; left out when it follows from what was already said.
    pub(super) fn problem(&mut self, path: &str, message: impl Display) {
        if self.covers(path) {
            return;
        }
        self.reported.insert(path.to_owned());
        let Spot { file, line, key } = self.places.spot(path);
        self.problems.push(Problem { file, line, key, message: message.to_string() });
    }

    /// A key of the file could not be read at all.
    pub(super) fn unreadable(&mut self, path: &str, message: impl Display) {
        self.problem(path, message);
        self.incomplete.insert(parent(path).unwrap_or_default().to_owned());
    }

    /// A key is missing; left out when its table has a key that could not be read.
    pub(super) fn missing(&mut self, path: &str, message: impl Display) {
        if !self.incomplete.contains(parent(path).unwrap_or_default()) {
            self.problem(path, message);
        }
    }

    /// The value of `path` came out of a variable: it may be a secret in the wrong place.
    pub(super) fn note_expanded(&mut self, path: &str) {
        self.expanded.insert(path.to_owned());
    }

    /// A value for a message, unless it came out of a variable.
    pub(super) fn quoted(&self, path: &str, value: &str) -> String {
        if self.is_expanded(path) { "(the variable's value)".to_owned() } else { format!("\"{value}\"") }
    }

    /// Whether the value of `path` came out of a variable.
    pub(super) fn is_expanded(&self, path: &str) -> bool {
        self.expanded.contains(path)
    }

    /// Whether something in the table `path` came out of a variable.
    pub(super) fn is_expanded_within(&self, path: &str) -> bool {
        self.expanded.iter().any(|key| is_below(key, path))
    }

    /// Whether something was already said about `path` or what holds it.
    pub(super) fn covers(&self, path: &str) -> bool {
        let mut at = Some(path);
        while let Some(here) = at {
            if self.reported.contains(here) {
                return true;
            }
            at = parent(here);
        }
        false
    }

    /// Whether something was already said about `path`, what holds it or what it holds.
    pub(super) fn concerns(&self, path: &str) -> bool {
        self.covers(path) || self.reported.iter().any(|key| is_below(key, path))
    }

    /// The error, if anything is wrong.
    pub(super) fn into_error(mut self) -> Option<ConfigError> {
        self.problems.sort_by_key(|problem| problem.line.unwrap_or(usize::MAX));
        (!self.problems.is_empty()).then(|| ConfigError::new(self.problems))
    }

    /// The keys of one table.
    pub(super) fn table(&mut self, path: impl Into<String>) -> Keys<'_> {
        Keys { report: self, path: path.into() }
    }
}

fn is_below(key: &str, path: &str) -> bool {
    key.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '[']))
}

/// A size in the largest unit that shows it whole: `10MiB`.
pub(super) fn print_size(bytes: usize) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| bytes >= *size && bytes.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

/// Reads the values of one table, noting what is wrong and going on with the default.
pub(super) struct Keys<'r> {
    /// The report.
    pub(super) report: &'r mut Report,
    path: String,
}

impl Keys<'_> {
    /// The path of a key of this table.
    pub(super) fn path(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// The path of an item of a list of this table.
    pub(super) fn item(&self, key: &str, at: usize) -> String {
        format!("{}[{at}]", self.path(key))
    }

    /// Whether the value of `key` came out of a variable.
    pub(super) fn is_expanded(&self, key: &str) -> bool {
        self.report.is_expanded(&self.path(key))
    }

    /// The table below `key`.
    pub(super) fn below(&mut self, key: &str) -> Keys<'_> {
        let path = self.path(key);
        Keys { report: self.report, path }
    }

    /// Something is wrong with `key`.
    pub(super) fn problem(&mut self, key: &str, message: impl Display) {
        let path = self.path(key);
        self.report.problem(&path, message);
    }

    /// `key` must be there.
    pub(super) fn missing(&mut self, key: &str, message: impl Display) {
        let path = self.path(key);
        self.report.missing(&path, message);
    }

    /// The value, or a problem.
    pub(super) fn check<T, E: Display>(&mut self, key: &str, value: Result<T, E>) -> Option<T> {
        value.map_err(|error| self.problem(key, error)).ok()
    }

    /// The path of a PEM file.
    pub(super) fn pem(&mut self, key: &str, written: Option<&str>) -> Option<PathBuf> {
        let path = written?.trim();
        if path.is_empty() {
            self.problem(key, "is empty: write the path of a PEM file");
            return None;
        }
        Some(PathBuf::from(path))
    }

    /// A duration that is not zero.
    pub(super) fn duration(&mut self, key: &str, written: Option<&str>, default: Duration) -> Duration {
        let Some(text) = written else { return default };
        match self.check(key, parse_duration(text)) {
            Some(Duration::ZERO) => {
                self.problem(key, "must be more than zero");
                default
            }
            other => other.unwrap_or(default),
        }
    }

    /// A size of at most `most` bytes, and not nothing.
    pub(super) fn size(&mut self, key: &str, written: Option<&str>, default: usize, most: usize) -> usize {
        let Some(text) = written else { return default };
        match self.check(key, parse_size(text)) {
            Some(size) if size == 0 || size > most => {
                self.problem(key, format!("must be 1B to {}", print_size(most)));
                default
            }
            other => other.unwrap_or(default),
        }
    }

    /// A whole number of `least` to `most`.
    pub(super) fn count(&mut self, key: &str, written: Option<i64>, default: usize, least: usize, most: usize) -> usize {
        let Some(number) = written else { return default };
        match usize::try_from(number) {
            Ok(count) if (least..=most).contains(&count) => count,
            _ => {
                self.problem(key, format!("must be {least} to {most}"));
                default
            }
        }
    }
}
