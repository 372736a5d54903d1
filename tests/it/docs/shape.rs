//! Whether an answer is as a page shows it. A page may leave out fields, and rows behind the ones that it shows; a string may be
//! shortened with "…". Numbers and times need only be of their kind.

use serde_json::Value;

/// Where the answer differs from what is documented.
pub(super) fn differences(documented: &Value, actual: &Value, at: &str) -> Vec<String> {
    let differs = |what: &str| vec![format!("{at}: documented {documented}, {what} {actual}")];
    match (documented, actual) {
        (Value::Object(fields), Value::Object(actual)) => {
            let field = |(name, value): (&String, &Value)| match actual.get(name) {
                Some(actual) => differences(value, actual, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name}: documented, and not there")],
            };
            fields.iter().flat_map(field).collect()
        }
        (Value::Array(rows), Value::Array(actual)) if rows.len() <= actual.len() => {
            let pairs = rows.iter().zip(actual).enumerate();
            pairs.flat_map(|(number, (row, actual))| differences(row, actual, &format!("{at}[{number}]"))).collect()
        }
        (Value::String(text), Value::String(actual)) if is_time(text) && is_time(actual) => Vec::new(),
        (Value::String(text), Value::String(actual)) if is_shortened(text, actual) => Vec::new(),
        (Value::Number(_), Value::Number(_)) => Vec::new(),
        (documented, actual) if documented == actual => Vec::new(),
        _ => differs("but it is"),
    }
}

/// `2026-11-24T12:00:00.123Z`
fn is_time(text: &str) -> bool {
    onceward::domain::Timestamp::parse(text).is_ok()
}

fn is_shortened(text: &str, actual: &str) -> bool {
    text.split_once('…').is_some_and(|(begin, end)| actual.starts_with(begin) && actual.ends_with(end))
}

#[test]
fn what_is_left_out_or_shortened_is_no_difference_and_all_else_is() {
    let differ = |documented: &str, actual: &str| {
        let parse = |text| serde_json::from_str::<Value>(text).unwrap();
        differences(&parse(documented), &parse(actual), "").len()
    };
    let actual = r#"{"id": "7", "at": "2026-11-24T12:00:00Z", "rows": [{"n": 1, "text": "abc"}, {"n": 2}], "end": null}"#;
    assert_eq!(differ(r#"{"at": "2020-01-01T00:00:00.5Z", "rows": [{"n": 9, "text": "a…"}], "end": null}"#, actual), 0);
    for wrong in [
        r#"{"id": "8"}"#,
        r#"{"id": 7}"#,
        r#"{"at": "now"}"#,
        r#"{"rows": [{"n": null}]}"#,
        r#"{"rows": [{}, {"text": "abc"}]}"#,
        r#"{"rows": [{}, {}, {}]}"#,
        r#"{"rows": [{"text": "b…"}]}"#,
        r#"{"end": "2020-01-01T00:00:00Z"}"#,
        r#"{"other": 1}"#,
    ] {
        assert_eq!(differ(wrong, actual), 1, "{wrong}");
    }
}
