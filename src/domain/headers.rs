//! Header fields in one allocation, in the form in which they are stored: encoded once, never copied again.

use bytes::{BufMut, Bytes, BytesMut};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

/// A list of header fields; names are lower case, values are raw bytes, repeated names stay repeated and in their order.
///
/// The encoding of each field is: name length (u16, little endian), name, value length (u32, little endian), value.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers(Bytes);

/// Stored header bytes that do not follow the encoding.
#[derive(Debug, thiserror::Error)]
#[error("malformed header encoding")]
pub struct MalformedHeaders;

/// Collects fields into [`Headers`].
#[derive(Default)]
pub struct HeaderBuilder(BytesMut);

impl HeaderBuilder {
    /// A builder with room for `bytes` of encoded fields.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    /// Adds a field. The name is put into lower case; a name or value too long for the encoding is cut, which the
    /// listener's limits never let happen.
    pub fn push(&mut self, name: &str, value: &[u8]) -> &mut Self {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        let value = &value[..value.len().min(u32::MAX as usize)];
        self.0.put_u16_le(name.len() as u16);
        let at = self.0.len();
        self.0.put_slice(name);
        self.0[at..].make_ascii_lowercase();
        self.0.put_u32_le(value.len() as u32);
        self.0.put_slice(value);
        self
    }

    /// The finished list.
    pub fn build(self) -> Headers {
        Headers(self.0.freeze())
    }
}

impl Headers {
    /// Reads back what [`Headers::encoded`] gave.
    ///
    /// # Errors
    /// [`MalformedHeaders`] when the bytes do not follow the encoding.
    pub fn from_encoded(bytes: impl Into<Bytes>) -> Result<Self, MalformedHeaders> {
        let bytes = bytes.into();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (name, _, after) = split_field(rest).ok_or(MalformedHeaders)?;
            std::str::from_utf8(name).map_err(|_| MalformedHeaders)?;
            rest = after;
        }
        Ok(Self(bytes))
    }

    /// The encoded form, for the store.
    pub fn encoded(&self) -> &[u8] {
        &self.0
    }

    /// The fields in order, names in lower case.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)))
    }

    /// The fields in order, their values sharing this list's allocation.
    pub fn iter_shared(&self) -> impl Iterator<Item = (&str, Bytes)> {
        self.iter().map(|(name, value)| (name, self.0.slice_ref(value)))
    }

    /// The fields with their names as bytes: a look-up compares them and need not know that they are text.
    fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &self.0[..];
        std::iter::from_fn(move || {
            let (name, value, after) = split_field(rest)?;
            rest = after;
            Some((name, value))
        })
    }

    /// The first value under `name`, which must be in lower case.
    pub fn get<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// Every value under `name`, which must be in lower case.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_bytes();
        self.fields().filter_map(move |(field, value)| (field == name).then_some(value))
    }

    /// The first value under `name` as text, when it is UTF-8.
    pub fn text<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The same list without the fields that `drop` picks by name; the same allocation when it picks none.
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        if !self.iter().any(|(name, _)| drop(name)) {
            return self.clone();
        }
        let mut kept = HeaderBuilder::with_capacity(self.0.len());
        for (name, value) in self.iter().filter(|(name, _)| !drop(name)) {
            kept.push(name, value);
        }
        kept.build()
    }
}

impl<'a> FromIterator<(&'a str, &'a [u8])> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a [u8])>>(fields: I) -> Self {
        let mut builder = HeaderBuilder::default();
        for (name, value) in fields {
            builder.push(name, value);
        }
        builder.build()
    }
}

/// Shows names only: values may be credentials.
impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, _)| name)).finish()
    }
}

/// As a list of `[name, value]`; bytes that are not UTF-8 are replaced.
impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for (name, value) in self.iter() {
            list.serialize_element(&(name, String::from_utf8_lossy(value)))?;
        }
        list.end()
    }
}

/// Name, value, and what follows them.
fn split_field(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name_len, rest) = bytes.split_first_chunk::<2>()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*name_len)))?;
    let (value_len, rest) = rest.split_first_chunk::<4>()?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_len) as usize)?;
    Some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_order_repeats_and_bytes() {
        let headers: Headers = [("X-A", &b"1"[..]), ("x-b", b"\xff"), ("X-a", b"2")].into_iter().collect();
        assert_eq!(headers.all("x-a").collect::<Vec<_>>(), [&b"1"[..], b"2"]);
        assert_eq!(headers.get("x-b"), Some(&b"\xff"[..]));
        assert_eq!(headers.text("x-b"), None);
        assert_eq!(headers.without(|name| name == "x-a").iter().count(), 1);
    }

    #[test]
    fn debug_never_shows_a_value() {
        let headers: Headers = [("authorization", &b"hush"[..])].into_iter().collect();
        assert!(!format!("{headers:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn what_was_encoded_reads_back(fields in proptest::collection::vec(("[a-z-]{1,20}", proptest::collection::vec(any::<u8>(), 0..40)), 0..10)) {
            let headers: Headers = fields.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            let again = Headers::from_encoded(Bytes::copy_from_slice(headers.encoded())).unwrap();
            prop_assert_eq!(again.iter().map(|(n, v)| (n.to_owned(), v.to_vec())).collect::<Vec<_>>(), fields);
        }

        #[test]
        fn foreign_bytes_are_an_error_or_a_list_but_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(headers) = Headers::from_encoded(bytes) {
                prop_assert!(headers.iter().count() < 80);
            }
        }
    }
}
