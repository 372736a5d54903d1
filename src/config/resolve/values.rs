//! Values that sources and destinations share. Messages about URLs never repeat them: a URL may carry credentials.

use std::time::Duration;

use url::Url;

use crate::config::Rate;
use crate::config::report::Keys;

/// An http or https URL with a host.
pub(super) fn http_url(keys: &mut Keys<'_>, key: &str, text: &str) -> Option<Url> {
    let url = match Url::parse(text) {
        _ if text.trim().is_empty() => Err("is empty: write a URL such as \"http://127.0.0.1:3000/\"".to_owned()),
        _ if text.contains(char::is_whitespace) => Err("a URL has no spaces".to_owned()),
        Ok(url) if !matches!(url.scheme(), "http" | "https") => Err("must start with http:// or https://".to_owned()),
        Ok(url) if !url.has_host() => Err("needs a host".to_owned()),
        Ok(url) => Ok(url),
        Err(error) => Err(format!("not a URL such as \"http://127.0.0.1:3000/\": {error}")),
    };
    keys.check(key, url)
}

/// A name that stands in URLs, headers and metrics.
pub(super) fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-');
    first && rest && name.len() <= 64
}

/// What to say about a name that is none.
pub(super) const NAME_RULE: &str = "a name is 1 to 64 of a-z, 0-9, _ and -, and starts with a letter or digit";

/// Parses `500/s`, `30/m`, `1000/h`.
pub(super) fn parse_rate(text: &str) -> Result<Rate, &'static str> {
    const RULE: &str = "not a rate: write a whole number from 1 and /s, /m or /h, such as \"500/s\"";
    let (count, unit) = text.split_once('/').ok_or(RULE)?;
    let seconds = match unit.trim() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(RULE),
    };
    let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or(RULE)?;
    Ok(Rate { count, per: Duration::from_secs(seconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_read_as_people_write_them() {
        assert_eq!(parse_rate("500/s"), Ok(Rate { count: 500, per: Duration::from_secs(1) }));
        assert_eq!(parse_rate("30 / m"), Ok(Rate { count: 30, per: Duration::from_secs(60) }));
        assert_eq!(parse_rate("1000/h"), Ok(Rate { count: 1000, per: Duration::from_secs(3600) }));
        for wrong in ["", "500", "0/s", "-1/s", "1.5/s", "5/d", "/s", "99999999999/s"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_rate_that_is_shown_is_one_that_can_be_written() {
        for text in ["50/s", "30/m", "1000/h"] {
            assert_eq!(parse_rate(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_fit_into_urls() {
        for right in ["stripe", "a", "0", "billing-eu_2"] {
            assert!(is_name(right), "{right}");
        }
        for wrong in ["", "-a", "_a", "Stripe", "a.b", "a/b", "ü", &"a".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}
