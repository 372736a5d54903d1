//! What the command line says instead of, or beside, the file. Flags are written into the file's own form, so that one
//! resolution judges both.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

/// Settings of the command line. `Debug` shows neither secrets nor what a URL may carry.
#[derive(Clone, Default)]
pub struct Overrides {
    /// Sources besides those of the file; one of the same name takes its provider and secrets from here. The same name
    /// and provider twice are two secrets, as while rotating.
    pub sources: Vec<SourceFlag>,
    /// Where each of `sources` is forwarded.
    pub forward: Option<String>,
    /// Instead of `listen`.
    pub listen: Option<String>,
    /// Instead of `admin.listen`.
    pub admin_listen: Option<String>,
    /// Instead of `database`.
    pub database: Option<String>,
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overrides")
            .field("sources", &self.sources)
            .field("forward", &self.forward.as_ref().map(|_| "…"))
            .field("listen", &self.listen)
            .field("admin_listen", &self.admin_listen)
            .field("database", &self.database)
            .finish()
    }
}

/// A source on the command line: `PROVIDER=SECRET` or `NAME:PROVIDER=SECRET`.
#[derive(Debug, Clone)]
pub struct SourceFlag {
    /// The source's name; the provider's when none was given.
    pub name: String,
    /// The provider's name.
    pub provider: String,
    /// Whatever follows the first `=`, as it stands.
    pub secret: SecretString,
}

/// A `--source` that cannot be read. Does not repeat what was written, because a secret may be in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write PROVIDER=SECRET, such as stripe=whsec_…, or NAME:PROVIDER=SECRET")]
pub struct SourceFlagError;

impl SourceFlag {
    /// Reads `stripe=SECRET` or `billing:stripe=SECRET`. Whether the provider exists and the secret is not empty is
    /// found with everything else, in the resolution.
    ///
    /// # Errors
    /// [`SourceFlagError`] when there is no `=`, no provider or no name.
    pub fn parse(text: &str) -> Result<Self, SourceFlagError> {
        let (left, secret) = text.split_once('=').ok_or(SourceFlagError)?;
        let (name, provider) = left.split_once(':').unwrap_or((left, left));
        if name.is_empty() || provider.is_empty() {
            return Err(SourceFlagError);
        }
        Ok(Self { name: name.to_owned(), provider: provider.to_owned(), secret: SecretString::from(secret) })
    }

    /// The secret, unless it is the empty text.
    pub(super) fn given_secret(&self) -> Option<SecretString> {
        (!self.secret.expose_secret().is_empty()).then(|| self.secret.clone())
    }
}

impl FromStr for SourceFlag {
    type Err = SourceFlagError;

    fn from_str(text: &str) -> Result<Self, SourceFlagError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_flag_is_a_name_a_provider_and_all_after_the_first_equals_sign() {
        let flag = SourceFlag::parse("stripe=whsec_a=:b==").unwrap();
        assert_eq!((flag.name.as_str(), flag.provider.as_str(), flag.secret.expose_secret()), ("stripe", "stripe", "whsec_a=:b=="));
        let flag: SourceFlag = "billing:stripe= s ".parse().unwrap();
        assert_eq!((flag.name.as_str(), flag.provider.as_str(), flag.secret.expose_secret()), ("billing", "stripe", " s "));
        for wrong in ["", "stripe", "=secret", ":stripe=s", "billing:=s"] {
            assert_eq!(SourceFlag::parse(wrong).unwrap_err(), SourceFlagError, "{wrong}");
        }
    }
}
