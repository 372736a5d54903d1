//! Holds `docs/ARCHITECTURE.md` and the size budgets against the sources: which module may use which, which name may
//! stand where, how long a file and a function may be. Test code inside `src/` is exempt. Each rule is a function from
//! sources to offences, and is itself tested on a bad example, so that none of them can quietly stop looking.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// The most lines of a file, its tests aside.
const FILE_LINES: usize = 400;
/// The most lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES: usize = 60;

/// Names that belong into some folders only: the name, where it may stand, why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("::attest", &["src/verify"], "only verify attests an event"),
    ("rusqlite", &["src/store/sqlite"], "only the SQLite engine knows SQLite"),
    ("sqlite", &["src/store", "src/app"], "only app names an engine"),
    ("actix_*", &["src/http", "src/app"], "only http and its wiring know the HTTP server"),
    ("cel", &["src/route/filter"], "only filters know CEL"),
    (
        "utoipa",
        &["src/domain/schema", "src/feed/entry", "src/history", "src/provider/view", "src/replay/view", "src/http"],
        "only what the API takes and answers has a schema",
    ),
    (
        "expose_secret",
        &[
            "src/verify",
            "src/http",
            "src/fixture",
            "src/config",
            "src/store/sqlite/learned",
            "src/cli/learned",
            "src/cli/remote",
            "src/deliver/http/credentials",
            "src/deliver/exec",
        ],
        "secrets are read where they are used, nowhere else",
    ),
];

#[test]
fn modules_import_only_what_the_table_allows() {
    let table = Table::parse(&read("docs/ARCHITECTURE.md"));
    assert!(table.0.len() > 10, "the module table of docs/ARCHITECTURE.md was not found: {table:?}");
    report(&sources().iter().flat_map(|source| imports(source, &table)).collect::<Vec<_>>());
}

#[test]
fn names_stand_only_where_they_belong() {
    report(&sources().iter().flat_map(confined).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_keep_their_budgets() {
    report(&sources().iter().flat_map(|source| [file_budget(source), function_budget(source)].concat()).collect::<Vec<_>>());
}

fn report(offences: &[Offence]) {
    let list = offences.iter().map(Offence::to_string).collect::<Vec<_>>().join("\n");
    assert!(offences.is_empty(), "{} against docs/ARCHITECTURE.md:\n{list}\n", offences.len());
}

/// A rule broken at a place.
#[derive(Debug, Clone, PartialEq)]
struct Offence {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}:{}: {}", self.path, self.line, self.what)
    }
}

/// A file of the library or the binary.
struct Source {
    path: String,
    /// The text with comments, literals and test items blanked out; every line and column stays where it was.
    code: String,
    /// Lines that belong to no test item.
    lines: usize,
    /// Modules declared as `#[cfg(test)] mod name;`.
    test_modules: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let mut code = masked(text);
        let mut lines = text.lines().count();
        let mut test_modules = Vec::new();
        while let Some(start) = code.find("#[cfg(test)]") {
            let end = item_end(&code, start);
            let item = &code[start..end];
            lines -= item.lines().count();
            if let Some((_, name)) = item.strip_suffix(';').and_then(|item| item.rsplit_once("mod ")) {
                test_modules.push(name.trim().to_owned());
            }
            code.replace_range(start..end, &blank(item));
        }
        Self { path: path.to_owned(), code, lines, test_modules }
    }

    /// The names of the modules from the crate's root to this file: `store`, `sqlite`, `schema`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        path.trim_end_matches("/mod").split('/').collect()
    }

    fn offence(&self, at: usize, what: String) -> Offence {
        Offence { path: self.path.clone(), line: self.line(at), what }
    }

    fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }

    /// Where `name` stands as a word of its own. A `*` at its end stands for the rest of a word; an end that is no part
    /// of a word has no boundary.
    fn uses(&self, name: &str) -> Vec<usize> {
        let stem = name.trim_end_matches('*');
        let word = |at: Option<usize>| at.and_then(|at| self.code.as_bytes().get(at)).is_some_and(|byte| is_word(char::from(*byte)));
        let begins = |at: usize| !stem.starts_with(is_word) || !word(at.checked_sub(1));
        let ends = |at: usize| name != stem || !stem.ends_with(is_word) || !word(Some(at + stem.len()));
        self.code.match_indices(stem).map(|(at, _)| at).filter(|at| begins(*at) && ends(*at)).collect()
    }
}

