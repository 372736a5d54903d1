//! What a filter can ask about an event, as CEL values.
//!
//! | variable | is |
//! |---|---|
//! | `body` | a form (by `Content-Type`): a map of strings, the first field of each name; else JSON: its value; else the text if it is UTF-8, else bytes |
//! | `headers` | a map of lower-case names; fields of one name are joined by `, ` as HTTP says, and bytes that are no UTF-8 are replaced |
//! | `type`, `source` | strings; the type is empty where the sender names none |
//!
//! Numbers: an integer is an `int`, one beyond 64 bits signed a `uint`, one beyond that, and anything with a fraction or an
//! exponent, a `double`. CEL compares all three by value, so `body.n == 1` holds for `1.0`, too; what does not fit into a
//! `double` exactly is compared as the nearest one.
//!
//! JSON is believed by what it is, whatever `Content-Type` says: senders label it as text. Of keys that are repeated in an
//! object the last counts, as in most parsers.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use cel::common::types::{CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt};
use cel::common::value::Val;
use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

use super::super::Subject;
use crate::domain::{Body, Headers};

/// The largest body that is read.
pub(super) const MOST_BYTES: usize = 4 << 20;
/// The most values in a body: what limits memory, since a value of two bytes in JSON has sixty here.
const MOST_VALUES: usize = 250_000;
/// How deeply arrays and objects may be nested: below serde_json's own limit, so that ours is what speaks.
const MOST_NESTED: usize = 100;

/// A value that owns what it says.
type Owned = Box<dyn Val>;

/// Why a body is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Unread {
    #[error("the body is larger than {} MiB", MOST_BYTES >> 20)]
    Large,
    #[error("the body is nested more than {MOST_NESTED} deep")]
    Deep,
    #[error("the body has more than {MOST_VALUES} values")]
    Many,
}

/// What the variables of an event are made of.
#[derive(Clone)]
pub(in super::super) struct Asked {
    pub(in super::super) source: Arc<str>,
    pub(in super::super) event_type: String,
    pub(in super::super) headers: Headers,
    pub(in super::super) body: Body,
}

impl Asked {
    /// Of this event, without copying its body.
    pub(in super::super) fn of(event: &Subject<'_>) -> Self {
        Self {
            source: Arc::clone(event.source),
            event_type: event.event_type.to_owned(),
            headers: event.headers.clone(),
            body: event.body.clone(),
        }
    }
}

/// The variables of one event. What no filter asks for is not there.
pub(in super::super) struct Facts {
    pub(super) body: Result<Owned, Unread>,
    pub(super) headers: Owned,
    pub(super) event_type: Owned,
    pub(super) source: Owned,
}

impl Facts {
    /// Of no event.
    pub(super) fn nothing() -> Self {
        let [body, event_type, source] = [(); 3].map(|()| text(""));
        Self { body: Ok(body), headers: strings(HashMap::new()), event_type, source }
    }

    /// Of this event; its body is only read where it is needed.
    pub(in super::super) fn of(asked: &Asked, with_body: bool) -> Self {
        Self {
            body: if with_body { body(&asked.headers, &asked.body) } else { Ok(text("")) },
            headers: headers(&asked.headers),
            event_type: text(&asked.event_type),
            source: text(&asked.source),
        }
    }
}

fn text(text: &str) -> Owned {
    Box::new(CelString::from(text.to_owned()))
}

fn headers(headers: &Headers) -> Owned {
    let mut joined: HashMap<String, String> = HashMap::new();
    for (name, value) in headers.iter() {
        let value = String::from_utf8_lossy(value);
        match joined.get_mut(name) {
            Some(before) => before.extend([", ", &value]),
            None => drop(joined.insert(name.to_owned(), value.into_owned())),
        }
    }
    strings(joined)
}

fn strings(pairs: HashMap<String, String>) -> Owned {
    let value = |text: String| Box::new(CelString::from(text)) as Owned;
    let pairs: HashMap<CelMapKey<'static>, Owned> = pairs.into_iter().map(|(name, text)| (CelMapKey::from(name), value(text))).collect();
    Box::new(CelMap::from(pairs))
}

fn body(headers: &Headers, bytes: &[u8]) -> Result<Owned, Unread> {
    if bytes.len() > MOST_BYTES {
        return Err(Unread::Large);
    }
    if is_form(headers) {
        return form(bytes);
    }
    if let Some(value) = json(bytes)? {
        return Ok(value);
    }
    Ok(match std::str::from_utf8(bytes) {
        Ok(body) => text(body),
        Err(_) => Box::new(CelBytes::from(bytes.to_vec())),
    })
}

