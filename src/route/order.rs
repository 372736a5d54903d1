//! What has to go one at a time and in order: each value of an order key is a line of its own.
//!
//! A line is told by the key and the source together: the same value at a JSON pointer means the same thing only within one
//! source. An event without the value stands in no line, and neither does one whose body is no JSON: it goes at any time.
//!
//! The value is found by skimming the body, whatever its size and whether or not a filter has it read: unlike a filter, an
//! order must not depend on limits or on what else goes on. Skimming builds nothing and is linear. Only a value of up to
//! [`MOST_READ`] bytes, as order keys are, is read to be brought into one form; a longer one counts as it is written.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Subject;
use crate::domain::Line;

/// The longest value that is read: one that is read takes many times its length in memory.
const MOST_READ: usize = 4 << 10;

/// What events have in common that go one at a time and in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderBy {
    /// The source.
    Source,
    /// The value at this place in the body.
    Pointer(Pointer),
}

/// A JSON pointer (RFC 6901).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<String>);

/// A text that is no JSON pointer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PointerError {
    /// It does not begin with a slash.
    #[error("a JSON pointer begins with \"/\", such as \"/repository/id\"")]
    NoSlash,
    /// A `~` that stands for nothing.
    #[error("in a JSON pointer \"~\" is written \"~0\", and \"/\" within a name \"~1\"")]
    Tilde,
}

impl Pointer {
    /// Parses a pointer such as `/repository/id`.
    ///
    /// # Errors
    /// [`PointerError`] for one without a slash at its beginning, which the empty pointer to the whole body is, or with a `~`
    /// that is not `~0` or `~1`.
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        let names = text.strip_prefix('/').ok_or(PointerError::NoSlash)?;
        names.split('/').map(|name| unescaped(name).ok_or(PointerError::Tilde)).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")))
    }
}

/// As it is configured.
impl fmt::Display for OrderBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("source"),
            Self::Pointer(pointer) => pointer.fmt(f),
        }
    }
}

fn unescaped(name: &str) -> Option<String> {
    let mut parts = name.split('~');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = part.split_at_checked(1)?;
        text.push(match escaped {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        text.push_str(rest);
    }
    Some(text)
}

impl OrderBy {
    /// The line in which an event stands.
    pub(super) fn line(&self, event: &Subject<'_>) -> Option<Line> {
        match self {
            Self::Source => Some(line(b"source", event.source, "")),
            Self::Pointer(pointer) => Some(line(b"value", event.source, &value(pointer, event.body)?)),
        }
    }
}

/// Each part is led by its length, so that no two lines are made of the same bytes.
fn line(kind: &[u8], source: &str, value: &str) -> Line {
    let mut digest = Sha256::new();
    for part in [kind, source.as_bytes(), value.as_bytes()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let first = digest.finalize().first_chunk::<8>().copied().unwrap_or_default();
    Line(i64::from_be_bytes(first))
}

/// The value at a place, as text of one form: of any kind, so that `1` and `"1"` differ, and without white space, with the
/// members of objects in the order of their names, so that only what is said matters. What is longer than [`MOST_READ`], or
/// nested too deeply to be read, stays as it was written.
pub(super) fn value<'b>(pointer: &Pointer, body: &'b [u8]) -> Option<Cow<'b, str>> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let found = Place(&pointer.0).deserialize(&mut reader).ok()??.get();
    reader.end().ok()?;
    let is_short = found.len() <= MOST_READ;
    let read = is_short.then(|| serde_json::from_str::<serde_json::Value>(found).ok()).flatten();
    Some(read.map_or(Cow::Borrowed(found), |value| Cow::Owned(value.to_string())))
}

/// A place in a document, as the names that lead to it from here.
#[derive(Clone, Copy)]
struct Place<'p>(&'p [String]);

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            [] => serde::Deserialize::deserialize(reader).map(Some),
            _ => reader.deserialize_any(self),
        }
    }
}

