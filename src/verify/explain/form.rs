//! Forms that were decoded and encoded again on their way.

use super::trial::Bench;

/// The most fields of a form that is written anew.
const MAX_FIELDS: usize = 1_000;

/// The characters beside letters and digits that an encoder leaves as they are, with what it is called.
const ENCODERS: &[(&[u8], &str)] = &[(b"*-._", "browsers"), (b"-._~", "RFC 3986"), (b"-_.!~*'()", "JavaScript"), (b"-_.", "PHP")];

/// The form in another encoding.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    let body = bench.body()?;
    let text = std::str::from_utf8(body).ok().filter(|text| is_form(text))?;
    let rewritten = rewritten(text).into_iter().find(|(text, _)| bench.try_body(text.clone())).map(|(_, what)| what.to_owned());
    let found = rewritten.or_else(|| encoded_anew(bench, text))?;
    Some(format!("it holds for the form {found}: something on the way decodes it and encodes it anew"))
}

/// One line of pairs, as no JSON is.
fn is_form(text: &str) -> bool {
    let text = text.trim_end();
    text.contains('=') && !text.starts_with(['{', '[', '<', '"']) && !text.contains(char::is_whitespace)
}

/// The text as it is, with its escapes in another notation.
fn rewritten(text: &str) -> [(String, &'static str); 7] {
    [
        (text.replace('+', "%20"), "with %20 for +"),
        (text.replace("%20", "+"), "with + for %20"),
        (escapes(text, u8::to_ascii_uppercase), "with its escapes in upper case"),
        (escapes(text, u8::to_ascii_lowercase), "with its escapes in lower case"),
        (escapes(&text.replace('+', "%20"), u8::to_ascii_lowercase), "with %20 for + and its escapes in lower case"),
        (escapes(&text.replace("%20", "+"), u8::to_ascii_lowercase), "with + for %20 and its escapes in lower case"),
        (super::keys::url_decoded(&text.replace('+', "%20")).unwrap_or_default(), "decoded"),
    ]
}

/// The text with the two digits of each escape changed.
fn escapes(text: &str, change: fn(&u8) -> u8) -> String {
    let mut left = 0_u8;
    let changed = text.bytes().map(|byte| {
        let is_digit = left > 0 && byte.is_ascii_hexdigit();
        left = if byte == b'%' { 2 } else { left.saturating_sub(1) };
        if is_digit { change(&byte) } else { byte }
    });
    String::from_utf8(changed.collect()).unwrap_or_default()
}

/// The fields, decoded and encoded anew as various encoders do: what they are called where that holds.
fn encoded_anew(bench: &Bench<'_>, text: &str) -> Option<String> {
    let mut fields: Vec<_> = form_urlencoded::parse(text.as_bytes()).take(MAX_FIELDS + 1).collect();
    if fields.len() > MAX_FIELDS {
        return None;
    }
    for order in ["", " and its fields sorted"] {
        if !order.is_empty() {
            fields.sort();
        }
        for (kept, encoder) in ENCODERS {
            for space in ["+", "%20"] {
                if bench.is_spent() {
                    return None;
                }
                let fields = fields.iter().map(|(name, value)| format!("{}={}", encode(name, kept, space), encode(value, kept, space)));
                if bench.try_body(fields.collect::<Vec<_>>().join("&")) {
                    return Some(format!("as encoded by {encoder}, with {space} for spaces{order}"));
                }
            }
        }
    }
    None
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

fn encode(text: &str, kept: &[u8], space: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b' ' => encoded += space,
            byte if byte.is_ascii_alphanumeric() || kept.contains(&byte) => encoded.push(char::from(byte)),
            byte => {
                encoded.push('%');
                encoded.extend([byte >> 4, byte & 15].map(|digit| char::from(HEX[usize::from(digit)])));
            }
        }
        encoded
    })
}
