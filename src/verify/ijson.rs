//! JSON in which no name comes twice in an object (I-JSON, RFC 7493), as canonical forms demand: else two readers could find
//! two documents in it. Numbers are doubles there, and a larger one is signed as the double nearest to it. Bounded in how much
//! of it is built, because it is read before it is proved.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The most values of a document.
const MAX_VALUES: usize = 100_000;

/// Reads a document.
///
/// # Errors
/// What it is not.
pub(super) fn read(document: &[u8]) -> Result<Value, serde_json::Error> {
    let mut left = MAX_VALUES;
    let mut deserializer = serde_json::Deserializer::from_slice(document);
    let value = Reader { left: &mut left }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

struct Reader<'a> {
    /// How many values may still be built.
    left: &'a mut usize,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("it has too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            let value = access.next_value_seed(Reader { left: &mut *self.left })?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name comes twice"));
            }
        }
        Ok(Value::Object(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(Reader { left: &mut *self.left })? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Number::from_f64(number).map(Value::Number).ok_or_else(|| E::custom("a number is none"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(truth.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for wrong in ["{\"a\":1,\"a\":2}", "[{\"b\":{\"a\":1,\"\\u0061\":1}}]", "{} {}", "1e999", ""] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for right in ["{\"a\":[1,{\"a\":null}],\"b\":-1.5e3}", "1718000000123456789", "\"\\u00e9\"", "[]"] {
            assert_eq!(read(right.as_bytes()).unwrap(), serde_json::from_str::<Value>(right).unwrap());
        }
    }

    #[test]
    fn a_body_of_millions_of_values_is_not_built() {
        let many = format!("[{}0]", "{\"\":0},".repeat(MAX_VALUES));
        assert!(read(many.as_bytes()).unwrap_err().to_string().contains("too many"));
        assert!(read("[".repeat(100_000).as_bytes()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_read_is_what_any_reader_reads(text in "[\\[\\]{}\",:0-9a-c.e\\\\ -]{0,60}") {
            if let Ok(value) = read(text.as_bytes()) {
                proptest::prop_assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            }
        }
    }
}
