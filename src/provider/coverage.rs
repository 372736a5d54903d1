//! What a row's signatures say of the body: all of it, some fields of it, or nothing.

use super::locator::Locator;
use super::model::{Algorithm, Provider, Signature};
use super::template::Template;

/// How much of the body a signature covers, the least first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Coverage {
    /// Nothing of it: whoever has one request can put another body under its signature.
    Nothing,
    /// Only what stands at these places, in the words of the row; none where the row does not name them.
    Fields(Vec<String>),
    /// A checksum of it: another body with the same sum can be made.
    Checksum,
    /// All of it.
    Body,
}

impl Coverage {
    /// Every kind.
    pub(super) fn kinds() -> [Self; 4] {
        [Self::Body, Self::Checksum, Self::Fields(Vec::new()), Self::Nothing]
    }

    /// What a row declares by this name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::kinds().into_iter().find(|coverage| coverage.as_str() == name)
    }

    /// Its name in rows: `body`, `checksum`, `fields` or `nothing`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Body => "body",
            Self::Checksum => "checksum",
            Self::Fields(_) => "fields",
            Self::Nothing => "nothing",
        }
    }

    /// What follows from one way to sign.
    fn of(signature: &Signature) -> Self {
        let signed = signed(signature);
        let fields: Vec<_> = signed.iter().filter_map(|place| field(place, signature.each.as_deref())).collect();
        match () {
            () if is_detached(signature) || signed.iter().any(|place| is_whole(place)) => Self::Body,
            () if signed.contains(&&Locator::BodyCrc32) => Self::Checksum,
            () if fields.is_empty() => Self::Nothing,
            () => Self::Fields(fields),
        }
    }
}

/// Every place that goes into the proof.
fn signed(signature: &Signature) -> Vec<&Locator> {
    match (signature.algorithm, &signature.jwt) {
        (Algorithm::None | Algorithm::Token | Algorithm::Basic, _) => Vec::new(),
        (_, Some(rule)) => rule.claims.iter().flat_map(|(_, templates)| templates).flat_map(Template::locators).collect(),
        // The request says what it covers: sure is what the row demands.
        (_, None) if signature.components.is_some() => demanded(signature),
        (_, None) => signature.signed.locators().into_iter().chain(bound(signature)).collect(),
    }
}

/// What an HTTP Message Signature must cover.
fn demanded(signature: &Signature) -> Vec<&Locator> {
    let has_digest = signature.components.iter().flatten().any(|name| name == "content-digest");
    if has_digest { vec![&Locator::BodySha256] } else { Vec::new() }
}

/// What must stand in the signed URL.
fn bound(signature: &Signature) -> impl Iterator<Item = &Locator> {
    let is_signed = |place: &Locator| matches!(place, Locator::Query(_)) && signature.signed.locators().into_iter().any(Locator::needs_url);
    signature.require.iter().filter(move |(place, _)| is_signed(place)).flat_map(|(_, wanted)| wanted.locators())
}

/// Whether the body is the content of a token that leaves it out.
fn is_detached(signature: &Signature) -> bool {
    signature.jwt.as_ref().is_some_and(|rule| rule.detached)
}

/// Whether this is all that the body says. A document counts as such: where it is a field of a form, no other may stand
/// beside it.
fn is_whole(place: &Locator) -> bool {
    is_raw(place) || matches!(place, Locator::Document | Locator::FormSorted | Locator::UrlFormSorted | Locator::CanonicalJson)
}

/// Whether this is the body to the byte: what a form says can be written in several ways.
fn is_raw(place: &Locator) -> bool {
    use Locator::{Body, BodyDigest, BodySha256, BodySha256Base64, BodySha256Base64Url, JsonString};
    if let JsonString(inner) = place {
        return is_raw(inner);
    }
    matches!(place, Body | BodyDigest | BodySha256 | BodySha256Base64 | BodySha256Base64Url)
}

/// In the words of a row; of every item, where each is signed by itself.
fn field(place: &Locator, each: Option<&str>) -> Option<String> {
    match place {
        Locator::Json(pointer) => Some(format!("json:{}{pointer}", each.map(|array| format!("{array}/*")).unwrap_or_default())),
        Locator::Form(name) => Some(format!("form:{name}")),
        _ => None,
    }
}

