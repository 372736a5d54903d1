//! The pages for users hold: somebody does what they say, and gets what they show. In a page,
//!
//! - a `toml` block is a whole configuration (`toml ignore` is not), and `toml NAME.toml` is also written to that file;
//! - a `sh run` block is run, a command a line: `export`, `onceward`, `curl`; a number behind it is the exit code, or the status of
//!   the answer, where that is not success;
//! - a `json` block is the last answer, shortened.

mod page;
mod shape;
mod walk;

use std::collections::BTreeSet;

use onceward::config::Config;
use serde_json::Value;

use crate::support::{Receiver, TestApp};
use page::{Block, blocks, read};
use walk::Walk;

/// The pages that are held.
const PAGES: &[&str] = &["docs/QUICKSTART.md", "docs/STRIPE.md", "docs/GITHUB.md", "docs/SECURITY.md", "docs/API.md", "docs/CLI.md"];

fn page(name: &str) -> Vec<Block> {
    blocks(name, &read(name))
}

async fn walk(name: &str) -> Walk {
    let mut walk = Walk::begin().await;
    for block in page(name) {
        walk.follow(&block).await;
    }
    walk
}

#[test]
fn configurations_are_valid() {
    let mut seen = 0;
    for block in PAGES.iter().flat_map(|name| page(name)) {
        if block.info == "toml" || block.info.ends_with(".toml") {
            seen += 1;
            let parsed = Config::parse(&block.at, &block.text, &|name| Some(format!("the value of {name}")));
            assert!(parsed.is_ok(), "{}", parsed.unwrap_err());
        }
    }
    assert!(seen >= 10, "{seen} configurations");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quick_start_works() {
    let walk = walk("docs/QUICKSTART.md").await;
    assert!(walk.commands >= 15, "{}", walk.commands);
    walk.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_stripe_and_github_work() {
    for name in ["docs/STRIPE.md", "docs/GITHUB.md"] {
        let walk = walk(name).await;
        assert!(walk.commands >= 9, "{name}: {}", walk.commands);
        walk.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_as_its_page_says_and_the_page_has_all_of_it() {
    let walk = walk("docs/API.md").await;
    let offered = offered().await;
    assert!(offered.len() >= 30, "{offered:?}");
    let is_shown = |(method, template): &&(String, String)| walk.asked.iter().any(|(asked, path)| asked == method && fits(template, path));
    let missing: Vec<_> = offered.iter().filter(|offer| !is_shown(offer)).collect();
    assert!(missing.is_empty(), "docs/API.md has no example of {missing:?}");
    walk.end().await;
}

/// Every method of every resource of the API, as the program itself says it.
async fn offered() -> BTreeSet<(String, String)> {
    let receiver = Receiver::start().await;
    let app = TestApp::start(&format!("[sources.a]\nprovider = \"github\"\nsecret = \"s\"\nforward = \"{}\"\n", receiver.url)).await;
    let document = app.json("/api/v1/openapi.json").await;
    app.finish().await;
    let paths = document["paths"].as_object().unwrap().iter();
    let methods = |(path, item): (&String, &Value)| {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.flat_map(methods).collect()
}

/// Whether a path is one of a template's; a fixed name is no value of a placeholder.
fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let fits = |(part, value): (&&str, &&str)| if part.starts_with('{') { !matches!(*value, "retry" | "reverify") } else { part == value };
    template.len() == path.len() && template.iter().zip(&path).all(fits)
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for name in PAGES.iter().copied().chain(["README.md"]) {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (target, anchor) in links(&read(name)) {
            seen += 1;
            let file = if target.is_empty() { name.to_owned() } else { format!("{folder}/{target}") };
            let found = read(file.trim_start_matches('/'));
            let is_there = anchor.is_empty() || anchors(&found).contains(&anchor);
            assert!(is_there, "{name}: {file} has no heading #{anchor}");
        }
    }
    assert!(seen >= 60, "{seen} links");
}

/// The links to files and headings of the repository, in two parts.
fn links(page: &str) -> Vec<(String, String)> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let own = targets.filter(|target| !target.contains("://"));
    own.map(|target| target.split_once('#').unwrap_or((target, ""))).map(|(file, anchor)| (file.to_owned(), anchor.to_owned())).collect()
}

/// The anchors that headings have.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim().to_lowercase());
    headings.map(|text| text.replace(' ', "-").chars().filter(|char| char.is_alphanumeric() || "-_".contains(*char)).collect()).collect()
}
