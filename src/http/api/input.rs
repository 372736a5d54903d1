//! Bodies of JSON that say what is meant.

use std::fmt;
use std::marker::PhantomData;

use actix_web::HttpRequest;
use actix_web::web::Payload;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::params::invalid;
use crate::http::body::{self, Budget, MAX_ORDER, ORDER_TIMEOUT};
use crate::http::problem::Problem;

/// What is written as an object. Left to itself, serde takes an array of the fields' values, too.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A number without a fraction: JSON has one kind of numbers, in which 5.0 is 5.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<f64>::deserialize(deserializer)? else { return Ok(None) };
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    is_whole.then_some(Some(number as u32)).ok_or_else(|| D::Error::custom("not a whole number, or too large"))
}

/// The body as JSON; an empty one says nothing.
pub(super) async fn read<T: DeserializeOwned + Default>(request: &HttpRequest, payload: Payload) -> Result<T, Problem> {
    let body = body::read(request, payload, MAX_ORDER, ORDER_TIMEOUT, &Budget::new(MAX_ORDER)).await.map_err(Problem::new)?;
    match body.trim_ascii() {
        b"" => Ok(T::default()),
        json => serde_json::from_slice::<Object<T>>(json).map(|Object(value)| value).map_err(|error| invalid("body", error)),
    }
}