/// Every file below `src/`, in the order of their paths, without those that are compiled for tests only.
fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    walk(&root().join("src"), &mut paths);
    paths.sort();
    let sources: Vec<Source> = paths.iter().map(|path| Source::new(path, &read(path))).collect();
    let tests: BTreeSet<String> = sources.iter().flat_map(test_files).collect();
    sources.into_iter().filter(|source| !tests.iter().any(|test| belongs(&source.path, test))).collect()
}

/// Whether a file is the module `home`, or below it.
fn belongs(path: &str, home: &str) -> bool {
    path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// The files or folders, without extension, of the modules that a source declares for tests only.
fn test_files(source: &Source) -> Vec<String> {
    let folder = source.path.trim_end_matches("/mod.rs").trim_end_matches("/lib.rs").trim_end_matches(".rs");
    source.test_modules.iter().map(|name| format!("{folder}/{name}")).collect()
}

fn walk(folder: &Path, paths: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder below src/ can be listed") {
        let path = entry.expect("a folder below src/ can be listed").path();
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(root()).expect("the walk began at the root");
            paths.push(path.to_str().expect("file names are UTF-8").replace('\\', "/"));
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The module table: what each module may import.
#[derive(Debug)]
struct Table(BTreeMap<String, BTreeSet<String>>);

impl Table {
    /// Reads the rows of the form ``| `module` | what it is | a, b |``. "All below" is everything but the modules that
    /// import the one in question.
    fn parse(document: &str) -> Self {
        let mut rows = BTreeMap::new();
        for line in document.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let [_, name, _, imports, _] = cells[..] else { continue };
            let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
            let imports = imports.split(',').map(|import| import.trim().trim_matches('`').to_owned());
            rows.insert(name.to_owned(), imports.filter(|import| import != "–").collect::<BTreeSet<_>>());
        }
        let all_below = |name: &String| rows.iter().filter(|row| !row.1.contains(name)).map(|row| row.0.clone()).collect();
        let resolved = rows.iter().map(|(name, imports)| {
            let imports = if imports.contains("all below") { all_below(name) } else { imports.clone() };
            (name.clone(), imports)
        });
        Self(resolved.collect())
    }
}

/// References to other modules that the table does not allow, and modules that it does not know.
fn imports(source: &Source, table: &Table) -> Vec<Offence> {
    let module = source.module()[0];
    if ["lib", "main"].contains(&module) {
        return Vec::new();
    }
    let Some(allowed) = table.0.get(module) else {
        return vec![source.offence(0, format!("module `{module}` has no row in the table"))];
    };
    let fits = |name: &str| name == module || name == "domain" || allowed.contains(name);
    let wrong = references(source, table).into_iter().filter(|(_, name)| !fits(name));
    wrong.map(|(at, name)| source.offence(at, format!("`{module}` may not import `{name}`"))).collect()
}

/// What follows `crate::`, and the modules that follow `super::` where that is the crate's root.
fn references(source: &Source, table: &Table) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in source.uses("crate::") {
        found.extend(first_names(&source.code[at + "crate::".len()..]).into_iter().map(|name| (at, name)));
    }
    for at in source.uses("super::").into_iter().filter(|at| !source.code[..*at].ends_with("super::")) {
        let rest = source.code[at..].trim_start_matches("super::");
        let steps = (source.code.len() - at - rest.len()) / "super::".len();
        if steps >= source.module().len() {
            found.extend(first_names(rest).into_iter().filter(|name| table.0.contains_key(name)).map(|name| (at, name)));
        }
    }
    found
}

/// The first name of each path in `a::B`, or in `{a::B, c::{D, E}}`.
fn first_names(paths: &str) -> Vec<String> {
    let name = |path: &str| path.trim_start().chars().take_while(|c| is_word(*c)).collect::<String>();
    if !paths.starts_with('{') {
        return vec![name(paths)];
    }
    let group = &paths[1..block_end(paths, 0) - 1];
    let mut depth = 0;
    let outer = group.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    outer.map(name).filter(|name| !name.is_empty()).collect()
}

/// Names outside the folders in which they belong.
fn confined(source: &Source) -> Vec<Offence> {
    let foreign = CONFINED.iter().filter(|(_, homes, _)| !homes.iter().any(|home| belongs(&source.path, home)));
    let uses = foreign.flat_map(|rule| source.uses(rule.0).into_iter().map(move |at| (at, rule)));
    uses.map(|(at, (name, homes, why))| source.offence(at, format!("`{name}` outside {}: {why}", homes.join(" and ")))).collect()
}

