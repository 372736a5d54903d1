//! Who may use the admin listener: whoever has the token; without one, only this machine's own programs and pages.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::web::Data;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::connections::Connections;
use super::problem::Problem;
use crate::domain::Code;

/// The rule of access.
#[derive(Clone)]
pub enum Access {
    /// By bearer token, of which only a digest is kept.
    Token([u8; 32]),
    /// Without a token, on loopback: foreign `Host` and `Origin` headers are refused, so that no web page can reach it
    /// through the user's browser.
    Loopback,
}

impl Access {
    /// By this token, or on loopback where there is none.
    pub fn new(token: Option<&SecretString>) -> Self {
        match token {
            Some(token) => Self::Token(Sha256::digest(token.expose_secret().as_bytes()).into()),
            None => Self::Loopback,
        }
    }

    fn allows(&self, request: &ServiceRequest) -> bool {
        let text = |name: header::HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        match self {
            Self::Token(expected) => {
                let (scheme, token) = text(header::AUTHORIZATION).unwrap_or_default().split_once(' ').unwrap_or_default();
                let digest: [u8; 32] = Sha256::digest(token.trim().as_bytes()).into();
                scheme.eq_ignore_ascii_case("bearer") && bool::from(digest.ct_eq(expected))
            }
            Self::Loopback => {
                let host = text(header::HOST).is_some_and(is_loopback);
                let origin = text(header::ORIGIN).is_none_or(|origin| origin.split_once("://").is_some_and(|(_, host)| is_loopback(host)));
                host && origin
            }
        }
    }
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
    let open = matches!(request.path(), "/healthz" | "/readyz");
    let allowed = open || request.app_data::<Data<Access>>().is_some_and(|access| access.allows(&request));
    if allowed {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let by_token = matches!(request.app_data::<Data<Access>>().map(|access| access.as_ref()), Some(Access::Token(_)));
    let detail =
        if by_token { "a bearer token is needed" } else { "without a token, Host and Origin must be this machine's own: set admin.token" };
    let mut refusal = Problem::new(Code::Unauthorized).detail(detail).response();
    refusal.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer realm=\"onceward\""));
    Ok(request.into_response(refusal).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn allows(access: &Access, headers: &[(&'static str, &'static str)]) -> bool {
        let request = headers.iter().fold(TestRequest::get().uri("/metrics"), |request, header| request.insert_header(*header));
        access.allows(&request.to_srv_request())
    }

    #[test]
    fn the_token_must_be_the_one() {
        let access = Access::new(Some(&"right".to_owned().into()));
        assert!(allows(&access, &[("authorization", "Bearer right")]));
        assert!(allows(&access, &[("authorization", "bearer right")]));
        for wrong in ["Bearer wrong", "Bearer ", "Bearer", "right", "Basic right", "Bearer right2"] {
            assert!(!allows(&access, &[("authorization", wrong)]), "{wrong}");
        }
        assert!(!allows(&access, &[]));
    }

    #[test]
    fn without_a_token_only_this_machines_own_names_are_let_in() {
        let access = Access::new(None);
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
