//! The header fields that the configuration sets: `headers`, `bearer`, `basic`. Any of them may be a secret, so they go to
//! the client apart from the event's own, marked as what nothing may show.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret as _;

use crate::config::{Auth, UrlTarget};
use crate::deliver::BuildError;

/// The fields, each of a name of its own.
pub(super) fn fields(target: &UrlTarget) -> Result<HeaderMap, BuildError> {
    let mut fields = HeaderMap::with_capacity(target.headers.len() + 1);
    for (name, value) in &target.headers {
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| BuildError::Field(name.clone()))?;
        fields.insert(key, field(name, value.expose_secret())?);
    }
    if let Some(auth) = &target.auth {
        let value = match auth {
            Auth::Bearer(token) => format!("Bearer {}", token.expose_secret()),
            Auth::Basic(pair) => format!("Basic {}", STANDARD.encode(pair.expose_secret())),
        };
        fields.insert(AUTHORIZATION, field("authorization", &value)?);
    }
    Ok(fields)
}

fn field(name: &str, value: &str) -> Result<HeaderValue, BuildError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| BuildError::Field(name.to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}
