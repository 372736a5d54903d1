//! The right way to sign with another secret of the configuration: test mode against live mode, the neighbouring source,
//! secrets in the wrong order.

use secrecy::{ExposeSecret as _, SecretString};

use super::text;
use super::trial::Bench;
use crate::verify::{Setup, Verifier};

/// Another secret of this configuration, or all of another source's set-up.
pub(super) fn find(bench: &Bench<'_>) -> Option<String> {
    if !bench.is_unproved() {
        return None;
    }
    another_position(bench).or_else(|| another_source(bench)).or_else(|| another_setup(bench))
}

/// The set-up with this secret alone, at every position that the row may ask for.
pub(super) fn with_secret(setup: &Setup, secret: &SecretString) -> Setup {
    let positions = setup.provider.signatures.iter().filter_map(|signature| signature.secret).max().unwrap_or(1);
    Setup { secrets: vec![secret.clone(); positions], ..setup.clone() }
}

/// The source's own secret at another position, where the row says which one signs what.
fn another_position(bench: &Bench<'_>) -> Option<String> {
    let setup = bench.setup();
    setup.provider.signatures.iter().find_map(|signature| signature.secret)?;
    let at = setup.secrets.iter().position(|secret| bench.try_setup(with_secret(setup, secret)))?;
    Some(format!("it holds with secret {} of this source in another place of the list: the sender has them in another order", at + 1))
}

/// The other sources, those of the same sender first.
fn others<'a>(bench: &Bench<'a>) -> Vec<&'a Verifier> {
    let refusal = bench.refusal();
    let others = refusal.others.iter().copied().filter(|other| !std::ptr::eq(*other, refusal.verifier));
    let (same, different): (Vec<_>, Vec<_>) = others.partition(|other| other.provider().name == bench.provider().name);
    [same, different].concat()
}

fn another_source(bench: &Bench<'_>) -> Option<String> {
    let setup = bench.setup();
    let is_own = |secret: &SecretString| setup.secrets.iter().any(|own| own.expose_secret() == secret.expose_secret());
    let holds = |secret: &SecretString| !is_own(secret) && bench.try_setup(with_secret(setup, secret));
    for other in others(bench) {
        let Some(at) = other.setup.secrets.iter().position(holds) else { continue };
        let (name, number) = (text::clean(&other.source), at + 1);
        return Some(match other.provider().name == bench.provider().name {
            true => {
                format!("it holds with secret {number} of source {name} (test mode against live mode, or sent to the wrong source's URL?)")
            }
            false => format!("it holds with secret {number} of source {name}, whose provider is {}", other.provider().name),
        });
    }
    None
}

/// All of another source's set-up: its row, secrets, URL and parameters.
pub(super) fn another_setup(bench: &Bench<'_>) -> Option<String> {
    let other = others(bench).into_iter().find(|other| bench.try_setup(other.setup.clone()))?;
    let (name, provider) = (text::clean(&other.source), &other.provider().name);
    Some(format!("it holds for source {name} ({provider}) as that is configured: sent to the wrong source's URL?"))
}
