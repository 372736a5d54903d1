//! Changes that may be accepted, each with its reason.

use std::collections::BTreeSet;

use onceward::provider::{Algorithm, Locator, Naming, Place, Want};

use super::change::Change;
use super::{Case, with_header};

/// Whether both values are one and the same, by the standard that defines them.
pub(super) fn is_equal(case: &Case, name: &str, old: &[u8], new: &[u8]) -> bool {
    let is_own = matches!(&case.signature.place, Place::Header(own) if own == name);
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let same_words = |old: &str, new: &str| old.split_whitespace().eq(new.split_whitespace());
    match case.signature.algorithm {
        // The name of an authentication scheme has no case (RFC 9110 §11.1).
        Algorithm::Basic if is_own => {
            let (old, new) = (old.split_once(' '), new.split_once(' '));
            old.zip(new).is_some_and(|(old, new)| old.0.eq_ignore_ascii_case(new.0) && same_words(old.1, new.1))
        }
        // A row that takes an item whatever its name is does not say that the name is signed.
        // Blanks around the items of a list say nothing.
        _ if is_own && same_items(case, &old, &new) => true,
        _ if is_own => {
            let Some(list) = case.signature.items.as_ref().filter(|list| list.take.contains(&Want::Something)) else { return false };
            let Naming::Pair(pair) = &list.naming else { return false };
            let value = |item: &str| item.split_once(pair.as_str()).map(|(_, value)| value.to_owned());
            old.split(&list.separator).map(value).eq(new.split(&list.separator).map(value))
        }
        _ => false,
    }
}

fn same_items(case: &Case, old: &str, new: &str) -> bool {
    let items = |text: &str, separator: &str| text.split(separator).map(|item| item.trim().to_owned()).collect::<Vec<_>>();
    case.signature.items.as_ref().is_some_and(|list| items(old, &list.separator) == items(new, &list.separator))
}

/// Whether the request does without the item of the list, or the header, in which the change is: what nothing rests on
/// may be anything.
pub(super) fn is_idle(case: &Case, name: &str, value: &[u8], change: Change) -> bool {
    let request = case.request();
    if case.holds(&with_header(request, name, None)) {
        return true;
    }
    let Some(list) = &case.signature.items else { return false };
    let text = String::from_utf8_lossy(value);
    let separators = list.sets.iter().chain([&list.separator]);
    separators.into_iter().any(|separator| {
        let mut end = 0;
        let kept: Vec<_> = text
            .split(separator.as_str())
            .filter(|item| {
                let start = end;
                end += item.len() + separator.len();
                !(start..end).contains(&change.at())
            })
            .collect();
        case.holds(&with_header(request, name, Some(kept.join(separator).as_bytes())))
    })
}

/// Whether a changed form or document says the same: a sender that signs what it says does not sign how it is written.
pub(super) fn same_form(case: &Case, new: &[u8]) -> bool {
    let old = &case.request().body;
    // A canonical form is signed: how the document is written is not.
    if case.signed().contains(&&Locator::CanonicalJson) {
        let document = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).ok();
        return document(old).is_some() && document(old) == document(new);
    }
    let is_form = case.request().headers.text("content-type").is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
    if !is_form {
        return false;
    }
    let fields = |body: &[u8]| form_urlencoded::parse(body).into_owned().collect::<Vec<_>>();
    let run_together =
        |body: &[u8]| fields(body).into_iter().collect::<BTreeSet<_>>().into_iter().map(|(name, value)| name + &value).collect::<String>();
    let signed = case.signed();
    match () {
        // Twilio and Mandrill sign names and values run together: where one ends and the other begins is not signed.
        () if signed.contains(&&Locator::FormSorted) => run_together(old) == run_together(new),
        () if signed.contains(&&Locator::UrlFormSorted) => {
            let sorted = |body: &[u8]| {
                let mut fields = fields(body);
                fields.sort_unstable();
                fields.into_iter().map(|(name, value)| name + &value).collect::<String>()
            };
            sorted(old) == sorted(new)
        }
        () if signed.contains(&&Locator::Document) || signed.iter().any(|place| matches!(place, Locator::Form(_))) => {
            fields(old) == fields(new)
        }
        () => false,
    }
}
