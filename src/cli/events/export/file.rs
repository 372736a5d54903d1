//! Fixtures as files: what they say beside the request, and names that are safe in every folder.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

use super::super::super::settings::FileArguments;
use crate::domain::EventKey;
use crate::fixture::{Expect, Fixture};
use crate::provider::{Place, Provider, Table};

/// The longest part of a file's name that comes from outside.
const LONGEST: usize = 100;

/// Makes fixtures of what was recorded.
pub(super) struct Recorder {
    table: Table,
    /// The URLs given to senders, by source.
    urls: HashMap<String, String>,
}

impl Recorder {
    /// With the providers of this configuration, and the URLs of its sources where it is whole.
    pub(super) fn new(file: &FileArguments) -> anyhow::Result<Self> {
        Ok(Self { table: file.table()?, urls: file.urls_of_sources().into_iter().collect() })
    }

    /// The fixture of an event, without secrets, with what is known about verifying it again.
    pub(super) fn fixture(&self, recorded: &[u8], key: &EventKey) -> anyhow::Result<Vec<u8>> {
        let mut fixture = Fixture::parse(recorded, &key.source).context("what was recorded is no fixture")?;
        fixture.secrets.clear();
        if let Some(Expect::Accepted { event_id, .. }) = &mut fixture.expect {
            *event_id = key.event_id.to_string();
        }
        let mut notes = Vec::new();
        match self.table.get(&fixture.provider) {
            Some(provider) => self.complete(&mut fixture, provider, &key.source, &mut notes),
            None => notes.push("its provider is in no table here; -c FILE says where its row is".to_owned()),
        }
        let mut bytes = notes.into_iter().flat_map(|note| format!("# note: {note}\n").into_bytes()).collect::<Vec<_>>();
        bytes.extend(fixture.print());
        Ok(bytes)
    }

    /// What the row asks for beside a secret, as far as it is known and no secret itself.
    fn complete(&self, fixture: &mut Fixture, provider: &Provider, source: &str, notes: &mut Vec<String>) {
        if provider.signs_url() {
            match self.urls.get(source) {
                Some(url) => fixture.url = Some(url.clone()),
                None => notes.push("the URL is signed, and not known here; to verify it again, add a line for \"url\"".to_owned()),
            }
        }
        // Their values may be secrets.
        for name in provider.params().keys() {
            notes.push(format!("to verify it again, add a line for \"param {name}\""));
        }
        if proves_by_credentials(provider) {
            notes.push("what proves this request was sent in it and not stored; `onceward send --secret` puts it back".to_owned());
        }
    }
}

/// Whether the proof is among what is never stored: the secret itself, or a token in `Authorization`.
fn proves_by_credentials(provider: &Provider) -> bool {
    let is_kept = |place: &Place| !matches!(place, Place::Header(name) if name == "authorization");
    !provider.signatures.is_empty()
        && provider.signatures.iter().all(|signature| signature.algorithm.sends_secret() || !is_kept(&signature.place))
}

/// The folder that fixtures go into.
pub(super) struct Folder {
    path: PathBuf,
    force: bool,
}

impl Folder {
    /// Makes it if need be.
    pub(super) fn open(path: &Path, force: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make the folder {}", path.display()))?;
        Ok(Self { path: path.to_owned(), force })
    }

    /// Writes one. What is there with the same content stays, so that an export can be repeated.
    pub(super) fn write(&self, key: &EventKey, fixture: &[u8]) -> anyhow::Result<PathBuf> {
        let path = self.path.join(name(key));
        match fs::read(&path) {
            Ok(there) if there == fixture => return Ok(path),
            Ok(_) if !self.force => bail!("{} is there with other content (--force replaces it)", path.display()),
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| path.display().to_string())?,
            Ok(_) | Err(_) => {}
        }
        fs::write(&path, fixture).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

/// A name from source and ID; sources have no "." in theirs. IDs come from senders: what is not safe in a name is replaced, and a digest then keeps
/// different IDs apart.
fn name(key: &EventKey) -> String {
    let whole = format!("{}.{}", key.source, key.event_id);
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let safe: String = whole.chars().take(LONGEST).map(|c| if is_safe(c) { c } else { '_' }).collect();
    let safe = safe.trim_start_matches('.');
    if safe == whole {
        return format!("{safe}.http");
    }
    let digest = Sha256::digest([key.source.as_bytes(), b"\0", key.event_id.as_bytes()].concat());
    format!("{safe}-{}.http", hex::encode(&digest[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(event_id: &str) -> String {
        name(&EventKey { source: "s".into(), event_id: event_id.into() })
    }

    #[test]
    fn a_name_is_safe_and_tells_ids_apart() {
        assert_eq!(named("evt_1PQ"), "s.evt_1PQ.http");
        let hostile = ["../../etc/passwd", "a/b", "a\\b", "a b", "a\nb", "sha256:ab", "Łódź", &"x".repeat(5_000), "a:b"];
        let names: std::collections::BTreeSet<_> = hostile.iter().map(|id| named(id)).collect();
        assert_eq!(names.len(), hostile.len());
        for name in names {
            assert!(name.starts_with("s.") && name.len() < 140 && !name.contains(['/', '\\', ':', ' ', '\n']), "{name}");
        }
    }

    #[test]
    fn a_file_with_other_content_is_kept_unless_it_is_to_be_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let key = EventKey { source: "s".into(), event_id: "e".into() };
        let (open, path) = (|force| Folder::open(&folder.path().join("new/deep"), force).unwrap(), folder.path().join("new/deep/s.e.http"));
        assert_eq!(open(false).write(&key, b"one").unwrap(), path);
        open(false).write(&key, b"one").unwrap();
        assert!(open(false).write(&key, b"two").unwrap_err().to_string().contains("--force"));
        assert_eq!(fs::read(&path).unwrap(), b"one");
        open(true).write(&key, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
    }
}
