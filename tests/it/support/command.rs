//! The command line as a user runs it: a command in a folder, its exit code and everything it printed.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::process::Command;

use super::PATIENCE;

/// What no command may print.
pub(crate) const SECRETS: &[&str] = &[super::signed::SECRET, "hunter2"];

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// `onceward` with these arguments in that folder and an empty environment.
pub(crate) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
    command.args(arguments).current_dir(folder).env_clear().kill_on_drop(true);
    command
}

/// Runs `onceward` with these arguments in that folder.
pub(crate) async fn onceward(folder: &Path, arguments: &[&str]) -> Ran {
    Ran::of(command(folder, arguments)).await
}

impl Ran {
    /// Runs a [`command`] to its end. Fails the test when it panics, does not end, or prints a secret.
    pub(crate) async fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let running = command.spawn().unwrap().wait_with_output();
        let output = tokio::time::timeout(PATIENCE, running).await.unwrap_or_else(|_| panic!("does not end: {command:?}")).unwrap();
        let Output { status, stdout, stderr } = output;
        let ran = Self {
            code: status.code(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        };
        assert!(!ran.stderr.contains("panicked"), "{command:?}: {}", ran.stderr);
        for secret in SECRETS {
            assert!(!ran.stdout.contains(secret) && !ran.stderr.contains(secret), "a secret was printed: {command:?}\n{ran:#?}");
        }
        ran
    }

    /// Fails the test unless this was the exit code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless standard output has every one of these.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        let missing: Vec<_> = parts.iter().filter(|part| !self.stdout.contains(**part)).collect();
        assert!(missing.is_empty(), "{missing:?} is not in:\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless standard error is one line: `error:`, and every one of these.
    #[track_caller]
    pub(crate) fn complains(self, parts: &[&str]) -> Self {
        let one_line = self.stderr.starts_with("error: ") && self.stderr.trim_end().lines().count() == 1;
        assert!(one_line && self.stdout.is_empty(), "more than one line of an error: {self:#?}");
        let missing: Vec<_> = parts.iter().filter(|part| !self.stderr.contains(**part)).collect();
        assert!(missing.is_empty(), "{missing:?} is not in: {}", self.stderr);
        self
    }

    /// Standard output as JSON, a value a line.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}
