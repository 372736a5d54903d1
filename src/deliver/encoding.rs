//! Percent-encoding, for what a header value or a variable cannot hold: it may be any text, and these may not.

/// Every byte that is not visible ASCII, and `%` itself, is encoded: decoding gives the text back, whatever it was, and what
/// needs no encoding stays as it is.
pub(super) fn exact(text: &str) -> String {
    encode(text.as_bytes(), |byte| matches!(byte, b'!'..=b'~') && byte != b'%')
}

/// What the sender wrote as it stands, but for bytes that are neither visible ASCII nor a space, which are encoded: a variable
/// cannot hold a NUL, and line ends would deceive whoever reads a list of variables. Such bytes have no business in these
/// values, and paths and queries bring an encoding of their own, so `%` stays.
pub(super) fn printable(bytes: &[u8]) -> String {
    encode(bytes, |byte| matches!(byte, b' '..=b'~'))
}

fn encode(bytes: &[u8], stays: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        match stays(byte) {
            true => encoded.push(char::from(byte)),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_can_be_printed_stays_as_it_was_written() {
        assert_eq!(printable(b"a/b c%20\0\n\xff"), "a/b c%20%00%0A%FF");
    }

    proptest! {
        #[test]
        fn every_id_is_a_legal_value_and_decodes_to_itself(id in any::<String>()) {
            let encoded = exact(&id);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_graphic()));
            let mut decoded = Vec::new();
            let mut rest = encoded.as_bytes();
            while let Some((&byte, after)) = rest.split_first() {
                rest = after;
                if byte == b'%' {
                    decoded.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                    rest = &rest[2..];
                } else {
                    decoded.push(byte);
                }
            }
            prop_assert_eq!(decoded, id.into_bytes());
        }
    }
}
