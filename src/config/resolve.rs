//! From the file as written to what the program runs by. Whatever is wrong goes into the report, and the default stands
//! in for it, so that one run finds everything.

mod admin;
mod destinations;
mod policy;
mod providers;
mod sources;
mod targets;
mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::file::{self, File};
use super::report::{Keys, Report, print_size};
use super::{Alerts, Config, ConfigError, Database, Limits, Rate, Retention, Tls};

const DAY: Duration = Duration::from_secs(86_400);
const MIB: usize = 1 << 20;
/// How long headers, and then the body, may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);
/// How long a connection without a request is kept: longer than the 60 s of common proxies, so that they close first.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const SHORTEST_HEADER_TIMEOUT: Duration = Duration::from_secs(1);
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8080);
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8081);
/// More refusals of one source are worth an event.
const REJECTIONS: Rate = Rate { count: 100, per: Duration::from_secs(60) };
const DATABASE: &str = "sqlite:onceward.db";
/// The most bytes of one body, headers or queue that can be configured: what the store can hold in one value.
const MOST_BYTES: usize = 512 * MIB;
/// The most of anything else that is counted.
const MOST: usize = 1_000_000;

pub(super) use providers::table as provider_table;

/// Resolves what was read, or says everything that is wrong with it.
pub(super) fn resolve(written: File, mut report: Report) -> Result<Config, ConfigError> {
    let report_mut = &mut report;
    let providers = providers::table(written.providers, report_mut);
    let context = sources::Context { providers: &providers, public_url: public_url(written.public_url.as_deref(), report_mut) };
    let destinations = destinations::resolve(&written.sources, written.destinations, report_mut);
    let sources = sources::resolve(written.sources, &context, report_mut);
    let mut top = report.table("");
    let listen = address(&mut top, "listen", written.listen.as_deref(), LISTEN);
    let config = Config {
        listen,
        tls: written.tls.and_then(|written| tls(&written, top.below("tls"))),
        database: database(written.database.as_deref().unwrap_or(DATABASE), &mut top),
        workers: written.workers.map(|workers| top.count("workers", Some(workers), 1, 1, 1024)),
        admin: admin::admin(written.admin, listen, top.below("admin")),
        retention: retention(&written.retention, top.below("retention")),
        limits: limits(&written.limits, top.below("limits")),
        alerts: alerts(&written.alerts, &mut top.below("alerts")),
        sources,
        destinations,
        providers: Arc::new(providers),
    };
    holds_every_body(&config, "bodies", config.limits.bodies, &mut report);
    holds_every_body(&config, "queue_bytes", config.limits.queue_bytes, &mut report);
    report.into_error().map_or(Ok(config), Err)
}

fn address(keys: &mut Keys<'_>, key: &str, written: Option<&str>, default: SocketAddr) -> SocketAddr {
    let Some(text) = written else { return default };
    text.parse().unwrap_or_else(|_| {
        keys.problem(key, "not an address: write IP:PORT, such as \"127.0.0.1:8080\" or \"[::1]:8080\"; names are not looked up");
        default
    })
}

fn public_url(written: Option<&str>, report: &mut Report) -> Option<String> {
    let mut top = report.table("");
    let url = values::http_url(&mut top, "public_url", written?)?;
    if url.query().is_some() || url.fragment().is_some() {
        top.problem("public_url", "is what stands before /hooks/NAME, so it has no \"?\" and no \"#\"");
    }
    written.map(|text| text.trim_end_matches('/').to_owned())
}

fn tls(written: &file::Tls, mut keys: Keys<'_>) -> Option<Tls> {
    let mut path = |key: &str, written: Option<&str>| {
        if written.is_none() {
            keys.missing(key, "is missing: TLS needs both `cert` and `key`, paths of PEM files");
        }
        keys.pem(key, written)
    };
    let (cert, key) = (path("cert", written.cert.as_deref()), path("key", written.key.as_deref()));
    Some(Tls { cert: cert?, key: key? })
}