/// Of repeated names the last counts, as it does for filters.
impl<'de> Visitor<'de> for Place<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(Name(name)) = object.next_key()? {
            match self.0 {
                [wanted, rest @ ..] if *wanted == name => found = object.next_value_seed(Place(rest))?,
                _ => drop(object.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let (wanted, rest) = self.0.split_first().map_or((None, self.0), |(name, rest)| (index(name), rest));
        let (mut found, mut at) = (None, 0_usize);
        loop {
            let more = if Some(at) == wanted {
                let item = array.next_element_seed(Place(rest))?;
                found = item.flatten();
                item.is_some()
            } else {
                array.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                return Ok(found);
            }
            at += 1;
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

/// A place in an array, as RFC 6901 writes it: without leading zeros.
fn index(name: &str) -> Option<usize> {
    let is_plain = name == "0" || (!name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit()));
    name.parse().ok().filter(|_| is_plain)
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pointer: &str, body: &str) -> Option<String> {
        value(&Pointer::parse(pointer).unwrap(), body.as_bytes()).map(Cow::into_owned)
    }

    #[test]
    fn a_pointer_finds_what_rfc_6901_says() {
        let body = r#"{"a":{"b":[10,{"c":true}]},"a/b":1,"m~n":2,"":3,"x":null,"e\u0073c":4,"01":5,"twice":1,"twice":2}"#;
        let cases = [
            ("/a/b/0", Some("10")),
            ("/a/b/1/c", Some("true")),
            ("/a/b/2", None),
            ("/a/b/01", None),
            ("/a/b/+1", None),
            ("/a/b/-", None),
            ("/a/b", Some(r#"[10,{"c":true}]"#)),
            ("/a~1b", Some("1")),
            ("/m~0n", Some("2")),
            ("/", Some("3")),
            ("/x", Some("null")),
            ("/x/y", None),
            ("/esc", Some("4")),
            ("/01", Some("5")),
            ("/twice", Some("2")),
            ("/absent", None),
        ];
        for (pointer, expected) in cases {
            assert_eq!(at(pointer, body).as_deref(), expected, "{pointer}");
        }
    }

    #[test]
    fn only_what_a_value_says_matters_and_its_kind() {
        assert_eq!(at("/a", r#"{"a": {"y": 1, "x" : [ ]}}"#), at("/a", r#"{"a":{"x":[],"y":1}}"#));
        assert_eq!(at("/a", "{\"a\":\"\\u0041\"}"), at("/a", "{\"a\":\"A\"}"));
        assert_ne!(at("/a", "{\"a\":1}"), at("/a", "{\"a\":\"1\"}"));
    }

    #[test]
    fn what_is_no_json_has_no_value() {
        for body in ["", "a=1", "{\"a\":1", "{\"a\":1} x", "[1]", "7", "\"a\"", "{\"a\":1,}"] {
            assert_eq!(at("/a", body), None, "{body}");
        }
        assert_eq!(value(&Pointer::parse("/a").unwrap(), b"\xff"), None);
    }

    #[test]
    fn a_deep_document_is_skimmed_without_a_deep_stack() {
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        assert_eq!(at("/a", &format!("{{\"b\":{deep},\"a\":1}}")).as_deref(), Some("1"));
        assert_eq!(at("/a", &format!("{{\"a\":{deep}}}")), Some(deep));
    }

    #[test]
    fn a_long_value_counts_as_it_is_written_and_builds_nothing() {
        let items = [r#"{"":0},"#; 10].concat();
        let long = format!("[{}0]", items.repeat((10 << 20) / items.len()));
        let body = format!(r#"{{"a":{long}}}"#);
        let begin = std::time::Instant::now();
        let found = value(&Pointer::parse("/a").unwrap(), body.as_bytes()).unwrap();
        assert!(begin.elapsed() < std::time::Duration::from_secs(2), "{:?}", begin.elapsed());
        assert!(matches!(found, Cow::Borrowed(text) if text == long), "a part of the body itself");
        // At the bound: a space counts no longer.
        let spaced = |length: usize| format!("[ \"{}\"]", "a".repeat(length - 5));
        assert_eq!(at("/a", &format!("{{\"a\":{}}}", spaced(MOST_READ))).unwrap().len(), MOST_READ - 1);
        assert_eq!(at("/a", &format!("{{\"a\":{}}}", spaced(MOST_READ + 1))).unwrap().len(), MOST_READ + 1);
    }

    #[test]
    fn a_pointer_that_rfc_6901_does_not_know_is_an_error() {
        for (text, error) in
            [("", PointerError::NoSlash), ("a", PointerError::NoSlash), ("/a~", PointerError::Tilde), ("/~2/b", PointerError::Tilde)]
        {
            assert_eq!(Pointer::parse(text), Err(error), "{text}");
        }
        assert!(Pointer::parse("/~é").is_err());
    }

    #[test]
    fn lines_differ_by_kind_source_and_value_alone() {
        let lines = [
            line(b"source", "a", ""),
            line(b"source", "b", ""),
            line(b"value", "a", ""),
            line(b"value", "a", "1"),
            line(b"value", "a1", ""),
        ];
        let distinct: std::collections::BTreeSet<_> = lines.into_iter().collect();
        assert_eq!(distinct.len(), lines.len());
        // Kept in databases: it must stay what it is.
        assert_eq!(line(b"value", "github", "42"), Line(-7_177_845_180_278_444_400));
    }
}
