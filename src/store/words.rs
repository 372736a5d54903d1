//! The words of an event, and of a question for them. A word is a run of letters and digits, in lower case. Both sides are cut
//! up here, so that they agree whatever keeps them; an index that was built by other rules has to be built anew, see [`RULES`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The rules below, as a number that changes with them.
pub(super) const RULES: i64 = 1;

/// How much of an event's text is cut up, in bytes: what lies behind cannot be found.
const MOST_TEXT: usize = 64 << 10;
/// How many characters of a word count.
const LONGEST_WORD: usize = 64;
/// How many characters a question may have.
pub const LONGEST_SOUGHT: usize = 256;
/// The fewest characters before a `*`.
const SHORTEST_PREFIX: usize = 3;

/// An event's texts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Texts<'a> {
    pub(super) event_id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) content_type: Option<&'a str>,
    pub(super) body: &'a [u8],
}

impl Texts<'_> {
    /// Their words, a space behind each; one may stand there several times. Of JSON the names and values, of a form
    /// what it means, of anything else whatever looks like text.
    pub(super) fn words(&self) -> String {
        let mut words = Words { text: String::new(), left: MOST_TEXT };
        words.add(self.event_id);
        words.add(self.event_type);
        let kind = self.content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            for (name, value) in form_urlencoded::parse(self.body) {
                words.add(&name);
                words.add(&value);
            }
        } else if !words.add_json(self.body) {
            words.add(&beginning(self.body, MOST_TEXT));
        }
        words.text
    }
}

/// As text, whatever it is.
fn beginning(bytes: &[u8], most: usize) -> Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(most)])
}

struct Words {
    text: String,
    /// How many bytes are still cut up.
    left: usize,
}

impl Words {
    fn add(&mut self, text: &str) {
        let text = &text[..text.floor_char_boundary(self.left)];
        self.left -= text.len();
        for word in cut(text) {
            push(&mut self.text, word);
            self.text.push(' ');
        }
    }

    /// Whether it is JSON, as far as it is looked at.
    fn add_json(&mut self, body: &[u8]) -> bool {
        let before = (self.text.len(), self.left);
        let mut json = serde_json::Deserializer::from_slice(body);
        let is_json = self.deserialize(&mut json).and_then(|()| json.end()).is_ok() || self.left == 0;
        if !is_json {
            self.text.truncate(before.0);
            self.left = before.1;
        }
        is_json
    }
}

/// The words of a text, not yet in lower case.
fn cut(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty())
}

fn push(text: &mut String, word: &str) {
    let start = text.len();
    text.push_str(word.char_indices().nth(LONGEST_WORD).map_or(word, |(end, _)| &word[..end]));
    if text[start..].is_ascii() {
        text[start..].make_ascii_lowercase();
    } else {
        let lower: String = text[start..].chars().flat_map(char::to_lowercase).collect();
        text.replace_range(start.., &lower);
    }
}

