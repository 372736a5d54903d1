//! The program as a process of its own, to be killed.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// A running `onceward serve`.
pub(crate) struct Process {
    /// `http://127.0.0.1:PORT` of the public listener.
    pub(crate) public: String,
    /// `http://127.0.0.1:PORT` of the admin listener.
    pub(crate) admin: String,
    child: Child,
}

impl Process {
    /// Starts `onceward serve` with these arguments, on free ports, in that folder.
    pub(crate) async fn serve(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
        command.arg("serve").args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(arguments);
        command.current_dir(folder).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next_line().await.unwrap().unwrap_or_else(|| panic!("the program ended before it was ready"));
        let addresses: Vec<_> = first.split_whitespace().filter(|word| word.starts_with("http://")).collect();
        let (public, admin) = (addresses[0].trim_end_matches(',').to_owned(), addresses[1].to_owned());
        // Whatever else it prints is read, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { public, admin, child }
    }

    /// Kills it: no chance to finish anything.
    pub(crate) async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// Asks it to end, and returns its exit code.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status().await.unwrap();
        assert!(sent.success());
        self.child.wait().await.unwrap().code()
    }
}
