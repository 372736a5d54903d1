//! A few values out of a JSON document in one pass, without building the rest of it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// JSON pointers (RFC 6901) that are looked up together.
#[derive(Debug, Default)]
pub(super) struct PointerSet {
    pointers: Vec<String>,
    root: Node,
}

/// What was found under the pointers of a set: text of strings, numbers as written, booleans; nothing for the rest.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<Option<String>>);

/// The most items of an array that are looked at one by one.
pub(super) const MAX_ITEMS: usize = 1_000;

#[derive(Debug, Default)]
struct Node {
    leaf: Option<usize>,
    children: Vec<(String, Node)>,
}

impl PointerSet {
    pub(super) fn new(pointers: impl IntoIterator<Item = String>) -> Self {
        let mut set = Self::default();
        for pointer in pointers {
            if set.pointers.contains(&pointer) {
                continue;
            }
            let mut node = &mut set.root;
            for token in pointer.split('/').skip(1) {
                node = node.child_mut(&token.replace("~1", "/").replace("~0", "~"));
            }
            node.leaf = Some(set.pointers.len());
            set.pointers.push(pointer);
        }
        set
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pointers.is_empty()
    }

    /// The values under the pointers; the last one where a key is repeated, as most parsers have it.
    pub(super) fn find(&self, document: &[u8]) -> Result<Values, serde_json::Error> {
        let mut values = vec![None; self.pointers.len()];
        let mut deserializer = serde_json::Deserializer::from_slice(document);
        Search { node: &self.root, found: &mut values }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(Values(values))
    }

    /// The value that was found under one of the set's pointers.
    pub(super) fn value<'v>(&self, pointer: &str, values: &'v Values) -> Option<&'v str> {
        let at = self.pointers.iter().position(|known| known == pointer)?;
        values.0.get(at)?.as_deref()
    }
}

impl Node {
    fn child_mut(&mut self, name: &str) -> &mut Self {
        let at = self.children.iter().position(|(child, _)| child == name).unwrap_or_else(|| {
            self.children.push((name.to_owned(), Self::default()));
            self.children.len() - 1
        });
        &mut self.children[at].1
    }

    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|(child, _)| child == name).map(|(_, node)| node)
    }

    /// The child for an item of an array: by its number.
    fn item(&self, at: usize) -> Option<&Self> {
        self.children.iter().find(|(child, _)| child.parse() == Ok(at)).map(|(_, node)| node)
    }

    /// Clears what an earlier occurrence of a repeated key had put under this node.
    fn forget(&self, found: &mut [Option<String>]) {
        if let Some(at) = self.leaf {
            found[at] = None;
        }
        self.children.iter().for_each(|(_, child)| child.forget(found));
    }
}

