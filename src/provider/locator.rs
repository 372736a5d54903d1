//! Where a value is found in a request.

/// A place in a request. Written `header:NAME`, `json:/pointer`, `form:NAME`, `query:NAME`, `signature:NAME`,
/// `param:NAME`, or one of the words of `Locator::parse`: `body`, `document`, `url` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Locator {
    /// A header field, by its lower-case name.
    Header(String),
    /// A value of the JSON document, by its pointer (RFC 6901).
    Json(String),
    /// A field of a form body.
    Form(String),
    /// A parameter of the query.
    Query(String),
    /// An item of the signature header's list.
    SignatureItem(String),
    /// A value that the source configures.
    Param(String),
    /// The raw body.
    Body,
    /// The JSON document: the raw body, or the decoded form field that holds it.
    Document,
    /// The timestamp as it was sent.
    Timestamp,
    /// The configured URL.
    Url,
    /// The method.
    Method,
    /// The path as sent.
    Path,
    /// The query as sent, without `?`.
    QueryString,
    /// `sha256:` and the hex digest of the raw body.
    BodyDigest,
    /// When the request arrived, with the beginning of its body's digest: for senders whose events nothing tells apart.
    Arrival,
    /// The hex digest of the raw body by SHA-256.
    BodySha256,
    /// The base64 digest of the raw body by SHA-256.
    BodySha256Base64,
    /// The URL-safe base64 digest of the raw body by SHA-256, without padding.
    BodySha256Base64Url,
    /// The hex digest of the URL by SHA-256.
    UrlSha256,
    /// A claim of the token that is the signature.
    Claim(String),
    /// The secret itself, in content that is hashed without a key.
    Secret,
    /// The fields of a form body, decoded, sorted by name, each name followed by its value; values of one name distinct
    /// and sorted.
    FormSorted,
    /// The HMAC-SHA256 of what stands there under the source's first secret, in hex.
    HmacHex(Box<Self>),
    /// The same in base64.
    HmacBase64(Box<Self>),
    /// What stands there as a string of JSON, in its quotation marks.
    JsonString(Box<Self>),
    /// The CRC-32 of the raw body, in decimal.
    BodyCrc32,
    /// The body in canonical JSON (RFC 8785); nothing for no body.
    CanonicalJson,
    /// The URL with the escapes of reserved characters decoded, without those that would change its meaning.
    UrlUnescaped,
    /// The URL with its query decoded and sorted, then the fields of the form, sorted.
    UrlFormSorted,
    /// Path and query, escaped once more.
    TargetEscaped,
    /// The digest of method, path and sorted query that Atlassian calls qsh.
    RequestDigest,
    /// The same with what follows the configured URL as the path.
    SubpathDigest,
    /// The header fields that the header of that name lists, sorted.
    ListedHeaders(String),
}

/// Whether a pointer has a `*`, which stands for any item of an array.
pub(crate) fn is_wild(pointer: &str) -> bool {
    pointer.split('/').any(|token| token == "*")
}

/// A place that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no place in a request: write header:NAME, json:/pointer, form:NAME, query:NAME, signature:NAME, param:NAME or one of {1}"
)]
pub struct LocatorError(String, String);

impl Locator {
    const WORDS: &[(&str, Self)] = &[
        ("body", Self::Body),
        ("document", Self::Document),
        ("timestamp", Self::Timestamp),
        ("url", Self::Url),
        ("method", Self::Method),
        ("path", Self::Path),
        ("query", Self::QueryString),
        ("sha256", Self::BodyDigest),
        ("arrival", Self::Arrival),
        ("body_sha256", Self::BodySha256),
        ("body_sha256_base64", Self::BodySha256Base64),
        ("body_sha256_base64url", Self::BodySha256Base64Url),
        ("url_sha256", Self::UrlSha256),
        ("secret", Self::Secret),
        ("form_sorted", Self::FormSorted),
        ("body_crc32", Self::BodyCrc32),
        ("canonical_json", Self::CanonicalJson),
        ("url_unescaped", Self::UrlUnescaped),
        ("url_form_sorted", Self::UrlFormSorted),
        ("target_escaped", Self::TargetEscaped),
        ("request_digest", Self::RequestDigest),
        ("subpath_digest", Self::SubpathDigest),
    ];

