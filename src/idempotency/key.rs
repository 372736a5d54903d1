//! The key as clients write it: a string of structured fields (RFC 9651), or the same without its quotes.

/// The longest key, in bytes.
pub const MAX_KEY: usize = 255;

/// A key: printable ASCII, neither empty nor longer than [`MAX_KEY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

/// What is wrong with a key, in words for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing in it.
    #[error("is empty")]
    Empty,
    /// Too much in it.
    #[error("is longer than {MAX_KEY} bytes")]
    TooLong,
    /// The field came twice.
    #[error("is given more than once")]
    Twice,
    /// It is no key.
    #[error("is neither a quoted string nor printable ASCII")]
    Malformed,
}

impl Key {
    /// Reads the values of the field; `None` when it did not come.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, KeyError> {
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::parse(value).map(Some),
            (Some(_), Some(_)) => Err(KeyError::Twice),
        }
    }

    /// With and without quotes it is the same key.
    fn parse(value: &[u8]) -> Result<Self, KeyError> {
        let text = std::str::from_utf8(value).map_err(|_| KeyError::Malformed)?.trim_matches([' ', '\t']);
        let key = match text.strip_prefix('"') {
            Some(rest) => unquoted(rest).ok_or(KeyError::Malformed)?,
            None => text.to_owned(),
        };
        match key.len() {
            0 => Err(KeyError::Empty),
            1..=MAX_KEY if key.bytes().all(is_printable) => Ok(Self(key)),
            1..=MAX_KEY => Err(KeyError::Malformed),
            _ => Err(KeyError::TooLong),
        }
    }

    /// Without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What stands before the closing quote, which must be the end; only quotes and backslashes are escaped.
fn unquoted(rest: &str) -> Option<String> {
    let mut key = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next()? {
            '"' => break,
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    characters.next().is_none().then_some(key)
}

fn is_printable(byte: u8) -> bool {
    (b' '..=b'~').contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Result<Option<String>, KeyError> {
        Key::read(values.iter().map(|value| value.as_bytes())).map(|key| key.map(|key| key.0))
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        let uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        for (written, key) in [
            (uuid.to_owned(), uuid),
            (format!("\"{uuid}\""), uuid),
            (format!(" \"{uuid}\"\t"), uuid),
            (r#""a \"b\" \\c""#.to_owned(), r#"a "b" \c"#),
            (r"a\b, c".to_owned(), r"a\b, c"),
            ("k".repeat(MAX_KEY), &"k".repeat(MAX_KEY)),
            (format!("\"{}\"", r"\\".repeat(MAX_KEY)), &r"\".repeat(MAX_KEY)),
        ] {
            assert_eq!(read(&[&written]), Ok(Some(key.to_owned())), "{written}");
        }
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn what_is_no_key_says_why() {
        for empty in ["", "  ", "\"\""] {
            assert_eq!(read(&[empty]), Err(KeyError::Empty), "{empty:?}");
        }
        for long in [&"k".repeat(MAX_KEY + 1), &format!("\"{}\"", "k".repeat(MAX_KEY + 1))] {
            assert_eq!(read(&[long]), Err(KeyError::TooLong));
        }
        for malformed in ["\"", "\"a", "\"a\"b", "\"a\\n\"", "\"a\\", "\"ä\"", "ä", "a\tb", "\"a\tb\"", "\"a\";p=1"] {
            assert_eq!(read(&[malformed]), Err(KeyError::Malformed), "{malformed:?}");
        }
        assert_eq!(read(&["a", "a"]), Err(KeyError::Twice));
        assert_eq!(Key::read([&b"\xff"[..]].into_iter()), Err(KeyError::Malformed));
    }

    proptest! {
        #[test]
        fn every_printable_key_comes_back_out_of_its_quotes(key in "[ -~]{1,255}") {
            let quoted = format!("\"{}\"", key.replace('\\', r"\\").replace('"', "\\\""));
            prop_assert_eq!(read(&[&quoted]), Ok(Some(key)));
        }

        #[test]
        fn whatever_comes_is_read_or_refused(value in "\"?[\"\\\\ -~\t]{0,12}[ -~]{0,250}\"?") {
            crate::fuzzing::idempotency_key(value.as_bytes());
        }
    }
}
