//! Which header fields may be kept.

use std::collections::HashSet;

use crate::domain::Headers;

/// Fields that belong to one connection (RFC 9110 §7.6.1), and credentials that any sender may put into a request.
const NEVER_KEPT: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The fields without hop-by-hop ones, those that `Connection` names, and static credentials.
pub(super) fn storable(headers: &Headers, credentials: &[String]) -> Headers {
    let named: HashSet<String> = headers
        .all("connection")
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| !matches!(name.as_str(), "close" | "keep-alive" | ""))
        .collect();
    headers.without(|name| NEVER_KEPT.contains(&name) || credentials.iter().any(|c| c == name) || named.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_hop_by_hop_fields_are_not_kept() {
        let fields = ["content-type", "connection", "x-hop", "authorization", "cookie", "x-gitlab-token", "x-hub-signature-256"];
        let headers: Headers = fields.iter().map(|name| (*name, if *name == "connection" { &b"close, X-Hop"[..] } else { b"v" })).collect();
        let kept = storable(&headers, &["x-gitlab-token".into()]);
        assert_eq!(kept.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["content-type", "x-hub-signature-256"]);
    }
}
