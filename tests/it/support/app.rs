//! The program inside the test's process, on free ports and a folder of its own.

use std::path::PathBuf;

use onceward::app::{App, Extras};
use onceward::config::Config;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Request;

/// A running program.
pub(crate) struct TestApp {
    /// `http://127.0.0.1:PORT` of the public listener.
    pub(crate) public: String,
    /// `http://127.0.0.1:PORT` of the admin listener.
    pub(crate) admin: String,
    folder: TempDir,
    /// The token of the admin listener, where it wants one.
    pub(crate) token: Option<&'static str>,
    client: reqwest::Client,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The value of a header, empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code of a problem document, which it must be.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let document = self.json();
        assert_eq!(document["status"], self.status);
        assert!(document["title"].is_string());
        document["type"].as_str().unwrap().strip_prefix("onceward:").unwrap().to_owned()
    }
}

impl TestApp {
    /// Starts with this configuration; `listen`, `admin.listen` and `database` are added.
    pub(crate) async fn start(configuration: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), configuration).await
    }

    /// Starts in a folder that another program may have left.
    pub(crate) async fn start_in(folder: TempDir, configuration: &str) -> Self {
        Self::start_with(folder, configuration, Extras::default()).await
    }

    /// Starts as a part of a program that adds something.
    pub(crate) async fn start_with(folder: TempDir, configuration: &str, extras: Extras) -> Self {
        let database = folder.path().join("test.db");
        let top = format!("listen = \"127.0.0.1:0\"\ndatabase = \"sqlite:{}\"\n", database.display());
        let admin = if configuration.contains("[admin]") { "" } else { "\n[admin]\nlisten = \"127.0.0.1:0\"\n" };
        let text = format!("{top}{configuration}{admin}");
        let config = Config::parse("test.toml", &text, &|_| None).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let app = App::start_with(&config, extras).await.unwrap_or_else(|error| panic!("{error}"));
        let (public, admin) = (format!("http://{}", app.public_address()), format!("http://{}", app.admin_address()));
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let running = tokio::spawn(async move { app.run(stop).await.unwrap() });
        Self { public, admin, folder, token: None, client: reqwest::Client::builder().no_proxy().build().unwrap(), shutdown, running }
    }

    /// The database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("test.db")
    }

    /// Sends a request to a source.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        Answer::of(request.build(&self.client, &self.public).send().await.unwrap()).await
    }

    /// Asks the API.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.client.get(format!("{}{path}", self.admin));
        let request = self.token.iter().fold(request, |request, token| request.bearer_auth(token));
        Answer::of(request.send().await.unwrap()).await
    }

    /// Asks the admin listener anything.
    pub(crate) async fn ask(&self, request: Request) -> Answer {
        Answer::of(request.build(&self.client, &self.admin).send().await.unwrap()).await
    }

    /// Asks the API for JSON, which must be there.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The rows of a list.
    pub(crate) async fn rows(&self, path: &str) -> Vec<Value> {
        self.json(path).await["data"].as_array().unwrap().clone()
    }

    /// The value of a metric, labels included in its name; zero when it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").await;
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body).unwrap();
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Waits until no delivery is unfinished.
    pub(crate) async fn settled(&self) {
        super::until("every delivery has ended", async || self.rows("/api/v1/deliveries?status=pending").await.is_empty()).await;
    }

    /// Stops as at SIGTERM, and fails when a delivery is unfinished.
    pub(crate) async fn finish(self) -> TempDir {
        let unfinished = self.rows("/api/v1/deliveries?status=pending").await;
        assert!(unfinished.is_empty(), "unfinished deliveries are left: {unfinished:?}");
        self.stop().await
    }

    /// Stops as at SIGTERM, whatever is unfinished.
    pub(crate) async fn stop(self) -> TempDir {
        self.shutdown.cancel();
        self.running.await.unwrap();
        self.folder
    }
}
