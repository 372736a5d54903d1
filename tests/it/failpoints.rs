//! Holds `failpoint::ALL` against the code: each point stands in one place, and each place has a point.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use onceward::failpoint::ALL;

#[test]
fn each_failpoint_of_the_list_stands_in_one_place_and_no_other_does() {
    let mut places = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut places);
    let listed: BTreeMap<_, _> = ALL.iter().map(|name| ((*name).to_owned(), 1)).collect();
    assert_eq!(listed.len(), ALL.len(), "a name stands twice in the list");
    assert_eq!(places, listed);
}

/// How often each point is reached for in the sources below a folder.
fn walk(folder: &Path, places: &mut BTreeMap<String, usize>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, places);
            continue;
        }
        for name in reached(&fs::read_to_string(&path).unwrap()) {
            *places.entry(name).or_default() += 1;
        }
    }
}

/// The points that a text reaches for, comments aside.
fn reached(text: &str) -> Vec<String> {
    let code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    let calls = code.flat_map(|line| line.split("failpoint::reach(\"").skip(1));
    calls.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}

#[test]
fn a_point_is_found_wherever_it_stands_and_not_in_a_comment() {
    let text = "fn f() {\n    // failpoint::reach(\"x\");\n    failpoint::reach(\"a.b\"); return failpoint::reach(\"c\");\n}";
    assert_eq!(reached(text), ["a.b", "c"]);
}