/// Whether the file is too long.
fn file_budget(source: &Source) -> Vec<Offence> {
    let what = format!("{} lines without tests, the budget is {FILE_LINES}", source.lines);
    if source.lines > FILE_LINES { vec![source.offence(0, what)] } else { Vec::new() }
}

/// Functions that are too long.
fn function_budget(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for at in source.uses("fn") {
        let rest = &source.code[at + 2..];
        let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
        let lines = source.code[at..item_end(&source.code, at)].lines().count();
        if !name.is_empty() && rest.starts_with(char::is_whitespace) && lines > FUNCTION_LINES {
            offences.push(source.offence(at, format!("function `{name}` has {lines} lines, the limit is {FUNCTION_LINES}")));
        }
    }
    offences
}

/// Where the item that begins at `start`, or at the attributes there, ends: behind its `;`, or behind its block.
fn item_end(code: &str, start: usize) -> usize {
    let mut depth = 0_u32;
    for (at, byte) in code.bytes().enumerate().skip(start) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b'{' if depth == 0 => return block_end(code, at),
            b';' if depth == 0 => return at + 1,
            b'}' if depth == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

/// Where the block that opens at `open` ends, behind its brace.
fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0_u32;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return at + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The text with comments and literals blanked out.
fn masked(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    while let Some(next) = text[code.len()..].chars().next() {
        let rest = &text[code.len()..];
        match opaque(rest) {
            Some(length) => code.push_str(&blank(&rest[..length])),
            None => code.push(next),
        }
    }
    code
}

/// Spaces of the same length in bytes; line ends stay.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

/// The length of the comment or literal with which `rest` begins, if it begins with one.
fn opaque(rest: &str) -> Option<usize> {
    let until = |from: usize, end: &str| rest.get(from..).and_then(|tail| tail.find(end)).map_or(rest.len(), |at| from + at + end.len());
    match rest.as_bytes() {
        [b'/', b'/', ..] => Some(rest.find('\n').unwrap_or(rest.len())),
        [b'/', b'*', ..] => Some(comment_length(rest)),
        [b'"', ..] => Some(string_length(rest)),
        [b'r', b'#' | b'"', ..] => {
            let hashes = rest[1..].bytes().take_while(|byte| *byte == b'#').count();
            let quoted = rest[1 + hashes..].starts_with('"');
            quoted.then(|| until(hashes + 2, &format!("\"{}", "#".repeat(hashes))))
        }
        [b'\'', b'\\', ..] => Some(until(3, "'")),
        [b'\'', ..] => {
            let length = rest.chars().nth(1).map_or(0, char::len_utf8);
            rest[1 + length..].starts_with('\'').then_some(length + 2)
        }
        _ => None,
    }
}

fn string_length(rest: &str) -> usize {
    let mut escaped = true;
    let end = rest.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |at| at + 1)
}

fn comment_length(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0_u32);
    loop {
        let tail = &rest.as_bytes()[at..];
        match tail {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            [] => return at,
            _ => at += 1,
        }
    }
}

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

/// The rules themselves, on bad examples.
mod rules {
    use super::*;

    const TABLE: &str = "| module | is | may import |\n|---|---|---|\n| `domain` | types | – |\n| `net` | client | domain |\n\
        | `store` | roles | domain |\n| `app` | wiring | all below |\n| `cli` | commands | app, net |\n";

    fn imported(path: &str, text: &str) -> Vec<String> {
        imports(&Source::new(path, text), &Table::parse(TABLE)).iter().map(Offence::to_string).collect()
    }

    fn places(offences: &[Offence]) -> Vec<usize> {
        offences.iter().map(|offence| offence.line).collect()
    }

    #[test]
    fn an_import_that_the_table_lacks_is_found_by_file_and_line() {
        let found = imported("src/net/client.rs", "//! Client.\nuse crate::domain::Headers;\nuse crate::store::Inbox;\n");
        assert_eq!(found, ["  src/net/client.rs:3: `net` may not import `store`"]);
    }

    #[test]
    fn an_import_is_found_in_every_form() {
        for text in [
            "fn f() { crate::store::open() }",
            "use crate::{domain::{Body, Code}, store::{self, Inbox}};",
            "use crate::{\n    store,\n    domain::Body,\n};",
            "use super::super::store;",
            "pub use crate::store as other;",
        ] {
            assert_eq!(imported("src/net/client.rs", text).len(), 1, "{text}");
        }
        assert_eq!(imported("src/net/mod.rs", "use super::store;").len(), 1);
    }