impl Signature {
    /// Whether another body can stand under this signature that says the same or has the same sum: what is signed follows
    /// from the body, and not to the byte.
    pub fn covers_rewritable_body(&self) -> bool {
        let to_the_byte = is_detached(self) || signed(self).into_iter().any(is_raw);
        !to_the_byte && matches!(Coverage::of(self), Coverage::Body | Coverage::Checksum)
    }
}

impl Provider {
    /// How much of the body is covered by the signature: what the row declares, else what follows from its signed content.
    /// Of several ways to sign the weakest counts, because whoever sends chooses.
    pub fn coverage(&self) -> Coverage {
        let derived: Vec<_> = self.signatures.iter().map(Coverage::of).collect();
        let weakest = self.covers.as_ref().or(derived.iter().min()).cloned().unwrap_or(Coverage::Nothing);
        let Coverage::Fields(_) = weakest else { return weakest };
        let mut fields: Vec<String> = Vec::new();
        for name in derived.into_iter().flat_map(|coverage| if let Coverage::Fields(names) = coverage { names } else { Vec::new() }) {
            if !fields.contains(&name) {
                fields.push(name);
            }
        }
        Coverage::Fields(fields)
    }

    /// Whether the sender signs the URL that it was given, so that the receiver must know it.
    pub fn signs_url(&self) -> bool {
        self.signatures.iter().flat_map(signed).any(Locator::needs_url)
    }

    /// Whether nobody can change an event's ID under a signature that holds: where the row says so, and where the ID is the
    /// digest of a body that is covered.
    pub fn event_id_covered(&self) -> bool {
        let is_digest = |template: &Template| template.locators() == [&Locator::BodyDigest];
        let to_the_byte = |signature: &Signature| is_detached(signature) || signed(signature).into_iter().any(is_raw);
        let by_digest = self.event_id.iter().all(is_digest) && self.signatures.iter().all(to_the_byte);
        self.row.event_id_signed || (by_digest && self.coverage() == Coverage::Body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Table;

    fn coverage(row: &str) -> Coverage {
        Table::parse(&format!("[a]\n{row}")).unwrap().get("a").unwrap().coverage()
    }

    #[test]
    fn coverage_follows_from_the_signed_content() {
        let cases = [
            ("signature = { header = \"X\" }", "body"),
            ("signature = { header = \"X\" }\nsigned = \"{url}{form_sorted}\"", "body"),
            ("signature = { header = \"X\" }\nsigned = \"{header:x-id}\"", "nothing"),
            ("signature = { header = \"X\", algorithm = \"token\" }", "nothing"),
            ("signature = [{ header = \"X\" }, { header = \"Y\", algorithm = \"token\" }]", "nothing"),
            ("signature = { from = \"form:s\" }\nsigned = \"{form:t}{form:u}\"", "fields"),
            (
                "signature = { header = \"X\", algorithm = \"jwt\", jwt = { algorithms = [\"HS256\"], claims = { b = [\"{body_sha256}\"] } } }",
                "body",
            ),
            (
                "signature = { header = \"X\", algorithm = \"jwt\", jwt = { algorithms = [\"HS256\"], claims = { iss = [\"a\"] } } }",
                "nothing",
            ),
            ("signature = { header = \"X\", algorithm = \"jwt\", jwt = { algorithms = [\"RS256\"], detached = true } }", "body"),
            ("signature = { header = \"X\" }\ncovers = \"nothing\"", "nothing"),
        ];
        for (row, expected) in cases {
            assert_eq!(coverage(row).as_str(), expected, "{row}");
        }
        assert_eq!(coverage(cases[5].0), Coverage::Fields(vec!["form:t".into(), "form:u".into()]));
    }

    #[test]
    fn the_built_in_rows_that_do_not_cover_the_body_are_known() {
        let table = Table::builtin();
        let of = |name: &str| table.get(name).unwrap().coverage();
        assert_eq!(of("stripe"), Coverage::Body);
        assert_eq!(of("gcp-pubsub"), Coverage::Nothing);
        assert_eq!(of("mailgun").as_str(), "fields");
        assert!(table.get("stripe").unwrap().event_id_covered() && table.get("webflow").unwrap().event_id_covered());
        assert!(!table.get("github").unwrap().event_id_covered() && !table.get("telegram").unwrap().event_id_covered());
    }
}
