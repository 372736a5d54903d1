//! The API's document as tests use it: its operations, and whether a value is what it says.

use std::collections::BTreeMap;

use boon::{Compiler, Schemas};
use serde_json::{Map, Value, json};

use crate::support::Answer;

/// The document that a program serves.
pub(super) struct Document(pub(super) Value);

/// An operation of it.
pub(super) struct Operation<'d> {
    pub(super) method: String,
    pub(super) path: &'d str,
    pub(super) about: &'d Value,
}

impl Operation<'_> {
    pub(super) fn id(&self) -> &str {
        self.about["operationId"].as_str().unwrap()
    }

    /// The names of its parameters in that place.
    pub(super) fn parameters(&self, place: &str) -> Vec<&str> {
        let all = self.about["parameters"].as_array().into_iter().flatten();
        all.filter(|parameter| parameter["in"] == place).map(|parameter| parameter["name"].as_str().unwrap()).collect()
    }
}

impl Document {
    pub(super) fn operations(&self) -> Vec<Operation<'_>> {
        let paths = self.0["paths"].as_object().unwrap();
        let of = |(path, item)| {
            let item: &Map<_, _> = Value::as_object(item).unwrap();
            item.iter().map(move |(method, about)| Operation { method: method.to_uppercase(), path, about })
        };
        paths.iter().map(|(path, item)| (path.as_str(), item)).flat_map(of).collect()
    }

    /// The methods of each path.
    pub(super) fn methods(&self) -> BTreeMap<&str, Vec<String>> {
        let mut methods = BTreeMap::<_, Vec<_>>::new();
        for operation in self.operations() {
            methods.entry(operation.path).or_default().push(operation.method);
        }
        methods
    }

    pub(super) fn named(&self, id: &str) -> Operation<'_> {
        self.operations().into_iter().find(|operation| operation.id() == id).unwrap_or_else(|| panic!("there is no operation {id}"))
    }

    /// Holds an answer of an operation against what is said of it: status, content type, form.
    pub(super) fn hold(&self, id: &str, answer: &Answer) {
        let operation = self.named(id);
        let response = &operation.about["responses"][answer.status.to_string()];
        let response = match response["$ref"].as_str() {
            Some(to) => self.0.pointer(to.trim_start_matches('#')).unwrap(),
            None => response,
        };
        assert!(!response.is_null(), "{id}: {} is not described", answer.status);
        let Some(content) = response["content"].as_object() else {
            assert!(answer.body.is_empty(), "{id}: a body that is not described: {answer:?}");
            return;
        };
        let content_type = answer.header("content-type");
        let described = content.get(content_type).or(content.get("*/*"));
        let described = described.unwrap_or_else(|| panic!("{id}: {content_type} is not described, but {:?}", content.keys()));
        if content_type.ends_with("json") && !content.contains_key("*/*") {
            self.validate(&described["schema"], &answer.json()).unwrap_or_else(|error| panic!("{id}: {error}"));
        }
    }

    /// Whether a value has the form of this schema, and nothing beside it.
    pub(super) fn validate(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let mut components = Map::new();
        for (name, schema) in self.0["components"]["schemas"].as_object().unwrap() {
            components.insert(name.clone(), closed(schema, true));
            components.insert(format!("{name}{PART}"), closed(schema, false));
        }
        let document = json!({ "components": { "schemas": components }, "schema": closed(schema, true) });
        let mut compiler = Compiler::new();
        compiler.enable_format_assertions();
        compiler.add_resource("http://document/", document).unwrap();
        let mut schemas = Schemas::new();
        let index = compiler.compile("http://document/#/schema", &mut schemas).unwrap_or_else(|error| panic!("{error:#}"));
        schemas.validate(value, index).map_err(|error| format!("{error:#}\n{value:#}"))
    }
}

/// Ends the name of a schema that is a part of others, and so must let their fields be.
const PART: &str = "-part";

/// The schema without room for what it does not describe; a part of another leaves that to the whole.
fn closed(schema: &Value, whole: bool) -> Value {
    let Value::Object(fields) = schema else { return schema.clone() };
    let mut fields: Map<_, _> = fields.iter().map(|(key, value)| (key.clone(), closed_field(key, value))).collect();
    if let Some(to) = fields.get("$ref").and_then(Value::as_str).filter(|_| !whole) {
        let to = format!("{to}{PART}");
        fields.insert("$ref".to_owned(), to.into());
    }
    let described = fields.contains_key("properties") || fields.contains_key("allOf");
    if whole && described && !fields.contains_key("additionalProperties") {
        fields.insert("unevaluatedProperties".to_owned(), false.into());
    }
    Value::Object(fields)
}

fn closed_field(key: &str, value: &Value) -> Value {
    match (key, value) {
        ("allOf" | "anyOf", Value::Array(parts)) => parts.iter().map(|part| closed(part, false)).collect(),
        ("oneOf", Value::Array(kinds)) => kinds.iter().map(|kind| closed(kind, true)).collect(),
        ("properties", Value::Object(properties)) => properties.iter().map(|(name, schema)| (name.clone(), closed(schema, true))).collect(),
        ("items" | "additionalProperties", schema) => closed(schema, true),
        _ => value.clone(),
    }
}