    /// Parses a place.
    ///
    /// # Errors
    /// [`LocatorError`] when the text names none.
    pub fn parse(text: &str) -> Result<Self, LocatorError> {
        if let Some((_, word)) = Self::WORDS.iter().find(|(word, _)| *word == text) {
            return Ok(word.clone());
        }
        match text.split_once(':') {
            Some(("json", pointer)) if pointer.is_empty() || pointer.starts_with('/') => Ok(Self::Json(pointer.to_owned())),
            Some(("header", name)) if !name.is_empty() => Ok(Self::Header(name.to_ascii_lowercase())),
            Some(("form", name)) if !name.is_empty() => Ok(Self::Form(name.to_owned())),
            Some(("query", name)) if !name.is_empty() => Ok(Self::Query(name.to_owned())),
            Some(("signature", name)) if !name.is_empty() => Ok(Self::SignatureItem(name.to_owned())),
            Some(("param", name)) if !name.is_empty() => Ok(Self::Param(name.to_owned())),
            Some(("claim", name)) if !name.is_empty() => Ok(Self::Claim(name.to_owned())),
            Some(("headers_listed", name)) if !name.is_empty() => Ok(Self::ListedHeaders(name.to_ascii_lowercase())),
            Some(("hmac_hex", inner)) => Ok(Self::HmacHex(Box::new(Self::parse(inner)?))),
            Some(("hmac_base64", inner)) => Ok(Self::HmacBase64(Box::new(Self::parse(inner)?))),
            Some(("json_string", inner)) => Ok(Self::JsonString(Box::new(Self::parse(inner)?))),
            _ => {
                let words: Vec<_> = Self::WORDS.iter().map(|(word, _)| *word).collect();
                Err(LocatorError(text.to_owned(), words.join(", ")))
            }
        }
    }

    /// Whether it is found in the URL that was given to the sender.
    pub fn needs_url(&self) -> bool {
        match self {
            Self::Url | Self::UrlSha256 | Self::UrlUnescaped | Self::UrlFormSorted | Self::RequestDigest | Self::SubpathDigest => true,
            Self::HmacHex(inner) | Self::HmacBase64(inner) | Self::JsonString(inner) => inner.needs_url(),
            _ => false,
        }
    }

    /// Whether it is found in the JSON document.
    pub fn json_pointer(&self) -> Option<&str> {
        match self {
            Self::Json(pointer) => Some(pointer),
            Self::HmacHex(inner) | Self::HmacBase64(inner) | Self::JsonString(inner) => inner.json_pointer(),
            _ => None,
        }
    }
}

impl std::fmt::Display for Locator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Json(pointer) => write!(f, "JSON value {pointer}"),
            Self::Form(name) => write!(f, "form field {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
            Self::SignatureItem(name) => write!(f, "item {name} of the signature header"),
            Self::Param(name) => write!(f, "parameter {name}"),
            Self::Body => f.write_str("body"),
            Self::Document => f.write_str("JSON document"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Url => f.write_str("URL"),
            Self::Method => f.write_str("method"),
            Self::Path => f.write_str("path"),
            Self::QueryString => f.write_str("query"),
            Self::UrlSha256 => f.write_str("SHA-256 of the URL"),
            Self::Claim(name) => write!(f, "claim {name}"),
            Self::BodyDigest | Self::BodySha256 | Self::BodySha256Base64 | Self::BodySha256Base64Url => f.write_str("SHA-256 of the body"),
            Self::Arrival => f.write_str("time of arrival"),
            Self::Secret => f.write_str("secret"),
            Self::FormSorted => f.write_str("sorted form"),
            Self::HmacHex(inner) | Self::HmacBase64(inner) => write!(f, "HMAC of the {inner}"),
            Self::JsonString(inner) => inner.fmt(f),
            Self::BodyCrc32 => f.write_str("CRC-32 of the body"),
            Self::CanonicalJson => f.write_str("body as JSON"),
            Self::UrlUnescaped => f.write_str("URL"),
            Self::UrlFormSorted => f.write_str("URL and form"),
            Self::TargetEscaped => f.write_str("path and query"),
            Self::RequestDigest | Self::SubpathDigest => f.write_str("digest of the request"),
            Self::ListedHeaders(name) => write!(f, "header fields that {name} lists"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_parse_and_other_text_is_explained() {
        assert_eq!(Locator::parse("header:X-Id"), Ok(Locator::Header("x-id".into())));
        assert_eq!(Locator::parse("json:/a/b"), Ok(Locator::Json("/a/b".into())));
        assert_eq!(Locator::parse("body"), Ok(Locator::Body));
        for wrong in ["", "header:", "json:a", "cookie:x", "Body"] {
            let error = Locator::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("header:NAME"), "{error}");
        }
    }
}
