//! The URL, where it is signed: scheme, host, port and path as the sender may have used them, in front of a proxy or behind.

use super::text;
use super::trial::Bench;
use crate::domain::RawRequest;
use crate::provider::{Locator, Signature, Template};
use crate::verify::Setup;

/// The most URLs that are tried.
const MAX_URLS: usize = 160;
/// The longest host and the longest path that are shown.
const MAX_SHOWN: usize = 200;
/// The longest URL, and the longest host or path of a header, of which variants are made: they are many.
const MAX_LENGTH: usize = 2_048;

/// A URL in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Address {
    scheme: String,
    /// `user:password@`, or nothing.
    user: String,
    host: String,
    /// `:8443`, or nothing.
    port: String,
    path: String,
    query: String,
}

impl Address {
    fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split('#').next()?.split_once("://")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, authority) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let (host, port) = split_port(authority);
        let [scheme, user, host, port, path, query] = [scheme, user, host, port, path, query].map(str::to_owned);
        Some(Self { scheme, user, host, port, path, query })
    }

    /// What the verifier takes as the URL of a source; the query is the request's.
    fn base(&self) -> String {
        format!("{}://{}{}{}{}", self.scheme, self.user, self.host, self.port, self.path)
    }

    /// Without what may be a credential.
    fn shown(&self) -> String {
        let query = if self.query.is_empty() { "" } else { "?…" };
        let user = if self.user.is_empty() { "" } else { "…@" };
        let (host, path) = (text::clean_up_to(&self.host, MAX_SHOWN), text::clean_up_to(&self.path, MAX_SHOWN));
        format!("{}://{user}{host}{}{path}{query}", text::clean(&self.scheme), text::clean(&self.port))
    }

    /// In how many parts they differ.
    fn distance(&self, other: &Self) -> usize {
        let pairs = [
            self.scheme != other.scheme,
            self.user != other.user,
            self.host != other.host,
            self.port != other.port,
            self.path != other.path,
            self.query != other.query,
        ];
        pairs.into_iter().filter(|differs| *differs).count()
    }
}

/// Host and `:port`; an IPv6 address in brackets keeps its colons.
fn split_port(authority: &str) -> (&str, &str) {
    let colon = authority.rfind(':').filter(|at| !authority[*at..].contains(']'));
    authority.split_at(colon.unwrap_or(authority.len()))
}

/// Another URL than the one that is configured.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    if !bench.is_unproved() || !bench.provider().signatures.iter().any(signs_url) {
        return None;
    }
    let request = bench.request();
    let configured = bench.setup().url.as_deref().and_then(Address::parse);
    let origin = origin(configured.as_ref(), request);
    if origin.base().len() + origin.query.len() + request.path.len() > MAX_LENGTH {
        return None;
    }
    let mut urls = variants(&origin, configured.as_ref(), request);
    urls.sort_by_key(|url| url.distance(&origin));
    let holds = |url: &Address| {
        let setup = Setup { url: Some(url.base()), ..bench.setup().clone() };
        // The path is whole already: nothing may be put behind it.
        bench.try_both(setup, &RawRequest { query: url.query.clone(), subpath: String::new(), ..request.clone() })
    };
    let held = urls.into_iter().take(MAX_URLS).find(holds)?;
    let configured = match &configured {
        Some(_) => format!("where {} is what the configuration makes of it", origin.shown()),
        None => "and none is configured".to_owned(),
    };
    Some(format!("it holds for the URL {}, {configured}: set `url` of the source (or `public_url`) to what the sender has", held.shown()))
}

fn signs_url(signature: &Signature) -> bool {
    let claims = signature.jwt.iter().flat_map(|rule| &rule.claims).flat_map(|(_, templates)| templates);
    let places = signature.signed.locators().into_iter().chain(claims.flat_map(Template::locators));
    places.into_iter().any(|place| matches!(place, Locator::Url | Locator::UrlSha256))
}

