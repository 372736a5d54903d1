//! Holds `docs/GUARANTEES.md`: each guarantee names at least one test, and each test that the document names anywhere exists and
//! runs.

use std::fs;
use std::path::Path;

/// Rows of the table, one for each guarantee.
const GUARANTEES: usize = 8;

#[test]
fn each_guarantee_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/GUARANTEES.md")).expect("docs/GUARANTEES.md can be read");
    let missing = missing(&document, |module| fs::read_to_string(root.join(format!("tests/it/{module}.rs"))).ok());
    assert!(missing.is_empty(), "docs/GUARANTEES.md promises what no test holds:\n{}\n", missing.join("\n"));
}

/// What the document promises without a test. `module` gives a test module's text.
fn missing(document: &str, module: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with('|') && numbered(line)).collect();
    let mut missing = Vec::new();
    if rows.len() != GUARANTEES {
        missing.push(format!("  {} numbered rows instead of {GUARANTEES}", rows.len()));
    }
    for row in rows {
        if tests(row).next().is_none() {
            missing.push(format!("  no test is named: {row}"));
        }
    }
    for (file, name) in document.lines().flat_map(tests) {
        match module(file) {
            None => missing.push(format!("  {file}::{name}: there is no tests/it/{file}.rs")),
            Some(text) if !runs(&text, name) => missing.push(format!("  {file}::{name}: no such test, or it is ignored")),
            Some(_) => {}
        }
    }
    missing
}

/// The tests that a line names, as file and function.
fn tests(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let is_name = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let named = line.split('`').filter_map(|text| text.split_once("::"));
    named.filter(move |(file, name)| is_name(file) && is_name(name))
}

/// Whether a row's first cell is a number.
fn numbered(row: &str) -> bool {
    row.split('|').nth(1).is_some_and(|cell| cell.trim().parse::<usize>().is_ok())
}

/// Whether the text has a function of that name which the attributes above it make a test that is not ignored.
fn runs(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared =
        |line: &&str| line.trim_start_matches("async ").strip_prefix("fn ").is_some_and(|rest| rest.starts_with(&format!("{name}(")));
    let Some(at) = lines.iter().position(declared) else { return false };
    let above: Vec<&&str> = lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//")).collect();
    let test = |line: &&&str| line.starts_with("#[test]") || line.contains("::test");
    above.iter().any(test) && !above.iter().any(|line| line.starts_with("#[ignore"))
}

#[test]
fn a_promise_without_a_test_is_found() {
    let document = |tests: &str| (1..=GUARANTEES).map(|number| format!("| {number} | Once. | {tests} |\n")).collect::<String>();
    let module = |name: &str| {
        let text =
            "#[test]\nfn holds() {}\n#[tokio::test]\n// Why.\nasync fn waits() {}\n#[test]\n#[ignore]\nfn sleeps() {}\nfn helps() {}\n";
        (name == "a").then(|| text.to_owned())
    };
    assert_eq!(missing(&document("`a::holds`, `a::waits`"), module), [""; 0]);
    for promise in ["", "`a::absent`", "`a::hold`", "`a::sleeps`", "`a::helps`", "`b::holds`"] {
        assert_eq!(missing(&document(promise), module).len(), GUARANTEES, "{promise}");
    }
    assert_eq!(missing("| 1 | Once. | `a::holds` |", module).len(), 1);
    let prose = |test: &str| format!("{}- **Where it ends.** There (`{test}`), as `b` says.\n", document("`a::holds`"));
    assert_eq!(missing(&prose("a::waits"), module), [""; 0]);
    assert_eq!(missing(&prose("a::absent"), module).len(), 1, "what stands beside the table is looked at, too");
}
