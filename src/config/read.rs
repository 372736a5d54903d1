//! From text to the file as written: TOML, then variables, then keys. One mistake does not hide the next: a key that
//! cannot be read is noted, taken out, and the rest is read again.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Deserializer};

use super::error::{ConfigError, Problem, suggestion};
use super::expand::expand;
use super::file::{File, PLANNED};
use super::load::Env;
use super::places::{Places, Step, join};
use super::report::Report;

/// Enough for any file, and a bound on the work for one that is something else altogether.
const MOST_PROBLEMS: usize = 100;

/// Reads a text. What is wrong in it stands in the report; what could be read stands in the file.
///
/// # Errors
/// [`ConfigError`] when the text is no TOML, because then nothing else can be said.
pub(super) fn read(file_name: &str, text: &str, env: Env<'_>) -> Result<(File, Report), ConfigError> {
    read_where(file_name, text, |_| true, env)
}

/// Reads one table of a text, as if nothing else stood there.
///
/// # Errors
/// As [`read`].
pub(super) fn read_table(file_name: &str, text: &str, name: &str, env: Env<'_>) -> Result<(File, Report), ConfigError> {
    read_where(file_name, text, |key| key == name, env)
}

fn read_where(file_name: &str, text: &str, wanted: impl Fn(&str) -> bool, env: Env<'_>) -> Result<(File, Report), ConfigError> {
    let mut places = Places::new(file_name, text);
    let tree = DeTable::parse(text).map_err(|error| syntax_error(&places, &error))?.into_inner();
    let mut tree: DeTable<'_> = tree.into_iter().filter(|(key, _)| wanted(key.get_ref())).collect();
    places.note_table(&tree, &mut Vec::new());
    let mut report = Report::new(places);
    expand_table(&mut tree, "", env, &mut report);
    let file = deserialize(tree, &mut report);
    Ok((file, report))
}

fn syntax_error(places: &Places, error: &toml::de::Error) -> ConfigError {
    // Only the message: the error's own `Display` prints the line, which may hold a secret.
    ConfigError::new(vec![Problem {
        file: places.file().to_owned(),
        line: error.span().map(|span| places.line(span.start)),
        key: String::new(),
        message: format!("not TOML: {}", error.message()),
    }])
}

fn expand_table(table: &mut DeTable<'_>, path: &str, env: Env<'_>, report: &mut Report) {
    for (key, value) in table.iter_mut() {
        expand_value(value.get_mut(), &join(path, key.get_ref()), env, report);
    }
}

fn expand_value(value: &mut DeValue<'_>, path: &str, env: Env<'_>, report: &mut Report) {
    match value {
        DeValue::String(text) if text.contains("${") => match expand(text, env) {
            Ok(expanded) => {
                *text = Cow::Owned(expanded);
                report.note_expanded(path);
            }
            Err(error) => report.problem(path, error),
        },
        DeValue::Array(items) => {
            for (at, item) in items.iter_mut().enumerate() {
                expand_value(item.get_mut(), &format!("{path}[{at}]"), env, report);
            }
        }
        DeValue::Table(table) => expand_table(table, path, env, report),
        _ => {}
    }
}

fn deserialize(mut tree: DeTable<'_>, report: &mut Report) -> File {
    for _ in 0..MOST_PROBLEMS {
        let deserializer = Deserializer::from(Spanned::new(0..0, tree.clone()));
        let error = match File::deserialize(deserializer) {
            Ok(file) => return file,
            Err(error) => error,
        };
        if !take_out(&mut tree, &error, report) {
            break;
        }
    }
    report.unreadable("", "the rest was not read: mend these first");
    File::default()
}

/// Notes what `error` says and takes the key out of the tree; false when it says nothing about a key.
fn take_out(tree: &mut DeTable<'_>, error: &toml::de::Error, report: &mut Report) -> bool {
    let Some(span) = error.span() else { return false };
    let unknown = unknown_key(error.message());
    let Some((path, steps, kind)) = locate(&report.places, &span, unknown.is_some()) else { return false };
    match unknown {
        Some(allowed) => report.unreadable(&path, unknown_message(&steps, &allowed)),
        None => report.unreadable(&path, form_message(error.message(), kind)),
    }
    remove(tree, &steps)
}

fn locate(places: &Places, span: &Range<usize>, by_key: bool) -> Option<(String, Vec<Step>, &'static str)> {
    places.at(span, by_key).map(|(path, place)| (path.to_owned(), place.steps.clone(), place.kind))
}

/// The allowed keys, from serde's words about an unknown one.
fn unknown_key(message: &str) -> Option<Vec<&str>> {
    let rest = message.strip_prefix("unknown field `")?;
    let (_, allowed) = rest.rsplit_once("`, expected ")?;
    Some(allowed.split('`').skip(1).step_by(2).collect())
}

fn unknown_message(steps: &[Step], allowed: &[&str]) -> String {
    let Some(Step::Key(key)) = steps.last() else { return "unknown key".to_owned() };
    let planned = match steps {
        [Step::Key(table), Step::Key(_), Step::Key(key)] => {
            PLANNED.iter().any(|(name, keys)| name == table && keys.contains(&key.as_str()))
        }
        _ => false,
    };
    if planned {
        return "this version does not support it yet".to_owned();
    }
    format!("unknown key{}", suggestion(key, allowed.iter().copied()))
}

/// What serde says about a value of the wrong kind, without the value: it may be a secret.
fn form_message(message: &str, found: &str) -> String {
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        return format!("needs the key `{key}`");
    }
    let expected = match message.rsplit_once(", expected ") {
        Some((_, "a string")) => "a string",
        Some((_, "a boolean")) => "true or false",
        Some((_, "f64")) => "a number",
        Some((_, "i64" | "u16")) => "a whole number",
        Some((_, "a sequence")) => "a list",
        Some((_, "a signature table, or a list of them")) => "a signature table, or a list of them",
        Some((_, "a string, or a list of them")) => "a string, or a list of them",
        Some((_, text)) if text.starts_with("struct ") || text == "a map" => "a table",
        _ => return "cannot be read".to_owned(),
    };
    let article = if found == "integer" { "an" } else { "a" };
    format!("expected {expected}, found {article} {found}")
}

/// Removes what `steps` lead to; an item of a list goes together with its list, whose other items would move otherwise.
fn remove(table: &mut DeTable<'_>, steps: &[Step]) -> bool {
    let [Step::Key(key), rest @ ..] = steps else { return false };
    if rest.iter().all(|step| matches!(step, Step::Item(_))) {
        return table.remove(key.as_str()).is_some();
    }
    table.get_mut(key.as_str()).is_some_and(|value| remove_below(value.get_mut(), rest))
}

fn remove_below(value: &mut DeValue<'_>, steps: &[Step]) -> bool {
    match (value, steps) {
        (DeValue::Table(table), steps) => remove(table, steps),
        (DeValue::Array(items), [Step::Item(at), rest @ ..]) => items.get_mut(*at).is_some_and(|item| remove_below(item.get_mut(), rest)),
        _ => false,
    }
}
