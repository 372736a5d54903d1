//! Who may use the admin listener: whoever has a token; without any, only this machine's own programs and pages.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, header};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage as _};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::connections::Connections;
use super::failures::Failures;
use super::problem::Problem;
use crate::config::{Role, Token};
use crate::domain::Code;

/// The name of whoever needs no token.
const LOCAL: &str = "local";

/// The rule of access.
pub struct Access {
    /// None where the listener is on loopback and everybody there may do everything: foreign `Host` and `Origin` headers are
    /// refused then, so that no web page can reach it through the user's browser.
    tokens: Vec<Known>,
    failures: Failures,
}

/// A token, of which only a digest is kept.
struct Known {
    caller: Caller,
    digest: [u8; 32],
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// The name of the token.
    pub(super) name: Arc<str>,
    role: Role,
}

impl Access {
    /// By these tokens, or on loopback where there are none.
    pub fn new(tokens: &[Token]) -> Self {
        let known = |token: &Token| Known {
            caller: Caller { name: Arc::clone(&token.name), role: token.role },
            digest: Sha256::digest(token.secret.expose_secret().as_bytes()).into(),
        };
        Self { tokens: tokens.iter().map(known).collect(), failures: Failures::default() }
    }

    /// Who it is, or why that is not said.
    fn caller(&self, request: &ServiceRequest) -> Result<Caller, Problem> {
        if self.tokens.is_empty() {
            let detail = "without a token, Host and Origin must be this machine's own: set admin.token";
            return local(request).ok_or_else(|| Problem::new(Code::Unauthorized).detail(detail));
        }
        let (client, now) = (request.peer_addr().map(|address| address.ip()), Instant::now());
        if let Some(wait) = client.and_then(|client| self.failures.wait(client, now)) {
            return Err(Problem::new(Code::RateLimited).detail("too many wrong tokens").retry_after(Some(wait)));
        }
        let value = request.headers().get(header::AUTHORIZATION);
        let caller = value.and_then(|value| self.by_token(value.to_str().unwrap_or_default()));
        if caller.is_none()
            && value.is_some()
            && let Some(client) = client
        {
            self.failures.failed(client, now);
        }
        caller.ok_or_else(|| Problem::new(Code::Unauthorized).detail("a bearer token is needed"))
    }

    /// Whose token it is. All are compared, whichever is right.
    fn by_token(&self, authorization: &str) -> Option<Caller> {
        let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
        let mut found = None;
        for known in &self.tokens {
            if bool::from(digest.ct_eq(&known.digest)) {
                found = Some(known.caller.clone());
            }
        }
        found.filter(|_| scheme.eq_ignore_ascii_case("bearer"))
    }
}

impl Caller {
    /// Whether it may ask for this.
    fn may(&self, method: &Method) -> bool {
        self.role == Role::Write || matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
    }
}

/// A program or page of this machine.
fn local(request: &ServiceRequest) -> Option<Caller> {
    let text = |name: header::HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    let host = text(header::HOST).is_some_and(is_loopback);
    let origin = text(header::ORIGIN).is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_loopback(host)));
    (host && origin).then(|| Caller { name: LOCAL.into(), role: Role::Write })
}

/// Whether a `Host` (with or without a port) is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Lets a request through, or refuses it before anything looks at it. Liveness and readiness are open.
pub(super) async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let connections = request.app_data::<Data<Connections>>().cloned();
    let _in_use = connections.and_then(|connections| connections.into_inner().using(request.request()));
    if matches!(request.path(), "/healthz" | "/readyz") {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    match admitted(&request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.call(request).await.map(ServiceResponse::map_into_left_body)
        }
        Err(problem) => {
            let mut refusal = problem.response();
            if refusal.status() == actix_web::http::StatusCode::UNAUTHORIZED {
                refusal.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"onceward\""));
            }
            Ok(request.into_response(refusal).map_into_right_body())
        }
    }
}

/// Who asks, if that is somebody who may.
fn admitted(request: &ServiceRequest) -> Result<Caller, Problem> {
    let access = request.app_data::<Data<Access>>().ok_or_else(|| Problem::new(Code::Unauthorized))?;
    let caller = access.caller(request)?;
    if caller.may(request.method()) { Ok(caller) } else { Err(Problem::new(Code::Forbidden)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn allows(access: &Access, headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(TestRequest::get().uri("/metrics"), |request, header| request.insert_header(*header));
        access.caller(&request.to_srv_request()).is_ok()
    }

    fn token(secret: &str, role: Role) -> Token {
        Token { name: secret.into(), secret: secret.to_owned().into(), role }
    }

    #[test]
    fn each_token_says_who_it_is_and_what_it_may() {
        let access = Access::new(&[token("one", Role::Write), token("two", Role::Read)]);
        let caller = |token: &str| {
            let request = TestRequest::get().insert_header(("authorization", format!("Bearer {token}")));
            access.caller(&request.to_srv_request()).unwrap()
        };
        assert_eq!((&*caller("one").name, &*caller("two").name), ("one", "two"));
        for (method, read) in
            [(Method::GET, true), (Method::HEAD, true), (Method::POST, false), (Method::PUT, false), (Method::DELETE, false)]
        {
            assert_eq!((caller("one").may(&method), caller("two").may(&method)), (true, read), "{method}");
        }
    }

    #[test]
    fn whoever_guesses_waits_although_a_guess_is_right() {
        let access = Access::new(&[token("right", Role::Write)]);
        let ask = |address: &str, token: &str| {
            let request =
                TestRequest::get().peer_addr(address.parse().unwrap()).insert_header(("authorization", format!("Bearer {token}")));
            access.caller(&request.to_srv_request()).map(drop).map_err(|problem| problem.to_string())
        };
        for _ in 0..10 {
            assert_eq!(ask("10.0.0.1:1", "wrong"), Err("unauthorized".into()));
        }
        assert_eq!(ask("10.0.0.1:2", "right"), Err("rate-limited".into()));
        assert_eq!(ask("10.0.0.2:1", "right"), Ok(()));
    }

    #[test]
    fn the_token_must_be_the_one() {
        let access = Access::new(&[token("right", Role::Write)]);
        assert!(allows(&access, &[("authorization", "Bearer right")]));
        assert!(allows(&access, &[("authorization", "bearer right")]));
        for wrong in ["Bearer wrong", "Bearer ", "Bearer", "right", "Basic right", "Bearer right2"] {
            assert!(!allows(&access, &[("authorization", wrong)]), "{wrong}");
        }
        assert!(!allows(&access, &[]));
    }

    #[test]
    fn without_a_token_only_this_machines_own_names_are_let_in() {
        let access = Access::new(&[]);
        for host in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081", "127.9.9.9"] {
            assert!(allows(&access, &[("host", host)]), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example:8081", "localhost.evil.example", "10.0.0.1", "[::2]", ""] {
            assert!(!allows(&access, &[("host", host)]), "{host}");
        }
        assert!(!allows(&access, &[]));
        assert!(allows(&access, &[("host", "localhost"), ("origin", "http://localhost:8081")]));
        for origin in ["https://evil.example", "null", "file://", "http://127.0.0.1.evil.example"] {
            assert!(!allows(&access, &[("host", "localhost"), ("origin", origin)]), "{origin}");
        }
    }
}
