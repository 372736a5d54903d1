//! What the command line says instead of, or beside, the file. Flags are written into the file's own form, so that one
//! resolution judges both.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};

use super::file::{File, Secret, Source};
use super::places::join;
use super::report::Report;

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

impl Overrides {
    /// Writes the flags over the file.
    pub(super) fn apply(&self, file: &mut File, report: &mut Report) {
        let mut over = |path: &str, flag: &'static str, written: &Option<String>, key: &mut Option<String>| {
            if written.is_some() {
                key.clone_from(written);
                report.places.note_flag(path.to_owned(), flag);
            }
        };
        over("listen", "--listen", &self.listen, &mut file.listen);
        over("admin.listen", "--admin-listen", &self.admin_listen, &mut file.admin.listen);
        over("database", "--database", &self.database, &mut file.database);
        if self.forward.is_some() && self.sources.is_empty() {
            report.places.note_flag("forward".to_owned(), "--forward");
            report.problem("forward", "is where the sources of --source go, and there is none");
        }
        for (at, flag) in self.sources.iter().enumerate() {
            let secrets = self.secrets_before(at, flag, report);
            self.apply_source(flag, secrets, file, report);
        }
    }

    /// The secrets of earlier flags for the same source.
    fn secrets_before(&self, at: usize, flag: &SourceFlag, report: &mut Report) -> Vec<Secret> {
        let same: Vec<_> = self.sources[..at].iter().filter(|other| other.name == flag.name).collect();
        if same.iter().any(|other| other.provider != flag.provider) {
            report.problem(&join("sources", &flag.name), "the same name is given to two providers: write NAME:PROVIDER=SECRET");
        }
        same.into_iter().filter_map(SourceFlag::given_secret).map(Secret).collect()
    }

    fn apply_source(&self, flag: &SourceFlag, mut secrets: Vec<Secret>, file: &mut File, report: &mut Report) {
        let path = join("sources", &flag.name);
        if !file.sources.contains_key(&flag.name) {
            report.places.note_flag(path.clone(), "--source");
        }
        for key in ["provider", "secret", "secrets"] {
            report.places.note_flag(join(&path, key), "--source");
        }
        let source: &mut Source = file.sources.entry(flag.name.clone()).or_default();
        source.provider = Some(flag.provider.clone());
        secrets.extend(flag.given_secret().map(Secret));
        (source.secret, source.secrets) = (None, (!secrets.is_empty()).then_some(secrets));
        if flag.url.is_some() {
            source.url.clone_from(&flag.url);
        }
        source.params.extend(flag.params.clone());
        if self.forward.is_some() {
            report.places.note_flag(join(&path, "forward"), "--forward");
            source.forward.clone_from(&self.forward);
        }
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
    /// The URL that was given to the sender; from code alone.
    pub url: Option<String>,
    /// What the provider's row asks for; from code alone.
    pub params: BTreeMap<String, String>,
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
        Ok(Self {
            name: name.to_owned(),
            provider: provider.to_owned(),
            secret: SecretString::from(secret),
            url: None,
            params: BTreeMap::new(),
        })
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