fn database(text: &str, top: &mut Keys<'_>) -> Database {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| scheme.len() > 1 && !scheme.contains('/'));
    let path = match scheme {
        Some("sqlite") => &text["sqlite:".len()..],
        Some("postgres" | "postgresql") => {
            top.problem("database", "this version does not support PostgreSQL yet; write \"sqlite:PATH\"");
            return Database::Sqlite(PathBuf::new());
        }
        Some(_) => {
            top.problem("database", "is no database of this version; write \"sqlite:PATH\"");
            return Database::Sqlite(PathBuf::new());
        }
        None => text,
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.trim().is_empty() || path.starts_with("file:") || path.starts_with(":memory:") {
        top.problem("database", "must be the path of a file, such as \"sqlite:onceward.db\": events have to outlive the process");
    }
    Database::Sqlite(PathBuf::from(path))
}

fn retention(written: &file::Retention, mut keys: Keys<'_>) -> Retention {
    let bodies = keys.duration("bodies", written.bodies.as_deref(), 30 * DAY);
    let ids = keys.duration("ids", written.ids.as_deref(), 400 * DAY);
    if ids < bodies {
        let key = if written.ids.is_some() { "ids" } else { "bodies" };
        let of = |duration| crate::domain::print_duration(duration);
        keys.problem(key, format!("ids = \"{}\" must be at least bodies = \"{}\": an event keeps its ID", of(ids), of(bodies)));
    }
    let audit = keys.duration("audit", written.audit.as_deref(), 400 * DAY);
    Retention { bodies, ids, audit, answers: keys.duration("answers", written.answers.as_deref(), DAY) }
}

fn alerts(written: &file::Alerts, keys: &mut Keys<'_>) -> Alerts {
    let rejections = written.rejections.as_deref().and_then(|text| keys.check("rejections", values::parse_rate(text)));
    Alerts { rejections: rejections.unwrap_or(REJECTIONS) }
}

fn limits(written: &file::Limits, mut keys: Keys<'_>) -> Limits {
    Limits {
        header_timeout: header_timeout(written.header_timeout.as_deref(), &mut keys),
        body_timeout: keys.duration("body_timeout", written.body_timeout.as_deref(), ARRIVAL),
        keep_alive: keys.duration("keep_alive", written.keep_alive.as_deref(), KEEP_ALIVE),
        headers: keys.size("headers", written.headers.as_deref(), 64 << 10, MIB),
        connections: keys.count("connections", written.connections, 10_000, 1, MOST),
        bodies: keys.size("bodies", written.bodies.as_deref(), 256 * MIB, 64 * MOST_BYTES),
        queue_requests: keys.count("queue_requests", written.queue_requests, 10_000, 1, MOST),
        queue_bytes: keys.size("queue_bytes", written.queue_bytes.as_deref(), 64 * MIB, 64 * MOST_BYTES),
        rejections: keys.count("rejections", written.rejections, 1000, 0, MOST),
        rejection_bytes: keys.size("rejection_bytes", written.rejection_bytes.as_deref(), 64 * MIB, 64 * MOST_BYTES),
    }
}

/// The HTTP server counts this time from a clock that it reads every 500 ms: a shorter time could be over when it begins.
fn header_timeout(written: Option<&str>, keys: &mut Keys<'_>) -> Duration {
    let time = keys.duration("header_timeout", written, ARRIVAL);
    if time < SHORTEST_HEADER_TIMEOUT {
        keys.problem("header_timeout", "must be at least 1s");
    }
    time
}

/// A body that a bound can never hold could never be taken.
fn holds_every_body(config: &Config, key: &str, bound: usize, report: &mut Report) {
    let Some(largest) = config.sources.iter().max_by_key(|source| source.max_body) else { return };
    if largest.max_body > bound {
        let key = format!("limits.{key}");
        let (body, bound) = (print_size(largest.max_body), print_size(bound));
        let message = format!("source {} takes bodies of {body}, and {key} = \"{bound}\" holds none of that size", largest.name);
        let path = if report.places.knows(&key) { key } else { format!("sources.{}.max_body", largest.name) };
        report.problem(&path, message);
    }
}

/// Names below `table` in the order of the file.
fn in_order<T>(table: &str, entries: BTreeMap<String, T>, report: &Report) -> Vec<(String, T)> {
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by_key(|(name, _)| report.places.order(&super::places::join(table, name)));
    entries
}
