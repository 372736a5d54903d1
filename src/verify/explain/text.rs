//! Text of others in our sentences: made harmless, cut, and free of secrets.

use secrecy::{ExposeSecret as _, SecretString};

/// The most names in one list.
const MAX_NAMES: usize = 8;
/// The longest name that is shown.
const MAX_NAME: usize = 60;
/// Shorter secrets are not looked for: they stand in many a word, and are no secrets.
const SHORTEST_SECRET: usize = 6;

/// Text from outside: printable ASCII alone, and not much of it.
pub(super) fn clean(text: &str) -> String {
    clean_up_to(text, MAX_NAME)
}

/// [`clean`], with a length of its own. What is longer is counted and not cut: half of a secret would not be recognised as one.
pub(super) fn clean_up_to(text: &str, most: usize) -> String {
    match text.chars().nth(most) {
        None => text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect(),
        Some(_) => format!("({} characters)", text.chars().count()),
    }
}

/// A list of names from outside: `a, b and 3 more`.
pub(super) fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let shown: Vec<_> = names.iter().take(MAX_NAMES).map(|name| clean(name)).collect();
    let more = names.len().saturating_sub(MAX_NAMES);
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The text with every secret that stands in it replaced, in upper or lower case: header names are lower-cased.
pub(super) fn without_secrets<'a>(mut text: String, secrets: impl Iterator<Item = &'a SecretString>) -> String {
    for secret in secrets {
        let whole = secret.expose_secret().trim();
        let bare = whole.split_once('_').map_or(whole, |(_, rest)| rest);
        for part in [whole, bare] {
            if part.len() >= SHORTEST_SECRET {
                text = without(text, &part.to_ascii_lowercase());
            }
        }
    }
    text
}

/// The text without this part of it, which is in lower case.
fn without(mut text: String, part: &str) -> String {
    while let Some(at) = text.to_ascii_lowercase().find(part) {
        text.replace_range(at..at + part.len(), "…");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_harmless_and_short() {
        assert_eq!(clean("a\u{1b}[2J\r\nb\u{202e}é"), "a?[2J??b??");
        assert_eq!(clean(&"x".repeat(MAX_NAME)), "x".repeat(MAX_NAME));
        assert_eq!(clean(&"é".repeat(MAX_NAME + 1)), "(61 characters)");
        assert_eq!(names(["a"; 10]), "a, a, a, a, a, a, a, a and 2 more");
    }

    #[test]
    fn a_secret_is_taken_out_wherever_it_stands_and_short_ones_are_not_looked_for() {
        let secrets = ["whsec_abcdefgh".to_owned().into(), "sig".to_owned().into()];
        let text = "a signature for https://h/AbcdEfgh/whsec_abcdefgh".to_owned();
        assert_eq!(without_secrets(text, secrets.iter()), "a signature for https://h/…/…");
    }
}
