//! Where each key stands: the line of a path such as `sources.stripe.provider`, kept for what is found wrong later.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A step from a table or list to what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// To a key of a table.
    Key(String),
    /// To an item of a list.
    Item(usize),
}

/// One key or list item.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The way to it from the top.
    pub(super) steps: Vec<Step>,
    /// The key in the text; the value for an item of a list.
    pub(super) key: Range<usize>,
    /// The value in the text; the header for a table that has one.
    pub(super) value: Range<usize>,
    /// What kind of value it is.
    pub(super) kind: &'static str,
}

/// Every key of a file by its path, and those that the command line gave instead.
#[derive(Debug, Default)]
pub(super) struct Places {
    file: String,
    line_ends: Vec<usize>,
    places: BTreeMap<String, Place>,
    flags: BTreeMap<String, &'static str>,
}

/// The file, line and key to print for a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) file: String,
    pub(super) line: Option<usize>,
    pub(super) key: String,
}

impl Places {
    /// The places of a file that has no key.
    pub(super) fn new(file: &str, text: &str) -> Self {
        let line_ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
        Self { file: file.to_owned(), line_ends, ..Self::default() }
    }

    /// Notes every key below `table`.
    pub(super) fn note_table(&mut self, table: &DeTable<'_>, steps: &mut Vec<Step>) {
        for (key, value) in table {
            steps.push(Step::Key(key.get_ref().to_string()));
            self.note(key.span(), value, steps);
            steps.pop();
        }
    }

    fn note(&mut self, key: Range<usize>, value: &Spanned<DeValue<'_>>, steps: &mut Vec<Step>) {
        let kind = match value.get_ref() {
            DeValue::Array(_) => "list",
            other => other.type_str(),
        };
        self.places.insert(path_of(steps), Place { steps: steps.clone(), key, value: value.span(), kind });
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(table, steps),
            DeValue::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    steps.push(Step::Item(at));
                    self.note(item.span(), item, steps);
                    steps.pop();
                }
            }
            _ => {}
        }
    }

    /// Notes that the command line's `flag` gave the value of `path`.
    pub(super) fn note_flag(&mut self, path: String, flag: &'static str) {
        self.flags.insert(path, flag);
    }

    /// Where `path` stands, or what holds it when it is missing.
    pub(super) fn spot(&self, path: &str) -> Spot {
        let mut at = Some(path);
        while let Some(here) = at {
            if let Some(flag) = self.flags.get(here) {
                return Spot { file: "command line".into(), line: None, key: (*flag).into() };
            }
            if let Some(place) = self.places.get(here) {
                return Spot { file: self.file.clone(), line: Some(self.line(place.key.start)), key: path.into() };
            }
            at = parent(here);
        }
        Spot { file: self.file.clone(), line: None, key: path.into() }
    }

    /// Whether the file or a flag gives `path`.
    pub(super) fn knows(&self, path: &str) -> bool {
        self.places.contains_key(path) || self.flags.contains_key(path)
    }

    /// The line, from 1, of a byte of the text.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_ends.partition_point(|end| *end < offset) + 1
    }

    /// Where `path` stands among all keys, for keeping the file's order; what a flag gave comes last.
    pub(super) fn order(&self, path: &str) -> usize {
        self.places.get(path).map_or(usize::MAX, |place| place.key.start)
    }

    /// The place whose key, or else whose value, is at `span`. Where several share a span the deepest is meant.
    pub(super) fn at(&self, span: &Range<usize>, by_key: bool) -> Option<(&str, &Place)> {
        let matching = self.places.iter().filter(|(_, place)| if by_key { place.key == *span } else { place.value == *span });
        matching.max_by_key(|(_, place)| place.steps.len()).map(|(path, place)| (path.as_str(), place))
    }

    /// The file's name.
    pub(super) fn file(&self) -> &str {
        &self.file
    }
}

/// The path of a key below `parent`.
pub(super) fn join(parent: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if parent.is_empty() { key } else { format!("{parent}.{key}") }
}

/// The path of what holds `path`; `None` for the top.
pub(super) fn parent(path: &str) -> Option<&str> {
    path.rfind(['.', '[']).map(|at| &path[..at])
}

fn path_of(steps: &[Step]) -> String {
    steps.iter().fold(String::new(), |path, step| match step {
        Step::Key(key) => join(&path, key),
        Step::Item(at) => format!("{path}[{at}]"),
    })
}
