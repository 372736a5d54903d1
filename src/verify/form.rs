//! Form bodies and queries (`application/x-www-form-urlencoded`).

use std::collections::BTreeSet;

use crate::domain::RawRequest;

/// The most fields that are looked at.
const MAX_FIELDS: usize = 1_000;

/// Whether the body is a form, by how it begins: no form starts like JSON, XML or multipart.
///
/// `Content-Type` is not asked. Nobody signs it, so with another one a captured form would lose its ID and come as new.
pub(super) fn is_form(request: &RawRequest) -> bool {
    let body = request.body.trim_ascii_start();
    !body.is_empty() && !body.starts_with(b"--") && !b"{[<\"".contains(&body[0])
}

/// The first field of that name, decoded.
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form).take(MAX_FIELDS).find(|(field, _)| field == name).map(|(_, value)| value.into_owned())
}

/// The fields sorted by name, each name followed by its value; the values of one name distinct and sorted.
///
/// `None` for more fields than are looked at, because what is left out would not be signed, and for fields without any text: an
/// empty form could stand where another was signed as a part of the URL.
pub(super) fn sorted(form: &[u8]) -> Option<String> {
    if fields(form) > MAX_FIELDS {
        return None;
    }
    let fields: BTreeSet<_> = form_urlencoded::parse(form).collect();
    Some(fields.into_iter().fold(String::new(), |text, (name, value)| text + &name + &value)).filter(|text| !text.is_empty())
}

/// All fields, decoded, sorted by name and then by value; `None` for more than are looked at.
pub(super) fn pairs(form: &[u8]) -> Option<Vec<(String, String)>> {
    if fields(form) > MAX_FIELDS {
        return None;
    }
    let mut pairs: Vec<_> = form_urlencoded::parse(form).into_owned().collect();
    pairs.sort_unstable();
    Some(pairs)
}

/// The query without the parameters that `drop` picks by their names, however these are written.
pub(super) fn without(query: &str, drop: impl Fn(&str) -> bool) -> String {
    let is_kept = |pair: &&str| form_urlencoded::parse(pair.as_bytes()).next().is_none_or(|(name, _)| !drop(&name));
    query.split('&').filter(is_kept).collect::<Vec<_>>().join("&")
}

/// How many fields of that name there are.
pub(super) fn count(form: &[u8], name: &str) -> usize {
    form_urlencoded::parse(form).filter(|(field, _)| field == name).count()
}

/// How many fields there are.
pub(super) fn fields(form: &[u8]) -> usize {
    form_urlencoded::parse(form).take(MAX_FIELDS + 1).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_with_too_many_fields_has_no_sorted_text() {
        assert_eq!(sorted(b"b=2&a=1&b=1&b=2").as_deref(), Some("a1b1b2"));
        assert_eq!(sorted(b"&=&="), None);
        assert_eq!(sorted("a=1&".repeat(MAX_FIELDS + 1).as_bytes()), None);
    }

    #[test]
    fn a_body_is_a_form_by_its_beginning_whatever_its_type_says() {
        let request = |body: &'static str| RawRequest {
            method: "POST".into(),
            path: String::new(),
            subpath: String::new(),
            query: String::new(),
            headers: [("content-type", &b"application/json"[..])].into_iter().collect(),
            body: body.into(),
            received_at: crate::domain::Timestamp::from_millis(0),
        };
        assert!(is_form(&request("payload=%7B%7D&a=1")));
        for other in ["", " {\"a\":1}", "[1]", "<xml/>", "--boundary\r\n"] {
            assert!(!is_form(&request(other)), "{other}");
        }
    }

    #[test]
    fn a_parameter_is_left_out_however_its_name_is_written() {
        let without = |query| without(query, |name| name == "token");
        assert_eq!(without("a=%20b&token=x&t%6Fken=y&token&c"), "a=%20b&c");
        assert_eq!(without(""), "");
    }

    #[test]
    fn plus_is_a_space_and_percent_is_decoded() {
        assert_eq!(field(b"a=1&text=a+b%2B%C3%A9", "text").as_deref(), Some("a b+\u{e9}"));
        assert_eq!(field(b"a=1", "b"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_decode_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = field(&bytes, "payload");
        }
    }
}
