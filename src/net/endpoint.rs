//! Where a request goes, read once.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

use super::NetError;

/// A URL of `http` or `https`, in the form in which it is sent. User and password in it become an `Authorization` header.
#[derive(Clone)]
pub struct Endpoint {
    pub(super) uri: Uri,
    pub(super) authorization: Option<HeaderValue>,
}

/// Shows the host alone: user, password, path and query may be secrets.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Endpoint").field(&self.uri.host()).finish()
    }
}

impl TryFrom<&Url> for Endpoint {
    type Error = NetError;

    /// # Errors
    /// [`NetError::Unsendable`] for another scheme, and for what is too long.
    fn try_from(url: &Url) -> Result<Self, NetError> {
        let unsendable = NetError::Unsendable("its URL");
        if !matches!(url.scheme(), "http" | "https") {
            return Err(unsendable);
        }
        if url.username().is_empty() && url.password().is_none() {
            let uri = Uri::try_from(url.as_str()).map_err(|_| unsendable)?;
            return Ok(Self { uri, authorization: None });
        }
        let authorization = basic(url.username(), url.password().unwrap_or_default());
        let mut bare = url.clone();
        if bare.set_username("").and_then(|()| bare.set_password(None)).is_err() {
            return Err(unsendable);
        }
        let uri = Uri::try_from(bare.as_str()).map_err(|_| unsendable)?;
        Ok(Self { uri, authorization: Some(authorization) })
    }
}

/// `Basic` of what a URL holds percent-encoded.
fn basic(user: &str, password: &str) -> HeaderValue {
    let mut pair: Vec<u8> = percent_decode_str(user).collect();
    pair.push(b':');
    pair.extend(percent_decode_str(password));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))).expect("Base64 is ASCII");
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, NetError> {
        Endpoint::try_from(&url.parse::<Url>().unwrap())
    }

    #[test]
    fn user_and_password_leave_the_url_and_become_a_header() {
        let cases = [
            ("http://h/in?a=1#part", "http://h/in?a=1", None),
            ("http://user:pass@h:81/", "http://h:81/", Some("Basic dXNlcjpwYXNz")),
            ("https://user@h/", "https://h/", Some("Basic dXNlcjo=")),
            ("http://:%70ass%3A@h/", "http://h/", Some("Basic OnBhc3M6")),
        ];
        for (url, uri, authorization) in cases {
            let found = endpoint(url).unwrap();
            assert_eq!(found.uri.to_string(), uri, "{url}");
            assert_eq!(found.authorization.as_ref().map(|value| value.to_str().unwrap()), authorization, "{url}");
            assert!(!format!("{found:?}").contains("pass"));
        }
    }

    #[test]
    fn another_scheme_and_a_url_of_endless_length_have_no_form() {
        for url in ["ftp://h/", "file:///etc/hosts", &format!("http://h/{}", "a".repeat(70_000))] {
            assert_eq!(endpoint(url).unwrap_err(), NetError::Unsendable("its URL"));
        }
    }

    #[test]
    fn whatever_characters_a_url_may_hold_it_can_be_sent() {
        let all: String = ('\u{20}'..'\u{ff}').collect();
        let mut url: Url = "http://h/".parse().unwrap();
        url.set_path(&all);
        url.set_query(Some(&all));
        assert!(Endpoint::try_from(&url).is_ok());
    }
}