fn is_form(headers: &Headers) -> bool {
    let content_type = headers.text("content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn form(bytes: &[u8]) -> Result<Owned, Unread> {
    let mut fields = HashMap::new();
    for (at, (name, value)) in form_urlencoded::parse(bytes).enumerate() {
        if at == MOST_VALUES {
            return Err(Unread::Many);
        }
        fields.entry(name.into_owned()).or_insert_with(|| value.into_owned());
    }
    Ok(strings(fields))
}

/// The value of a JSON document; `None` when it is none.
fn json(bytes: &[u8]) -> Result<Option<Owned>, Unread> {
    let limits = Limits { values: Cell::new(0), hit: Cell::new(None) };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = Node { limits: &limits, depth: 0 }.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match (read, limits.hit.get()) {
        (Ok(value), _) => Ok(Some(value)),
        (Err(_), Some(unread)) => Err(unread),
        (Err(_), None) => Ok(None),
    }
}

struct Limits {
    values: Cell<usize>,
    /// Why reading ended, where it was not because the text is no JSON.
    hit: Cell<Option<Unread>>,
}

/// Reads one value, straight into the form in which CEL has it.
#[derive(Clone, Copy)]
struct Node<'l> {
    limits: &'l Limits,
    depth: usize,
}

impl Node<'_> {
    /// For what this value holds.
    fn inner<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > MOST_NESTED { Err(self.stop(Unread::Deep)) } else { Ok(Self { depth, ..self }) }
    }

    fn stop<E: Error>(self, why: Unread) -> E {
        self.limits.hit.set(Some(why));
        E::custom(why)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Owned;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Owned, D::Error> {
        let values = self.limits.values.get() + 1;
        self.limits.values.set(values);
        if values > MOST_VALUES {
            return Err(self.stop(Unread::Many));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Owned;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Owned, E> {
        Ok(Box::new(CelBool::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Owned, E> {
        Ok(Box::new(CelInt::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Owned, E> {
        Ok(match i64::try_from(value) {
            Ok(value) => Box::new(CelInt::from(value)),
            Err(_) => Box::new(CelUInt::from(value)),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Owned, E> {
        Ok(Box::new(CelDouble::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Owned, E> {
        Ok(text(value))
    }

    fn visit_unit<E>(self) -> Result<Owned, E> {
        Ok(Box::new(CelNull))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Owned, A::Error> {
        let (inner, mut items) = (self.inner()?, Vec::new());
        while let Some(item) = array.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Box::new(CelList::from(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Owned, A::Error> {
        let (inner, mut members) = (self.inner()?, HashMap::new());
        while let Some(name) = object.next_key::<String>()? {
            members.insert(CelMapKey::from(name), object.next_value_seed(inner)?);
        }
        Ok(Box::new(CelMap::from(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content_type: &str, bytes: &[u8]) -> Result<Owned, Unread> {
        body(&[("content-type", content_type.as_bytes())].into_iter().collect(), bytes)
    }

    fn is(content_type: &str, bytes: &[u8], value: &dyn Val) -> bool {
        read(content_type, bytes).unwrap().equals(value)
    }

    #[test]
    fn a_body_is_a_form_or_json_or_text_or_bytes() {
        assert!(is("text/plain", b"12", &CelInt::from(12)), "JSON is believed by what it is");
        assert!(is("application/json", b"not json", &CelString::from("not json")));
        assert!(is("application/json", b"", &CelString::from("")));
        assert!(is("application/json", b"{} {}", &CelString::from("{} {}")));
        assert!(is("", b"\xff\x00", &CelBytes::from(vec![0xff, 0])));
        let form = read("Application/X-WWW-Form-URLencoded; charset=utf-8", b"a=1&b=%3D&a=2").unwrap();
        assert!(form.equals(&*strings([("a", "1"), ("b", "=")].map(|(name, text)| (name.to_owned(), text.to_owned())).into())));
    }

    #[test]
    fn numbers_keep_their_values_as_far_as_they_have_a_type() {
        assert!(is("", b"9223372036854775807", &CelInt::from(i64::MAX)));
        assert!(is("", b"18446744073709551615", &CelUInt::from(u64::MAX)));
        assert!(is("", b"1.5", &CelDouble::from(1.5)));
        assert!(is("", b"123456789012345678901234567890", &CelDouble::from(123_456_789_012_345_678_901_234_567_890.0)));
        assert!(is("", b"1.0", &CelInt::from(1)));
    }

    #[test]
    fn what_is_too_large_too_deep_or_too_much_is_not_read() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read("", nested(MOST_NESTED).as_bytes()).is_ok());
        assert_eq!(read("", nested(MOST_NESTED + 1).as_bytes()).err(), Some(Unread::Deep));
        assert_eq!(read("", "[".repeat(1 << 20).as_bytes()).err(), Some(Unread::Deep));
        assert_eq!(read("", format!("[{}0]", "0,".repeat(MOST_VALUES)).as_bytes()).err(), Some(Unread::Many));
        assert_eq!(read("application/x-www-form-urlencoded", "a&".repeat(MOST_VALUES + 1).as_bytes()).err(), Some(Unread::Many));
        assert!(read("", &vec![b' '; MOST_BYTES]).is_ok());
        assert_eq!(read("", &vec![b' '; MOST_BYTES + 1]).err(), Some(Unread::Large));
    }

    #[test]
    fn fields_of_one_name_are_joined() {
        let fields = [("X-A", &b"1"[..]), ("x-a", b"2"), ("x-b", b"\xff")].into_iter().collect();
        let expected = [("x-a", "1, 2"), ("x-b", "\u{fffd}")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert!(headers(&fields).equals(&*strings(expected.into())));
    }
}
