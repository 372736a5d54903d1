//! What a destination is: a URL, a command or a handler, and the keys that belong to each.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use super::values::http_url;
use crate::config::file::{self, OneOrMany, Secret};
use crate::config::report::Keys;
use crate::config::{Auth, ClientTls, ExecTarget, Target, UrlTarget};
use crate::signing::SigningKey;

/// Header fields that a destination cannot set: those of the connection, and those by which Onceward is known.
const RESERVED_FIELDS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "idempotency-key",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "webhook-id",
    "webhook-signature",
    "webhook-timestamp",
];

/// The keys of one kind that are written, each with whether it is.
type Written = Vec<(&'static str, bool)>;

/// What the destination is, by the one key that says so.
pub(super) fn resolve(written: &mut file::Destination, keys: &mut Keys<'_>) -> Option<Target> {
    let (of_urls, of_commands) = (of_urls(written), of_commands(written));
    match (written.url.take(), written.exec.take(), written.handler.take()) {
        (Some(url), None, None) => {
            refuse(&of_commands, "belongs to `exec`, and this destination has a `url`", keys);
            self::url(&url, written, keys).map(|target| Target::Url(Box::new(target)))
        }
        (None, Some(command), None) => {
            refuse(&of_urls, "belongs to `url`, and this destination has an `exec`", keys);
            exec(command, written, keys).map(Target::Exec)
        }
        (None, None, Some(name)) => {
            refuse(&of_urls, "belongs to `url`, and this destination has a `handler`", keys);
            refuse(&of_commands, "belongs to `exec`, and this destination has a `handler`", keys);
            if written.dead_on.is_some() {
                keys.problem("dead_on", "belongs to `url` and `exec`: a handler says itself what is not to be tried again");
            }
            handler(&name, keys).map(Target::Handler)
        }
        (None, None, None) => {
            keys.missing("url", "is missing: write where events of this destination go, as `url`, `exec` or `handler`");
            None
        }
        (url, _, _) => {
            let key = if url.is_some() { "url" } else { "exec" };
            keys.problem(key, "a destination is one of `url`, `exec` and `handler`: make another destination for the other");
            None
        }
    }
}

fn of_urls(written: &file::Destination) -> Written {
    vec![
        ("append_path", written.append_path.is_some()),
        ("headers", written.headers.is_some()),
        ("bearer", written.bearer.is_some()),
        ("basic", written.basic.is_some()),
        ("tls", written.tls.is_some()),
        ("connect_timeout", written.connect_timeout.is_some()),
        ("sign", written.sign.is_some()),
    ]
}

fn of_commands(written: &file::Destination) -> Written {
    vec![("env", written.env.is_some()), ("dir", written.dir.is_some())]
}

fn refuse(written: &Written, message: &str, keys: &mut Keys<'_>) {
    for (key, _) in written.iter().filter(|(_, is_written)| *is_written) {
        keys.problem(key, message);
    }
}

fn url(text: &str, written: &mut file::Destination, keys: &mut Keys<'_>) -> Option<UrlTarget> {
    let url = http_url(keys, "url", text);
    let auth = auth(written, url.as_ref(), keys);
    let has_auth = auth.is_some() || url.as_ref().is_some_and(has_credentials);
    let headers = headers(written.headers.take().unwrap_or_default(), has_auth, &mut keys.below("headers"));
    let tls = written.tls.take().map(|tls| client_tls(&tls, &mut keys.below("tls"))).unwrap_or_default();
    let sign = written.sign.take().map(|written| sign(&written, keys)).unwrap_or_default();
    let connect_timeout = keys.duration("connect_timeout", written.connect_timeout.as_deref(), UrlTarget::CONNECT_TIMEOUT);
    let dead_on = numbers(written.dead_on.take(), 400..=599, "a status of 400 to 599", keys);
    let append_path = written.append_path.unwrap_or(false);
    let from_variable = keys.is_expanded("url");
    Some(UrlTarget { url: url?, from_variable, append_path, headers, auth, tls, connect_timeout, dead_on, sign })
}

fn auth(written: &mut file::Destination, url: Option<&Url>, keys: &mut Keys<'_>) -> Option<Auth> {
    let (bearer, basic) = (written.bearer.take(), written.basic.take());
    let key = if bearer.is_some() { "bearer" } else { "basic" };
    if bearer.is_some() && basic.is_some() {
        keys.problem("basic", "stands beside `bearer`: a request has one of the two");
    }
    if (bearer.is_some() || basic.is_some()) && url.is_some_and(has_credentials) {
        keys.problem(key, "stands beside the user or password in `url`: a request has one of the two");
    }
    let auth = match (bearer, basic) {
        (Some(token), _) => Auth::Bearer(token.0),
        (None, Some(pair)) => Auth::Basic(pair.0),
        (None, None) => return None,
    };
    let (Auth::Bearer(secret) | Auth::Basic(secret)) = &auth;
    if secret.expose_secret().trim().is_empty() {
        keys.problem(key, "is empty");
    } else if matches!(auth, Auth::Bearer(_)) && !is_field_value(secret) || secret.expose_secret().contains(char::is_control) {
        keys.problem(key, "holds a character that a header cannot");
    } else if matches!(auth, Auth::Basic(_)) && !secret.expose_secret().contains(':') {
        keys.problem(key, "is not of the form \"user:password\"");
    }
    Some(auth)
}

fn headers(written: BTreeMap<String, Secret>, has_auth: bool, keys: &mut Keys<'_>) -> Vec<(String, SecretString)> {
    let mut headers: Vec<(String, SecretString)> = Vec::new();
    for (name, Secret(value)) in written {
        let lower = name.to_ascii_lowercase();
        if HeaderName::from_bytes(lower.as_bytes()).is_err() {
            keys.problem(&name, "is no name of a header");
        } else if RESERVED_FIELDS.contains(&&*lower) || lower.starts_with("onceward-") || lower.starts_with("proxy-") {
            keys.problem(&name, "is set by Onceward itself, or belongs to the connection");
        } else if lower == "authorization" && has_auth {
            keys.problem(&name, "stands beside `bearer`, `basic` or a user in `url`: a request has one of them");
        } else if headers.iter().any(|(known, _)| *known == lower) {
            keys.problem(&name, "is written twice, in other letters");
        } else if !is_field_value(&value) {
            keys.problem(&name, "holds a character that a header cannot");
        }
        headers.push((lower, value));
    }
    headers
}

fn has_credentials(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// The keys of `sign`, which is one or a list.
fn sign(written: &OneOrMany, keys: &mut Keys<'_>) -> Vec<SigningKey> {
    if written.0.is_empty() {
        keys.problem("sign", "is empty: write at least one key, or leave it out");
    }
    let mut parsed = Vec::new();
    for (at, Secret(key)) in written.0.iter().enumerate() {
        match SigningKey::parse(key.expose_secret()) {
            Ok(key) => parsed.push(key),
            Err(error) => {
                let item = keys.item("sign", at);
                let path = if keys.report.places.knows(&item) { item } else { keys.path("sign") };
                keys.report.problem(&path, error);
            }
        }
    }
    parsed
}

fn is_field_value(value: &SecretString) -> bool {
    HeaderValue::from_str(value.expose_secret()).is_ok()
}

fn client_tls(written: &file::ClientTls, keys: &mut Keys<'_>) -> ClientTls {
    let ca = keys.pem("ca", written.ca.as_deref());
    let pair = (keys.pem("cert", written.cert.as_deref()), keys.pem("key", written.key.as_deref()));
    let identity = match pair {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (cert, _) => {
            let missing = if cert.is_some() { "key" } else { "cert" };
            keys.missing(missing, "is missing: to prove who we are takes both `cert` and `key`, paths of PEM files");
            None
        }
    };
    ClientTls { ca, identity }
}

fn exec(command: Vec<String>, written: &mut file::Destination, keys: &mut Keys<'_>) -> Option<ExecTarget> {
    let env: Vec<_> = written.env.take().unwrap_or_default().into_iter().map(|(name, value)| (name, value.0)).collect();
    for (name, value) in &env {
        if name.is_empty() || name.contains(['=', '\0']) || value.expose_secret().contains('\0') {
            keys.below("env").problem(name, "is no variable: a name has no \"=\", and neither it nor its value a NUL");
        } else if name.starts_with("ONCEWARD_") {
            keys.below("env").problem(name, "is set by Onceward itself");
        }
    }
    let dir = written.dir.take().filter(|dir| match dir.trim() {
        "" => {
            keys.problem("dir", "is empty: write the path of a folder");
            false
        }
        _ => true,
    });
    let dead_on = numbers(written.dead_on.take(), 1..=255, "an exit code of 1 to 255", keys);
    if dead_on.contains(&75) {
        keys.problem("dead_on", "75 (EX_TEMPFAIL) asks for another attempt, so it cannot be the end");
    }
    if command.first().is_none_or(|program| program.trim().is_empty()) || command.iter().any(|part| part.contains('\0')) {
        keys.problem("exec", "names no program: write it and its arguments, such as exec = [\"./deploy.sh\", \"now\"]");
        return None;
    }
    Some(ExecTarget { command, env, dir: dir.map(PathBuf::from), dead_on })
}

/// The numbers of `dead_on`.
fn numbers<T: TryFrom<i64> + PartialOrd + Copy>(
    written: Option<Vec<i64>>,
    allowed: std::ops::RangeInclusive<T>,
    what: &str,
    keys: &mut Keys<'_>,
) -> Vec<T> {
    let mut numbers = Vec::new();
    for (at, number) in written.unwrap_or_default().into_iter().enumerate() {
        match T::try_from(number).ok().filter(|number| allowed.contains(number)) {
            Some(number) => numbers.push(number),
            None => {
                let path = keys.item("dead_on", at);
                keys.report.problem(&path, format!("must be {what}"));
            }
        }
    }
    numbers
}

fn handler(name: &str, keys: &mut Keys<'_>) -> Option<Arc<str>> {
    if name.trim().is_empty() {
        keys.problem("handler", "is empty: write the name under which the function is registered");
        return None;
    }
    Some(name.into())
}
