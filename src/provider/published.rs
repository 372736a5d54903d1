//! Keys that a sender publishes: where they are, and which URL of those that a request names may be believed.

use url::Url;

use super::template::{Part, Template};

/// Where a sender publishes the key that verifies its requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its URL.
    pub url: Template,
    /// The hosts that the URL may lead to; none where the row itself writes the URL.
    pub hosts: Vec<String>,
    /// What the URL's path must look like.
    pub path: Option<String>,
    /// The names, one of which a certificate must have by a chain that this system trusts; none to take what the host gives.
    pub names: Vec<String>,
    /// What is found there.
    pub form: PublishedForm,
}

/// What is found at a published key's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishedForm {
    /// A certificate (PEM), whose key it is, perhaps with its chain.
    Certificate,
    /// A JWK set (RFC 7517).
    JwkSet,
    /// A public key in PEM.
    Pem,
    /// A JSON document with the public key under this pointer.
    Json(String),
}

impl PublishedForm {
    /// Reads a form's name: `certificate`, `jwks`, `pem`, `json:/pointer`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "certificate" => Some(Self::Certificate),
            "jwks" => Some(Self::JwkSet),
            "pem" => Some(Self::Pem),
            _ => text.strip_prefix("json:").filter(|pointer| pointer.starts_with('/')).map(|pointer| Self::Json(pointer.to_owned())),
        }
    }
}

impl Published {
    /// Whether the request names the whole URL.
    pub fn is_named_by_request(&self) -> bool {
        matches!(self.url.parts(), [Part::Value(_)])
    }

    /// Whether this URL may be believed.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub fn check(&self, url: &str) -> Result<(), &'static str> {
        let (text, url) = (url, https(url)?);
        // Each other way to write it would be a name of its own for the same key.
        let is_plain = url.as_str() == text && url.query().is_none() && url.fragment().is_none() && !url.path().contains('%');
        if self.is_named_by_request() && !is_plain {
            return Err("is not written as the sender writes it");
        }
        if !self.hosts.is_empty() && !is_host_of(&url, &self.hosts) {
            return Err("leads to a host that is not the sender's");
        }
        match &self.path {
            Some(pattern) if !matches(pattern, url.path(), |_| true) => Err("has another path than the sender's"),
            _ => Ok(()),
        }
    }
}

/// Whether a URL leads to one of these hosts by `https`.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn check_host(url: &str, hosts: &[String]) -> Result<(), &'static str> {
    match is_host_of(&https(url)?, hosts) {
        true => Ok(()),
        false => Err("leads to a host that is not the sender's"),
    }
}

fn https(url: &str) -> Result<Url, &'static str> {
    let url = Url::parse(url).map_err(|_| "is no URL")?;
    let plain = url.scheme() == "https" && url.port().is_none() && url.username().is_empty() && url.password().is_none();
    if plain { Ok(url) } else { Err("is no plain https URL") }
}

fn is_host_of(url: &Url, hosts: &[String]) -> bool {
    let in_label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let is_of = |host: &str, pattern: &str| match pattern.split_once(REGION) {
        Some((before, after)) => host.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)).is_some_and(is_region),
        None => matches(pattern, host, in_label),
    };
    url.host_str().is_some_and(|host| hosts.iter().any(|pattern| is_of(host, pattern)))
}

/// What stands for a region of AWS in a pattern: not any label, since buckets and services have theirs in the same place.
const REGION: &str = "<region>";

/// Whether this is a region of AWS: `us-west-2`, `us-gov-east-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<_> = label.split('-').collect();
    let Some((number, names)) = parts.split_last() else { return false };
    let is_name = |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase());
    names.len() >= 2 && names.iter().all(is_name) && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is of a pattern in which each `*` stands for one or more bytes that `any` takes.
fn matches(pattern: &str, text: &str, any: impl Fn(u8) -> bool + Copy) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(before) else { return false };
    let most = rest.bytes().take_while(|byte| any(*byte)).count();
    (1..=most).filter(|end| rest.is_char_boundary(*end)).any(|end| matches(after, &rest[end..], any))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(hosts: &[&str], path: Option<&str>) -> Published {
        Published {
            url: Template::parse("{json:/url}").unwrap(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            path: path.map(str::to_owned),
            names: vec![],
            form: PublishedForm::Certificate,
        }
    }

    #[test]
    fn only_the_senders_own_hosts_are_believed() {
        let rule = rule(&["sns.<region>.amazonaws.com", "sns.<region>.amazonaws.com.cn"], Some("*.pem"));
        for right in [
            "https://sns.us-gov-west-1.amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com/a.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/b/c.pem",
        ] {
            assert_eq!(rule.check(right), Ok(()), "{right}");
        }
        for wrong in [
            "http://sns.us-west-2.amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com.evil.test/a.pem",
            "https://evil.test/sns.us-west-2.amazonaws.com/a.pem",
            "https://sns.us-west-2.evil.test.amazonaws.com/a.pem",
            "https://sns..amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com@evil.test/a.pem",
            "https://user@sns.us-west-2.amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com:8443/a.pem",
            "https://sns.us-west-2.amazonaws.com/a.txt",
            // Buckets of that name, which anybody may have.
            "https://sns.s3.amazonaws.com/a.pem",
            "https://sns.s3-us-west-2.amazonaws.com/a.pem",
            "https://sns.s3-accelerate.amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com/a.pem?1",
            "https://sns.us-west-2.amazonaws.com/a.pem#1",
            "HTTPS://sns.us-west-2.amazonaws.com/a.pem",
            "https://SNS.us-west-2.amazonaws.com/a.pem",
            "https://sns.us-west-2.amazonaws.com:443/a.pem",
            "https://sns.us-west-2.amazonaws.com/x/../a.pem",
            "https://sns.us-west-2.amazonaws.com/%61.pem",
            " https://sns.us-west-2.amazonaws.com/a.pem",
            "file:///etc/a.pem",
            "sns.us-west-2.amazonaws.com/a.pem",
            "",
        ] {
            assert!(rule.check(wrong).is_err(), "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_url_or_refused(text in ".{0,80}") {
            let rule = rule(&["*.example.com"], Some("/a/*"));
            if rule.check(&text).is_ok() {
                proptest::prop_assert!(text.to_lowercase().contains(".example.com"));
            }
        }
    }
}