    #[test]
    fn what_the_table_allows_is_no_offence() {
        assert_eq!(imported("src/net/client.rs", "use super::cap;\nuse crate::net::cap;\nuse crate::domain::Body;"), [""; 0]);
        assert_eq!(imported("src/app/mod.rs", "use crate::{net, store::Inbox};"), [""; 0]);
        assert_eq!(imported("src/lib.rs", "pub mod store;"), [""; 0]);
    }

    #[test]
    fn all_below_leaves_out_who_imports_it() {
        assert_eq!(imported("src/app/mod.rs", "use crate::cli::Args;").len(), 1);
    }

    #[test]
    fn a_module_without_a_row_is_found() {
        assert_eq!(imported("src/extras.rs", ""), ["  src/extras.rs:1: module `extras` has no row in the table"]);
    }

    #[test]
    fn comments_literals_and_tests_are_exempt() {
        let text = r##"
            // use crate::store::Inbox;
            /* crate::store /* nested */ crate::store */
            const A: (&str, &str, char, char) = ("\" crate::store", r#"" crate::store"#, '"', '\'');
            fn lifetime<'a>(text: &'a str) -> &'a str { text }
            #[cfg(test)]
            mod tests { use crate::store::Inbox; }
            #[cfg(test)]
            use crate::store::Memory;
        "##;
        assert_eq!(imported("src/net/client.rs", text), [""; 0]);
        let late = format!("{text}use crate::store::Outbox;");
        assert_eq!(imported("src/net/client.rs", &late), ["  src/net/client.rs:10: `net` may not import `store`"]);
    }

    #[test]
    fn a_file_compiled_for_tests_only_is_known_by_its_declaration() {
        let source = Source::new("src/store/mod.rs", "mod query;\n#[cfg(test)]\npub(crate) mod contract;\n");
        assert_eq!(test_files(&source), ["src/store/contract"]);
        assert_eq!(test_files(&Source::new("src/lib.rs", "#[cfg(test)] mod support;")), ["src/support"]);
    }

    #[test]
    fn each_confined_name_is_found_outside_its_home_and_only_there() {
        let cases = [
            ("fn f() { VerifiedEvent::attest(parts) }", "src/ingest/mod.rs", "src/verify/mod.rs"),
            ("use rusqlite::Connection;", "src/store/mod.rs", "src/store/sqlite/mod.rs"),
            ("use crate::store::sqlite;", "src/cli/events.rs", "src/app/mod.rs"),
            ("use actix_web::web;", "src/cli/serve.rs", "src/http/mod.rs"),
            ("#[actix_rt::main]", "src/main.rs", "src/app.rs"),
            ("fn f() { secret.expose_secret() }", "src/domain/mod.rs", "src/http/token.rs"),
        ];
        for (text, outside, home) in cases {
            let text = format!("\n{text}");
            assert_eq!(places(&confined(&Source::new(outside, &text))), [2], "{outside}: {text}");
            assert_eq!(places(&confined(&Source::new(home, &text))), [0; 0], "{home}: {text}");
        }
        let definition = "impl VerifiedEvent { pub fn attest(parts: Parts) -> Self { Self(parts) } }";
        assert_eq!(places(&confined(&Source::new("src/domain/event.rs", definition))), [0; 0]);
    }

    #[test]
    fn a_file_over_its_budget_is_found_and_its_tests_do_not_count() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(FILE_LINES));
        let full = "\n".repeat(FILE_LINES);
        assert_eq!(file_budget(&Source::new("src/a.rs", &format!("{full}{tests}"))), []);
        assert_eq!(file_budget(&Source::new("src/a.rs", &format!("{full}\n{tests}"))).len(), 1);
    }

    #[test]
    fn a_function_over_its_budget_is_found_by_its_first_line() {
        let function = |lines: usize| format!("\nfn long(f: fn(u8)) -> [u8; 2] {{{}}}\nfn after() {{}}\n", "\n".repeat(lines - 1));
        assert_eq!(function_budget(&Source::new("src/a.rs", &function(FUNCTION_LINES))), []);
        assert_eq!(places(&function_budget(&Source::new("src/a.rs", &function(FUNCTION_LINES + 1)))), [2]);
        assert_eq!(function_budget(&Source::new("src/a.rs", "trait T {\n    fn declared(&self);\n}\n")), []);
    }
}
