//! The program with a few sources, and its API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use crate::common::onceward;
use crate::common::process::{Process, free_address};
use crate::common::request::SECRET;

/// Where the database of a folder lies.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("events.db")
}

/// The running program.
pub(crate) struct Server {
    /// Its process.
    pub(crate) process: Process,
    /// Where it receives.
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    client: reqwest::Client,
}

impl Server {
    /// Starts it on the database of the folder, and waits until it answers. Nothing that comes is delivered.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let (address, admin, file) = (free_address()?, free_address()?, folder.join("history.toml"));
        std::fs::write(
            &file,
            format!(
                "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"{SECRET}\"\n\
                 [sources.github]\nprovider = \"github\"\nsecret = \"{SECRET}\"\n\
                 [sources.rare]\nprovider = \"github\"\nsecret = \"{SECRET}\"\n\
                 [destinations.app]\nfrom = [\"stripe\", \"github\", \"rare\"]\ntypes = [\"of.nothing\"]\nurl = \"http://127.0.0.1:9/\"\n"
            ),
        )?;
        let command = onceward::command_of_file(address, admin, &database(folder), &file);
        let process = Process::start(command, address, &folder.join("output.log")).await?;
        Ok(Self { process, address, admin, client: reqwest::Client::builder().no_proxy().build()? })
    }

    /// Publishes an event by hand.
    ///
    /// # Errors
    /// When it is not recorded.
    pub(crate) async fn publish(&self, source: &str, event_type: &str, id: &str, body: String) -> anyhow::Result<()> {
        let url = format!("http://{}/api/v1/events/{source}/{id}?type={event_type}", self.admin);
        let answer = self.client.put(url).header("content-type", "application/json").body(body).send().await?;
        ensure!(answer.status() == 201, "publishing was answered with {}", answer.status());
        Ok(())
    }

    /// What the API answers.
    ///
    /// # Errors
    /// When it refuses to.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<bytes::Bytes> {
        let answer = self.client.get(format!("http://{}{path}", self.admin)).send().await?;
        ensure!(answer.status() == 200, "{path} was answered with {}", answer.status());
        Ok(answer.bytes().await?)
    }
}