/// Goes through a value of JSON without keeping it.
impl<'de> DeserializeSeed<'de> for &mut Words {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.left == 0 {
            return Err(D::Error::custom("enough"));
        }
        // Also what has no text costs time.
        self.left -= 1;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Words {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.add(&number.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.add(&number.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.add(&number.to_string());
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.add(text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(&mut *self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while members.next_key_seed(&mut *self)?.is_some() {
            members.next_value_seed(&mut *self)?;
        }
        Ok(())
    }
}

/// What is looked for: every one of these words, in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sought {
    /// The text that was asked for.
    text: String,
    words: Vec<SoughtWord>,
}

/// A word, or how words begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SoughtWord {
    /// In lower case.
    pub(super) word: String,
    /// Whether others that begin so will do, too.
    pub(super) is_prefix: bool,
}

/// A text is too long to be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at most {LONGEST_SOUGHT} characters")]
pub struct SoughtError;

impl Sought {
    /// Takes a text apart. A `*` behind at least three letters or digits stands for any end of their word. A
    /// text without words is in no event.
    ///
    /// # Errors
    /// [`SoughtError`].
    pub fn parse(text: &str) -> Result<Self, SoughtError> {
        if text.chars().count() > LONGEST_SOUGHT {
            return Err(SoughtError);
        }
        let mut words: Vec<SoughtWord> = Vec::new();
        for term in text.split_whitespace() {
            let mut cut = cut(term).peekable();
            while let Some(word) = cut.next() {
                let is_last = cut.peek().is_none();
                let is_prefix = is_last && term.ends_with('*') && word.chars().count() >= SHORTEST_PREFIX;
                let mut lower = String::new();
                push(&mut lower, word);
                let sought = SoughtWord { word: lower, is_prefix };
                if !words.contains(&sought) {
                    words.push(sought);
                }
            }
        }
        Ok(Self { text: text.to_owned(), words })
    }

    /// As it was asked for.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is looked for.
    pub(super) fn words(&self) -> &[SoughtWord] {
        &self.words
    }

    /// Whether any of it is a beginning.
    pub(super) fn has_prefix(&self) -> bool {
        self.words.iter().any(|sought| sought.is_prefix)
    }

    /// Whether all of it is there, of these [words](Texts::words).
    pub(super) fn is_in(&self, words: &str) -> bool {
        let is_there = |sought: &SoughtWord| {
            let is_it = |word: &str| if sought.is_prefix { word.starts_with(&sought.word) } else { word == sought.word };
            words.split(' ').any(is_it)
        };
        !self.words.is_empty() && self.words.iter().all(is_there)
    }
}

/// Whatever bytes come: the words are words, within their bounds, and each is found.
///
/// # Panics
/// When that is not so.
pub fn fuzz(bytes: &[u8]) {
    let form = Some("application/x-www-form-urlencoded");
    for content_type in [None, form] {
        let words = Texts { event_id: "evt_1", event_type: "a.b", content_type, body: bytes }.words();
        assert!(words.starts_with("evt 1 a b "));
        // A character may become three in lower case, and each stands for a byte at least.
        assert!(words.len() <= 12 * MOST_TEXT);
        for word in words.split_terminator(' ') {
            assert!(!word.is_empty() && word.chars().count() <= 3 * LONGEST_WORD);
            assert!(!word.bytes().any(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric() || byte.is_ascii_uppercase()));
        }
        for word in words.split_terminator(' ').take(50) {
            // Some letters have a lower case that is more than letters.
            if let Ok(sought) = Sought::parse(word)
                && word.chars().all(char::is_alphanumeric)
                && word.chars().count() <= LONGEST_WORD
            {
                assert!(sought.is_in(&words), "{word:?}");
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(Sought::parse(text).map_or(0, |sought| sought.words().len()) <= LONGEST_SOUGHT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(content_type: &str, body: &str) -> String {
        Texts { event_id: "", event_type: "", content_type: Some(content_type), body: body.as_bytes() }.words()
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_in_lower_case() {
        let texts = Texts { event_id: "evt_1PQ", event_type: "invoice.paid", content_type: None, body: b"" };
        assert_eq!(texts.words(), "evt 1pq invoice paid ");
        assert_eq!(words("text/plain", "Tab\tund M\u{dc}LLER@example.com!"), "tab und m\u{fc}ller example com ");
    }

    #[test]
    fn json_is_read_for_what_it_means() {
        let json = r#"{"name":"a\nb \u00fcber","n":[1,-2,3.5,true,null],"sub":{"x-y":"z"}}"#;
        assert_eq!(words("application/json", json), "name a b \u{fc}ber n 1 2 3 5 sub x y z ");
        assert_eq!(words("application/json", "{\"a\":\"b\\nc\""), "a b nc ", "what is none is text");
        assert_eq!(words("application/json", "{} trailing"), "trailing ");
    }

    #[test]
    fn a_form_is_read_for_what_it_means() {
        assert_eq!(
            words("application/x-www-form-urlencoded; charset=utf-8", "From=%2B49&Body=gr%C3%BC%C3%9F+dich"),
            "from 49 body gr\u{fc}\u{df} dich "
        );
    }

    #[test]
    fn what_lies_far_behind_is_left_out() {
        let far = format!("[{}\"near\",\"{}\",\"far\"]", "0,".repeat(10), "a ".repeat(MOST_TEXT));
        let found = words("application/json", &far);
        assert!(found.contains("near ") && !found.contains("far ") && found.len() <= MOST_TEXT + 99);
        assert!(words("application/json", &"[".repeat(1 << 20)).is_empty(), "also where it is deep");
        assert!(!words("application/json", &format!("[{}\"far\"]", "null,[],".repeat(MOST_TEXT))).contains("far"));
    }

    #[test]
    fn all_that_is_sought_must_be_there() {
        let there = words("application/json", r#"{"email":"alice@example.com","amount":1999}"#);
        for (sought, found) in [
            ("alice@example.com", true),
            ("ALICE 1999", true),
            ("exam*", true),
            ("exam", false),
            ("alice bob", false),
            ("1999 amount", true),
            ("199*", true),
        ] {
            assert_eq!(Sought::parse(sought).unwrap().is_in(&there), found, "{sought}");
        }
    }

    #[test]
    fn what_has_no_words_is_nowhere_and_what_is_long_is_refused() {
        let nothing = Sought::parse(" -- ").unwrap();
        assert!(nothing.words().is_empty() && !nothing.is_in("a b "));
        assert!(!Sought::parse("ab*").unwrap().is_in("abc "), "too short to stand for others");
        assert_eq!(Sought::parse(&"x ".repeat(129)), Err(SoughtError));
        assert_eq!(Sought::parse("a a A").unwrap().words().len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_have_words(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            fuzz(&bytes);
        }

        #[test]
        fn any_text_has_words(text in "\\PC{0,200}") {
            fuzz(text.as_bytes());
            fuzz(serde_json::Value::from(text).to_string().as_bytes());
        }
    }
}