struct Search<'a> {
    node: &'a Node,
    found: &'a mut [Option<String>],
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.node.forget(self.found);
        let Some(at) = self.node.leaf else { return deserializer.deserialize_any(self) };
        let raw = <&RawValue as de::Deserialize>::deserialize(deserializer)?.get();
        self.found[at] = scalar(raw);
        if !self.node.children.is_empty() {
            let mut inner = serde_json::Deserializer::from_str(raw);
            inner_any(self, &mut inner).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

fn inner_any(
    search: Search<'_>,
    deserializer: &mut serde_json::Deserializer<serde_json::de::StrRead<'_>>,
) -> Result<(), serde_json::Error> {
    de::Deserializer::deserialize_any(deserializer, search)
}

/// The text of a scalar.
fn scalar(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(raw.to_owned()),
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key<'de>>()? {
            match self.node.child(&key.0) {
                Some(node) => map.next_value_seed(Search { node, found: self.found })?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        for at in 0usize.. {
            let more = match self.node.item(at) {
                Some(node) => list.next_element_seed(Search { node, found: self.found })?,
                None => list.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// Where the value under a pointer stands in the document, as a byte range.
pub(super) fn span(document: &[u8], pointer: &str) -> Option<std::ops::Range<usize>> {
    let text = std::str::from_utf8(document).ok()?;
    let raw = raw(serde_json::from_str(text).ok()?, pointer)?.get();
    let start = raw.as_ptr() as usize - text.as_ptr() as usize;
    Some(start..start + raw.len())
}

/// The items of the array under a pointer, as they are written, and no more than one beyond the bound; `None` where there is no
/// array.
pub(super) fn items<'d>(document: &'d [u8], pointer: &str) -> Option<Vec<&'d [u8]>> {
    let text = std::str::from_utf8(document).ok()?;
    let array = raw(serde_json::from_str(text).ok()?, pointer)?;
    let Bounded(items) = serde_json::from_str(array.get()).ok()?;
    Some(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

/// The beginning of an array: the rest is passed over.
struct Bounded<'d>(Vec<&'d RawValue>);

impl<'de> de::Deserialize<'de> for Bounded<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Beginning;
        impl<'de> Visitor<'de> for Beginning {
            type Value = Bounded<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded<'de>, A::Error> {
                let mut items = Vec::new();
                while items.len() <= MAX_ITEMS
                    && let Some(item) = list.next_element()?
                {
                    items.push(item);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Bounded(items))
            }
        }
        deserializer.deserialize_seq(Beginning)
    }
}

/// The values under a pointer in which `*` stands for each item of an array, in their order; `None` beyond the bound.
pub(super) fn each(document: &[u8], pointer: &str) -> Option<Vec<String>> {
    let (array, rest) = pointer.split_once("/*")?;
    let items = items(document, array)?;
    if items.len() > MAX_ITEMS {
        return None;
    }
    if rest.contains("/*") {
        let found: Vec<_> = items.into_iter().filter_map(|item| each(item, rest)).flatten().take(MAX_ITEMS + 1).collect();
        return Some(found).filter(|found| found.len() <= MAX_ITEMS);
    }
    let inner = PointerSet::new([rest.to_owned()]);
    let value = |item: &[u8]| inner.find(item).ok().and_then(|values| inner.value(rest, &values).map(str::to_owned));
    Some(items.into_iter().filter_map(value).collect())
}

/// The value under a pointer, as it is written.
fn raw<'d>(mut raw: &'d RawValue, pointer: &str) -> Option<&'d RawValue> {
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        raw = match raw.get().as_bytes().first()? {
            b'{' => serde_json::from_str::<std::collections::BTreeMap<Cow<'_, str>, &RawValue>>(raw.get()).ok()?.remove(&*token)?,
            b'[' => serde_json::from_str::<Vec<&RawValue>>(raw.get()).ok()?.get(token.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(raw)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(pointer: &str, document: &str) -> Option<String> {
        let set = PointerSet::new([pointer.to_owned(), "/other".to_owned(), format!("{pointer}/deeper")]);
        let values = set.find(document.as_bytes()).unwrap();
        set.value(pointer, &values).map(str::to_owned)
    }

    #[test]
    fn scalars_are_found_wherever_they_stand() {
        assert_eq!(find("/id", r#"{"a":[1,{"id":"no"}],"id":"evt_1"}"#).as_deref(), Some("evt_1"));
        assert_eq!(find("/a/1/b", r#"{"a":[0,{"b":"\u00e9\n"}]}"#).as_deref(), Some("\u{e9}\n"));
        assert_eq!(find("/n", r#"{"n":123456789012345678901234567890}"#).as_deref(), Some("123456789012345678901234567890"));
        assert_eq!(find("/a~1b", r#"{"a/b":true}"#).as_deref(), Some("true"));
        assert_eq!(find("/id", r#"{"id":null}"#), None);
        assert_eq!(find("/id", r#"{"id":{"x":1}}"#), None);
        assert_eq!(find("/id", "[1]"), None);
    }

    #[test]
    fn a_repeated_key_counts_as_most_parsers_count_it() {
        assert_eq!(find("/id", r#"{"id":"first","id":"last"}"#).as_deref(), Some("last"));
        assert_eq!(find("/a/id", r#"{"a":{"id":"x"},"a":7}"#), None);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        let set = PointerSet::new(["/id".to_owned()]);
        for document in ["", "{", "{\"id\":1}x", "{\"id\":1,}", "\u{feff}{}", "nope"] {
            assert!(set.find(document.as_bytes()).is_err(), "{document}");
        }
        assert!(set.find(b"{\"id\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_span_marks_the_value_in_the_text() {
        let document = br#"{ "a": {"t" : 12345 , "s":"x"}}"#;
        assert_eq!(&document[span(document, "/a/t").unwrap()], b"12345");
        assert_eq!(span(document, "/a/q"), None);
    }

    #[test]
    fn a_star_is_each_item_of_an_array() {
        let document = br#"{"a":[{"id":"x"},{"no":1},{"id":2},{"id":null}],"b":[1,2]}"#;
        assert_eq!(each(document, "/a/*/id").unwrap(), ["x", "2"]);
        assert_eq!(each(document, "/b/*").unwrap(), ["1", "2"]);
        assert_eq!(each(document, "/c/*/id"), None);
        assert_eq!(each(br#"{"a":[{"b":[{"id":1},{"id":2}]},{"c":0},{"b":[{"id":3}]}]}"#, "/a/*/b/*/id").unwrap(), ["1", "2", "3"]);
        assert_eq!(each(br#"[{"id":"y"}]"#, "/*/id").unwrap(), ["y"]);
        assert_eq!(each(format!("[{}1]", "1,".repeat(MAX_ITEMS)).as_bytes(), "/*"), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_full_parse(document in "[\\[\\]{}\",:0-9a-cn\\\\ ]{0,60}") {
            let set = PointerSet::new(["/a".to_owned(), "/a/b".to_owned(), "/0".to_owned()]);
            let whole: Result<serde_json::Value, _> = serde_json::from_str(&document);
            match (set.find(document.as_bytes()), whole) {
                (Ok(values), Ok(whole)) => {
                    for pointer in ["/a", "/a/b", "/0"] {
                        let expected = whole.pointer(pointer).and_then(|value| match value {
                            serde_json::Value::String(text) => Some(text.clone()),
                            _ => None,
                        });
                        if expected.is_some() {
                            prop_assert_eq!(set.value(pointer, &values).map(str::to_owned), expected);
                        }
                    }
                }
                (Ok(_), Err(_)) | (Err(_), Err(_)) => {}
                (Err(error), Ok(_)) => prop_assert!(false, "{error}: {document}"),
            }
        }
    }
}
