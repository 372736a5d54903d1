//! A program whose admin listener wants a token, and commands that have it.

use std::path::Path;

use super::TestApp;
use super::command::{Ran, command};

/// Of the form that no command may print.
pub(crate) const TOKEN: &str = "hunter2-of-the-admin-listener";

/// Starts with this configuration and the token.
pub(crate) async fn start(configuration: &str) -> TestApp {
    let admin = format!("[admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{TOKEN}\"\n");
    let mut app = TestApp::start(&format!("{configuration}\n{admin}")).await;
    app.token = Some(TOKEN);
    app
}

/// Runs a command in that folder against the program, with the token.
pub(crate) async fn asked(app: &TestApp, folder: &Path, arguments: &[&str]) -> Ran {
    let mut asking = command(folder, arguments);
    asking.env("ONCEWARD_URL", &app.admin).env("ONCEWARD_TOKEN", TOKEN);
    Ran::of(asking).await
}