/// The URL that the verifier made of the configuration and the request.
fn origin(configured: Option<&Address>, request: &RawRequest) -> Address {
    let host = request.headers.text("host").unwrap_or("localhost");
    let asked = Address::parse(&format!("https://{host}{}", request.path));
    let mut origin = configured.cloned().or(asked).unwrap_or_else(|| Address {
        scheme: "https".into(),
        user: String::new(),
        host: "localhost".into(),
        port: String::new(),
        path: request.path.clone(),
        query: String::new(),
    });
    if !origin.path.ends_with(&request.subpath) {
        origin.path += &request.subpath;
    }
    origin.query.clone_from(&request.query);
    origin
}

/// Every URL that the parts which are known make, but for the one that was tried.
fn variants(origin: &Address, configured: Option<&Address>, request: &RawRequest) -> Vec<Address> {
    let hosts = hosts(origin, request);
    let queries = distinct([origin.query.clone(), String::new(), configured.map(|url| url.query.clone()).unwrap_or_default()]);
    let mut urls = Vec::new();
    for scheme in ["https", "http"] {
        for user in distinct([origin.user.clone(), String::new()]) {
            for (host, port) in &hosts {
                for path in paths(origin, configured, request) {
                    for query in &queries {
                        let [user, host, port, path, query] = [&user, host, port, &path, query].map(String::clone);
                        urls.push(Address { scheme: scheme.into(), user, host, port, path, query });
                    }
                }
            }
        }
    }
    // What is configured was tried already.
    urls.retain(|url| configured.is_none() || url != origin);
    urls
}

/// Hosts with ports: the configured one, and those that the request speaks of. A host that somebody made up is as good a
/// guess as any: it holds only if the sender signed it.
fn hosts(origin: &Address, request: &RawRequest) -> Vec<(String, String)> {
    let www = origin.host.strip_prefix("www.").map_or_else(|| format!("www.{}", origin.host), str::to_owned);
    let said = ["host", "x-forwarded-host", "x-original-host"].into_iter().filter_map(|name| short(request, name));
    let forwarded = short(request, "forwarded").and_then(|text| text.split([';', ',']).find_map(|part| part.trim().strip_prefix("host=")));
    let said = said.chain(forwarded).map(|host| split_port(host.split(',').next().unwrap_or_default().trim().trim_matches('"')));
    let said: Vec<_> = said.filter(|(host, _)| !host.is_empty()).collect();
    let port = short(request, "x-forwarded-port").map(|port| format!(":{}", port.trim())).unwrap_or_default();
    let ports = [origin.port.clone(), String::new(), ":443".into(), ":80".into(), port].into_iter();
    let ports = distinct(ports.chain(said.iter().map(|(_, port)| (*port).to_owned())));
    let hosts = [origin.host.clone(), www].into_iter().chain(said.iter().map(|(host, _)| (*host).to_owned()));
    distinct(hosts).into_iter().flat_map(|host| ports.iter().map(move |port| (host.clone(), port.clone()))).collect()
}

/// Paths: with and without a slash at the end, as the request has it, and as a proxy says that it was.
fn paths(origin: &Address, configured: Option<&Address>, request: &RawRequest) -> Vec<String> {
    let slash = match origin.path.strip_suffix('/') {
        Some(path) => path.to_owned(),
        None => format!("{}/", origin.path),
    };
    let before = ["x-original-url", "x-original-uri", "x-rewrite-url", "x-forwarded-uri", "x-envoy-original-path"];
    let before = before.into_iter().filter_map(|name| short(request, name));
    let before = before.filter_map(|url| Address::parse(url).map(|url| url.path).or_else(|| url.split('?').next().map(str::to_owned)));
    let prefix = short(request, "x-forwarded-prefix").map(|prefix| format!("{}{}", prefix.trim_end_matches('/'), request.path));
    let configured = configured.map(|url| url.path.clone());
    distinct([origin.path.clone(), slash, request.path.clone()].into_iter().chain(configured).chain(prefix).chain(before))
}

/// The text of a header, where it is not too long.
fn short<'a>(request: &'a RawRequest, name: &str) -> Option<&'a str> {
    request.headers.text(name).filter(|text| text.len() <= MAX_LENGTH)
}

fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values.into_iter().fold(Vec::new(), |mut distinct, value| {
        if !distinct.contains(&value) {
            distinct.push(value);
        }
        distinct
    })
}
