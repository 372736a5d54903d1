//! Somebody who does what a page says, block by block, in a folder of their own.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::page::{Block, words};
use super::shape::differences;
use crate::support::command::{Ran, command};
use crate::support::{Answer, Process, Receiver, until};

/// Where the pages have the application.
const APPLICATION: &str = "http://127.0.0.1:3000";
/// Where the pages have the two listeners.
const PUBLIC: &str = "http://127.0.0.1:8080";
const ADMIN: &str = "http://127.0.0.1:8081";

/// The reader.
pub(super) struct Walk {
    folder: TempDir,
    application: Receiver,
    variables: BTreeMap<String, String>,
    server: Option<Process>,
    client: reqwest::Client,
    /// What was last answered.
    answer: Option<Answer>,
    /// Every request that was made of the API: its method, and its path without the query.
    pub(super) asked: Vec<(String, String)>,
    /// How many commands were run.
    pub(super) commands: usize,
    /// How many forged requests were sent.
    forged: usize,
}

impl Walk {
    /// In a folder that has the recorded requests.
    pub(super) async fn begin() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures"), folder.path().join("fixtures")).unwrap();
        Self {
            folder,
            application: Receiver::start().await,
            variables: BTreeMap::new(),
            server: None,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            answer: None,
            asked: Vec::new(),
            commands: 0,
            forged: 0,
        }
    }

    /// Does what a block says: writes a file, runs commands, or compares the last answer.
    pub(super) async fn follow(&mut self, block: &Block) {
        if let Some(file) = block.info.strip_prefix("toml ").filter(|file| file.ends_with(".toml")) {
            std::fs::write(self.folder.path().join(file), self.here(&block.text)).unwrap();
        }
        if let Some(code) = block.run() {
            for command in block.commands() {
                self.run(&command, code, &block.at).await;
            }
        }
        if block.info == "json" {
            let documented: Value = serde_json::from_str(&block.text).unwrap_or_else(|error| panic!("{}: {error}", block.at));
            let answer = self.answer.take().unwrap_or_else(|| panic!("{}: an answer to nothing", block.at));
            let differences = differences(&documented, &answer.json(), "");
            assert!(differences.is_empty(), "{}: {differences:#?}\n{:#}", block.at, answer.json());
        }
    }

    /// Stops the server. The application must have got what it was sent.
    pub(super) async fn end(self) {
        if let Some(server) = self.server {
            server.settled().await;
            assert!(self.application.count() > 0, "the application has got nothing");
            assert_eq!(server.terminate().await, Some(0));
        }
    }

    async fn run(&mut self, line: &str, code: &str, at: &str) {
        self.commands += 1;
        let words = words(line, &self.variables);
        let words: Vec<_> = words.iter().map(|word| self.here(word)).collect();
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match *words {
            ["export", setting] => {
                let (name, value) = setting.split_once('=').unwrap();
                self.variables.insert(name.to_owned(), value.to_owned());
            }
            ["onceward", "serve", ref arguments @ ..] => self.serve(arguments).await,
            ["onceward", ref arguments @ ..] => {
                self.forged += usize::from(arguments.contains(&"--tamper"));
                let command = self.dress(command(self.folder.path(), arguments));
                Ran::of(command).await.ended(if code.is_empty() { 0 } else { code.parse().unwrap() });
            }
            ["curl", ref arguments @ ..] => self.curl(arguments, code, at).await,
            _ => panic!("{at}: no such command here: {line}"),
        }
    }

    /// Starts the server, instead of the one that may run.
    async fn serve(&mut self, arguments: &[&str]) {
        if let Some(server) = self.server.take() {
            assert_eq!(server.terminate().await, Some(0));
        }
        let command = self.dress(Process::command(self.folder.path(), arguments));
        self.server = Some(Process::start(command).await);
    }

    /// Asks as curl does, once everything is delivered and noted that can be, so that answers are as the page has them.
    async fn curl(&mut self, arguments: &[&str], code: &str, at: &str) {
        let server = self.server.as_ref().unwrap_or_else(|| panic!("{at}: no server runs"));
        server.settled().await;
        until("refusals are in the log", async || server.rows("/api/v1/rejections").await.len() >= self.forged).await;
        let (method, url, request) = self.request(arguments, at);
        let response = request.send().await.unwrap();
        self.asked.push((method.clone(), response.url().path().to_owned()));
        let status = response.status().as_u16();
        let is_expected = if code.is_empty() { (200..300).contains(&status) } else { status.to_string() == code };
        let is_stream = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        // A stream has no end.
        self.answer = if is_stream { None } else { Some(Answer::of(response).await) };
        assert!(is_expected, "{at}: {method} {url} was answered {status}: {:?}", self.answer);
    }

    /// What curl asks for: the method, the URL, and the whole request.
    fn request(&self, arguments: &[&str], at: &str) -> (String, String, reqwest::RequestBuilder) {
        let (mut method, mut url, mut body, mut headers) = (None, None, None, Vec::new());
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match *argument {
                "-N" => {}
                "-X" => method = rest.next().copied(),
                "-d" => body = rest.next().map(|body| (*body).to_owned()),
                "-H" => headers.extend(rest.next().and_then(|header| header.split_once(": "))),
                option if option.starts_with('-') => panic!("{at}: no such option here: {option}"),
                address => url = Some(address),
            }
        }
        let url = url.unwrap_or_else(|| panic!("{at}: no URL"));
        let method = method.unwrap_or(if body.is_some() { "POST" } else { "GET" });
        let request = self.client.request(method.parse().unwrap(), url).body(body.unwrap_or_default());
        let request = headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
        (method.to_owned(), url.to_owned(), request)
    }

    /// Gives a command the variables that were exported, and the path on which its own commands are found.
    fn dress(&self, mut command: Command) -> Command {
        command.envs(&self.variables).env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    /// A text of the page with the addresses that are here.
    fn here(&self, text: &str) -> String {
        let text = text.replace(APPLICATION, self.application.url.trim_end_matches('/'));
        match &self.server {
            Some(server) => text.replace(ADMIN, &server.admin).replace(PUBLIC, &server.public),
            None => text,
        }
    }
}
