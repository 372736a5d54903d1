//! Signed content that a template's places alone cannot describe: how some senders put a URL, a form or a JSON document
//! into one order before they sign it. Each function is what one locator stands for.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{form, ijson};
use crate::domain::RawRequest;

/// What JavaScript's `encodeURI` escapes.
const ENCODE_URI: &AsciiSet = &strip(NON_ALPHANUMERIC, b"-_.!~*'();,/?:@&=+$#");
/// What JavaScript's `querystring.escape` escapes.
const ESCAPE: &AsciiSet = &strip(NON_ALPHANUMERIC, b"-_.!~*'()");
/// All but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &strip(NON_ALPHANUMERIC, b"-_.~");

const fn strip(set: &'static AsciiSet, kept: &[u8]) -> AsciiSet {
    let mut left = set.remove(kept[0]);
    let mut at = 1;
    while at < kept.len() {
        left = left.remove(kept[at]);
        at += 1;
    }
    left
}

/// Canonical JSON (RFC 8785) of the body; no text for no body. `None` for what has no canonical form.
pub(super) fn json(body: &[u8]) -> Option<String> {
    if body.is_empty() {
        return Some(String::new());
    }
    let document = ijson::read(body).ok()?;
    serde_json_canonicalizer::to_string(&document).ok()
}

/// The URL with the escapes decoded that HubSpot decodes before it signs.
pub(super) fn url_unescaped(url: &str) -> String {
    const DECODED: &[(&str, &str)] = &[
        ("%3A", ":"),
        ("%2F", "/"),
        ("%3F", "?"),
        ("%40", "@"),
        ("%21", "!"),
        ("%24", "$"),
        ("%27", "'"),
        ("%28", "("),
        ("%29", ")"),
        ("%2A", "*"),
        ("%2C", ","),
        ("%3B", ";"),
    ];
    let mut decoded = String::with_capacity(url.len());
    let mut rest = url;
    while let Some(at) = rest.find('%') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let escape = rest.get(..3).unwrap_or("%");
        let plain = DECODED.iter().find(|(written, _)| *written == escape);
        let (text, length) = plain.map_or(("%", 1), |(_, plain)| (*plain, 3));
        decoded.push_str(text);
        rest = &rest[length..];
    }
    decoded + rest
}

/// The URL without its query; then, as Plivo (V3) has it, the query decoded and sorted, and the sorted fields of the form.
/// `None` without a form: what is no form would not be signed, and with no body a form that was signed could be moved into
/// the query.
pub(super) fn url_form_sorted(url: &str, request: &RawRequest) -> Option<String> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let query: Vec<_> = form::pairs(query.as_bytes())?.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let fields = form::pairs(&request.body).filter(|_| form::is_form(request))?;
    let fields: String = fields.into_iter().map(|(name, value)| name + &value).collect();
    if fields.is_empty() {
        return None;
    }
    let point = if query.is_empty() { "" } else { "." };
    Some(format!("{base}?{}{point}{fields}", query.join("&")))
}

/// Path and query of the URL, escaped once more as Contentful's toolkit does it: the path once, the query twice.
pub(super) fn target_escaped(target: &str) -> String {
    let mut pieces = target.split('?');
    let (path, query) = (pieces.next().unwrap_or_default(), pieces.next().unwrap_or_default());
    let whole = match query {
        "" => path.to_owned(),
        query => format!("{path}?{}", utf8_percent_encode(query, ESCAPE)),
    };
    utf8_percent_encode(&whole, ENCODE_URI).to_string()
}

/// Path and query of an absolute URL.
pub(super) fn target(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    behind.find(['/', '?']).map_or("/", |at| &behind[at..])
}

/// The header fields that the header `list` names, lower case and sorted, as `name:value` with `;` between; `None` where
/// one of them is not there, or comes twice, or one of those that must be listed is not.
pub(super) fn listed_headers(request: &RawRequest, list: &str, must: &[&str]) -> Option<String> {
    let mut fields = BTreeMap::new();
    for name in request.headers.text(list)?.split(',').map(|name| name.trim().to_ascii_lowercase()) {
        let mut values = request.headers.all(&name);
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        drop(values);
        fields.insert(name, std::str::from_utf8(value).ok()?.trim());
    }
    if must.iter().any(|name| !fields.contains_key(*name)) {
        return None;
    }
    Some(fields.iter().map(|(name, value)| format!("{name}:{value}")).collect::<Vec<_>>().join(";"))
}

/// Atlassian's query string hash (qsh): SHA-256 in hex over method, path and sorted query.
pub(super) fn request_digest(method: &str, path: &str, query: &str) -> Option<String> {
    let path = path.strip_suffix('/').unwrap_or(path).replace('&', "%26");
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in form::pairs(query.as_bytes())?.into_iter().filter(|(name, _)| name != "jwt") {
        match fields.last_mut() {
            Some((last, values)) if *last == name => {
                values.push(',');
                values.push_str(&escaped(&value));
            }
            _ => fields.push((name, escaped(&value).into_owned())),
        }
    }
    let query: Vec<_> = fields.iter().map(|(name, values)| format!("{}={values}", escaped(name))).collect();
    let canonical = format!("{}&{slash}{path}&{}", method.to_ascii_uppercase(), query.join("&"));
    Some(hex::encode(Sha256::digest(canonical.as_bytes())))
}

