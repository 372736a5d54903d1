//! Bodies of several parts (`multipart/form-data`, RFC 7578): one field by its name.

use crate::domain::RawRequest;

/// The most parts that are looked at.
const MAX_PARTS: usize = 100;

/// The content of the only part of that name; `None` for none, for several, and for what is not well made.
pub(super) fn field<'a>(request: &'a RawRequest, name: &str) -> Option<&'a [u8]> {
    let delimiter = format!("--{}", boundary(request.headers.text("content-type")?)?);
    let mut found = None;
    for part in parts(&request.body, delimiter.as_bytes())? {
        let (head, content) = split(part)?;
        if is_named(head, name) && found.replace(content).is_some() {
            return None;
        }
    }
    found
}

/// The boundary that a media type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (essence, parameters) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameter(parameters, "boundary").filter(|boundary| (1..=70).contains(&boundary.len()))
}

/// The value of a parameter, without the quotation marks that it may have.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    parameters.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        let value = value.trim();
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        key.trim().eq_ignore_ascii_case(name).then_some(bare)
    })
}

/// What stands between the delimiters.
fn parts<'a>(body: &'a [u8], delimiter: &[u8]) -> Option<Vec<&'a [u8]>> {
    let mut parts = Vec::new();
    let mut rest = &body[find(body, delimiter)? + delimiter.len()..];
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        // A delimiter stands at the beginning of a line.
        let end = find(part, &[b"\r\n", delimiter].concat())?;
        parts.push(&part[..end]);
        rest = &part[end + 2 + delimiter.len()..];
        if parts.len() > MAX_PARTS {
            return None;
        }
    }
    rest.starts_with(b"--").then_some(parts)
}

/// A part's header fields and its content.
fn split(part: &[u8]) -> Option<(&str, &[u8])> {
    let end = find(part, b"\r\n\r\n")?;
    Some((std::str::from_utf8(&part[..end]).ok()?, &part[end + 4..]))
}

fn is_named(head: &str, name: &str) -> bool {
    head.split("\r\n").any(|line| {
        let Some((field, value)) = line.split_once(':') else { return false };
        let own = value.split_once(';').and_then(|(_, parameters)| parameter(parameters, "name"));
        field.trim().eq_ignore_ascii_case("content-disposition") && own == Some(name)
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Headers, Timestamp};

    fn request(content_type: &str, body: &[u8]) -> RawRequest {
        let headers: Headers = [("content-type", content_type.as_bytes())].into_iter().collect();
        let at = Timestamp::from_millis(0);
        let (method, path) = ("POST".into(), "/hooks/a".into());
        RawRequest { method, path, subpath: String::new(), query: String::new(), headers, body: body.to_vec().into(), received_at: at }
    }

    const BODY: &[u8] = b"--xyz\r\nContent-Disposition: form-data; name=\"other\"\r\n\r\n1\r\n--xyz\r\n\
        content-disposition: form-data; filename=\"a\"; name=\"json\"\r\nContent-Type: application/json\r\n\r\n{\"a\":\r\n1}\r\n--xyz--\r\n";

    #[test]
    fn a_part_is_found_by_its_name() {
        for content_type in ["multipart/form-data; boundary=xyz", "Multipart/Form-Data; charset=utf-8; Boundary=\"xyz\""] {
            assert_eq!(field(&request(content_type, BODY), "json"), Some(&b"{\"a\":\r\n1}"[..]), "{content_type}");
        }
        assert_eq!(field(&request("multipart/form-data; boundary=xyz", BODY), "none"), None);
        for content_type in ["multipart/mixed; boundary=xyz", "multipart/form-data", "multipart/form-data; boundary=abc"] {
            assert_eq!(field(&request(content_type, BODY), "json"), None, "{content_type}");
        }
    }

    #[test]
    fn two_parts_of_one_name_are_none() {
        let body = [&BODY[..BODY.len() - 4], &BODY[2 + 3..]].concat();
        assert_eq!(field(&request("multipart/form-data; boundary=xyz", &body), "json"), None);
    }

    #[test]
    fn a_body_that_does_not_end_has_no_parts() {
        assert_eq!(field(&request("multipart/form-data; boundary=xyz", &BODY[..BODY.len() - 6]), "json"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_split_or_not(body in proptest::collection::vec(proptest::sample::select(&b"-xyz\r\n:;=\"njso"[..]), 0..200)) {
            let _ = field(&request("multipart/form-data; boundary=xyz", &body), "json");
        }
    }
}
