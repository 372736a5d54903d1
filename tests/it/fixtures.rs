//! Every fixture is judged as its file says, and every provider has the fixtures that it must have.

mod kinds;

use std::path::Path;

use onceward::domain::SystemClock;
use onceward::fixture::{self, Expect, Fixture};
use onceward::provider::Table;

/// Every fixture, with its file.
pub(crate) fn all() -> Vec<(std::path::PathBuf, Fixture)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    fixture::load(&folder).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn every_fixture_is_judged_as_its_file_says() {
    let table = Table::builtin();
    let mut wrong = Vec::new();
    let fixtures = all();
    assert!(fixtures.len() > 100, "the folder was not found");
    for (file, fixture) in &fixtures {
        let judged = fixture::judge(fixture, &table, &[], &SystemClock).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        if Some(&judged.outcome) != fixture.expect.as_ref() {
            wrong.push(format!("{}: expected {:?}, came {} ({})", file.display(), fixture.expect, judged.outcome, judged.diagnosis));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_accepted_fixture_signed_again_is_accepted_under_its_own_name() {
    let table = Table::builtin();
    let now = onceward::domain::Timestamp::parse("2031-05-06T07:08:09Z").unwrap();
    let mut signed = 0;
    for (file, mut fixture) in all() {
        // An ID that is the time of arrival is another one at another time.
        match &fixture.expect {
            Some(Expect::Accepted { event_id, .. }) if !event_id.starts_with("arrival:") => {}
            _ => continue,
        }
        let verifier = fixture::verifier(&fixture, &table, &[]).unwrap();
        // Only its sender can sign for a public key, and tokens are not made here.
        let Ok(request) = verifier.sign(&fixture.request, now) else { continue };
        fixture.request = request;
        fixture.at = Some(now);
        let judged = fixture::judge(&fixture, &table, &[], &SystemClock).unwrap();
        assert_eq!(Some(&judged.outcome), fixture.expect.as_ref(), "{}: {}", file.display(), judged.diagnosis);
        signed += 1;
    }
    assert!(signed > 30);
}

#[test]
fn the_readme_says_how_many_senders_there_are() {
    let (readme, count) = (include_str!("../../README.md"), Table::builtin().iter().count());
    assert!(readme.contains(&format!("Built in are {count}, ")), "README.md says another number than {count}");
    let changelog = include_str!("../../CHANGELOG.md");
    assert!(changelog.contains(&format!("- {count} senders ")), "CHANGELOG.md says another number than {count}");
}