fn escaped(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, RESERVED).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Headers, Timestamp};

    fn request(headers: &[(&str, &[u8])], body: &[u8]) -> RawRequest {
        let headers: Headers = headers.iter().copied().collect();
        let at = Timestamp::from_millis(0);
        let (method, path) = ("POST".into(), "/hooks/a".into());
        RawRequest { method, path, subpath: String::new(), query: String::new(), headers, body: body.to_vec().into(), received_at: at }
    }

    #[test]
    fn json_is_canonical_as_in_rfc_8785() {
        let body = "{\"b\":[1.0,1e21,333333333.33333329,12345678901234567890],\"a\":\"\\u20ac\\/\\u000f\\n\",\"\\u00e9\":null}";
        let expected = "{\"a\":\"\u{20ac}/\\u000f\\n\",\"b\":[1,1e+21,333333333.3333333,12345678901234567000],\"\u{e9}\":null}";
        assert_eq!(json(body.as_bytes()).as_deref(), Some(expected));
        assert_eq!(json(b"").as_deref(), Some(""));
        assert_eq!(json(b"{"), None);
    }

    #[test]
    fn only_the_listed_escapes_of_a_url_are_decoded() {
        let url = "https://h.test/a?u=https%3A%2F%2Fb%20c&n=%253A%&m=%3a%2";
        assert_eq!(url_unescaped(url), "https://h.test/a?u=https://b%20c&n=%253A%&m=%3a%2", "as HubSpot writes them, in upper case");
    }

    #[test]
    fn url_query_and_form_are_sorted_as_plivo_does_it() {
        let form = |body: &[u8]| request(&[("content-type", b"application/x-www-form-urlencoded")], body);
        let cases: &[(&str, &[u8], &str)] = &[
            ("https://h.test/p", b"From=1&Text=%C3%A4+b", "https://h.test/p?From1Text\u{e4} b"),
            ("https://h.test/p?b=2&a=1", b"From=1&To=2", "https://h.test/p?a=1&b=2.From1To2"),
            ("https://h.test/p?b=x%20y&a=%C3%A4&a=A+b&c", b"Z=b&A=&Z=a", "https://h.test/p?a=A b&a=\u{e4}&b=x y&c=.AZaZb"),
        ];
        for (url, body, expected) in cases {
            assert_eq!(url_form_sorted(url, &form(body)).as_deref(), Some(*expected));
        }
        for unsigned in [&b"{\"anything\":1}"[..], b"<x/>", b"", b"&", b"=", b"=&="] {
            assert_eq!(url_form_sorted("https://h.test/p?a=1&b=2.From1To2", &form(unsigned)), None);
        }
    }

    #[test]
    fn a_target_is_escaped_as_contentful_does_it() {
        let cases = [
            ("/hooks/contentful", "/hooks/contentful"),
            ("/hooks/contentful?b=2&a=1", "/hooks/contentful?b%253D2%2526a%253D1"),
            ("/hooks/contentful?b=%20x", "/hooks/contentful?b%253D%252520x"),
            ("/hooks/%C3%A4", "/hooks/%25C3%25A4"),
            ("/hooks/a?", "/hooks/a"),
        ];
        for (from, to) in cases {
            assert_eq!(target_escaped(from), to);
        }
        assert_eq!(target("https://h.test/a?b"), "/a?b");
        assert_eq!(target("https://h.test"), "/");
    }

    #[test]
    fn listed_headers_are_sorted_and_all_there() {
        let request = request(&[("x-list", b"X-B, x-list,x-a"), ("x-a", b" 1 "), ("x-b", b"2")], b"");
        assert_eq!(listed_headers(&request, "x-list", &["x-list", "x-a"]).as_deref(), Some("x-a:1;x-b:2;x-list:X-B, x-list,x-a"));
        assert_eq!(listed_headers(&request, "x-other", &[]), None);
        assert_eq!(listed_headers(&request, "x-list", &["x-time"]), None, "what is not listed is not signed");
        let twice = super::tests::request(&[("x-list", b"x-a"), ("x-a", b"1"), ("x-a", b"2")], b"");
        assert_eq!(listed_headers(&twice, "x-list", &[]), None);
    }

    #[test]
    fn a_request_is_digested_as_atlassian_does_it() {
        let digest = |text: &str| Some(hex::encode(Sha256::digest(text.as_bytes())));
        assert_eq!(request_digest("post", "", ""), digest("POST&/&"));
        assert_eq!(
            request_digest("POST", "/issue-created/", "a=2&a=1&a=10&b=x+y%20z&jwt=abc&%C3%A9=%C3%BC&c=~*!()'&d"),
            digest("POST&/issue-created&a=1,10,2&b=x%20y%20z&c=~%2A%21%28%29%27&d=&%C3%A9=%C3%BC")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_has_a_canonical_form_or_none(text in ".{0,80}") {
            let _ = (json(text.as_bytes()), url_unescaped(&text), target_escaped(&text), target(&text));
            let _ = request_digest("GET", &text, &text);
            let _ = url_form_sorted(&text, &request(&[("content-type", b"application/x-www-form-urlencoded")], text.as_bytes()));
        }
    }
}
