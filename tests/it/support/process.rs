//! The program as a process of its own, to be killed.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

use super::app::Answer;
use super::{PATIENCE, Request, until};

/// A running `onceward serve`.
pub(crate) struct Process {
    /// `http://127.0.0.1:PORT` of the public listener.
    pub(crate) public: String,
    /// `http://127.0.0.1:PORT` of the admin listener.
    pub(crate) admin: String,
    child: Child,
    client: reqwest::Client,
    printed: Arc<Mutex<String>>,
}

impl Process {
    /// Starts `onceward serve` with these arguments, on free ports, in that folder.
    pub(crate) async fn serve(folder: &Path, arguments: &[&str]) -> Self {
        Self::start(Self::command(folder, arguments)).await
    }

    /// What [`Process::serve`] starts, for tests that change something about it first.
    pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
        command.arg("serve").args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(arguments);
        command.current_dir(folder).env_clear();
        command
    }

    /// Starts a [`Process::command`] and waits until it says where it listens.
    pub(crate) async fn start(command: Command) -> Self {
        Self::attempt(command).await.unwrap_or_else(|(_, printed)| panic!("the program ended before it was ready: {printed}"))
    }

    /// As [`Process::start`], of a program that may end before that: then how it ended, and what it printed.
    pub(crate) async fn attempt(mut command: Command) -> Result<Self, (ExitStatus, String)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let printed = Arc::new(Mutex::default());
        keep(child.stderr.take().unwrap(), &printed);
        keep(child.stdout.take().unwrap(), &printed);
        let said = |printed: &Mutex<String>| {
            let printed = printed.lock().unwrap();
            let line = printed.lines().find(|line| line.contains("API on http://"))?;
            let addresses: Vec<_> = line.split_whitespace().filter(|word| word.starts_with("http://")).collect();
            Some((addresses[0].trim_end_matches(',').to_owned(), addresses[1].to_owned()))
        };
        until("the program says where it listens", || std::future::ready(said(&printed).is_some() || child.try_wait().unwrap().is_some()))
            .await;
        let Some((public, admin)) = said(&printed) else {
            let status = child.wait().await.unwrap();
            return Err((status, printed.lock().unwrap().clone()));
        };
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Ok(Self { public, admin, child, client, printed })
    }

    /// Everything that it has printed, on standard output and standard error.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    /// Its process number.
    pub(crate) fn pid(&self) -> String {
        self.child.id().unwrap().to_string()
    }

    /// Sends a request to a source.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        Answer::of(request.build(&self.client, &self.public).send().await.unwrap()).await
    }

    /// Asks the API.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.admin)).send().await.unwrap()).await
    }

    /// Asks the admin listener anything.
    pub(crate) async fn ask(&self, request: Request) -> Answer {
        Answer::of(request.build(&self.client, &self.admin).send().await.unwrap()).await
    }

    /// All rows of a list, page by page.
    pub(crate) async fn rows(&self, path: &str) -> Vec<Value> {
        let (mut rows, mut next) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}{}limit=200{next}", if path.contains('?') { '&' } else { '?' })).await.json();
            rows.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return rows,
            }
        }
    }

    /// Waits until no delivery is unfinished.
    pub(crate) async fn settled(&self) {
        until("every delivery has ended", async || self.rows("/api/v1/deliveries?status=pending").await.is_empty()).await;
    }

    /// Kills it: no chance to finish anything.
    pub(crate) async fn kill(mut self) -> ExitStatus {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap()
    }

    /// Asks it to end, and returns its exit code.
    pub(crate) async fn terminate(self) -> Option<i32> {
        self.signal("TERM").await;
        self.ended().await.code()
    }

    /// Sends it a signal.
    pub(crate) async fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &self.pid()]).status().await.unwrap();
        assert!(sent.success());
    }

    /// How it has ended, if it has.
    pub(crate) fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("the program does not end").unwrap()
    }
}

/// Reads what the program prints, so that it never waits for us, and keeps it.
fn keep(from: impl AsyncRead + Unpin + Send + 'static, printed: &Arc<Mutex<String>>) {
    let printed = Arc::clone(printed);
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut printed = printed.lock().unwrap();
            printed.push_str(&line);
            printed.push('\n');
        }
    });
}
