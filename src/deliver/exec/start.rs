//! Starting a command.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use secrecy::ExposeSecret as _;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{ChildStdin, Command};

use super::environment;
use super::group::Group;
use crate::config::ExecTarget;
use crate::domain::{ClaimedDelivery, Health};

/// A command that runs.
pub(super) struct Running {
    pub(super) group: Group,
    pub(super) stdin: Option<ChildStdin>,
    /// Standard output and standard error in one, in the order in which they were written.
    pub(super) output: Receiver,
}

/// Why a command does not run.
#[derive(Debug)]
pub(super) struct StartError {
    /// In one line for people. Names the program, never its arguments or variables, any of which may be a secret.
    pub(super) reason: String,
    /// What that says about the destination.
    pub(super) health: Health,
}

/// What is started for each attempt.
pub(super) struct Program {
    /// As configured, for people.
    name: String,
    path: PathBuf,
    arguments: Vec<String>,
    dir: Option<PathBuf>,
}

impl Program {
    /// A bare name is looked up in the command's `PATH`. A relative path is relative to the command's own working
    /// directory, as after `cd`.
    pub(super) fn new(target: &ExecTarget) -> Self {
        let mut command = target.command.iter().cloned();
        let name = command.next().unwrap_or_default();
        let path = match &target.dir {
            // A system is free to look for a relative path before or after it changes directory.
            Some(dir) if name.contains('/') => absolute(&dir.join(&name)),
            _ => PathBuf::from(&name),
        };
        Self { name, path, arguments: command.collect(), dir: target.dir.clone() }
    }

    /// The command of one attempt.
    pub(super) fn command(&self, target: &ExecTarget, delivery: &ClaimedDelivery) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.arguments).process_group(0).env_clear();
        command.envs(environment::inherited());
        command.envs(target.env.iter().map(|(name, value)| (name, value.expose_secret())));
        command.envs(environment::facts(delivery, rand::random()));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// In a thread that may block: where programs are on a slow disk, starting one takes its time.
    pub(super) async fn start(&self, command: Command) -> Result<Running, StartError> {
        // One that is no longer waited for ends as `Group` says.
        let started = tokio::task::spawn_blocking(move || start(command)).await;
        started.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| self.refused(&error))
    }

    fn refused(&self, error: &io::Error) -> StartError {
        let name = &self.name;
        let absent = self.dir.as_deref().filter(|dir| !dir.is_dir());
        let reason = match (absent, error.kind()) {
            (Some(dir), _) => format!("cannot start {name}: its working directory {} is not there", dir.display()),
            (None, ErrorKind::NotFound) => format!("cannot start {name}: it was not found, or what its first line names was not"),
            (None, ErrorKind::PermissionDenied) => format!("cannot start {name}: permission denied; is it executable?"),
            (None, ErrorKind::ArgumentListTooLong) => format!("cannot start {name}: its arguments and variables are too long"),
            _ => format!("cannot start {name}: {error}"),
        };
        // What is too long is, as a rule, what the sender wrote.
        let health = if error.kind() == ErrorKind::ArgumentListTooLong { Health::Unknown } else { Health::Unwell };
        StartError { reason, health }
    }
}

fn start(mut command: Command) -> io::Result<Running> {
    let (output, into) = io::pipe()?;
    command.stdin(Stdio::piped()).stdout(into.try_clone()?).stderr(into);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let group = Group::new(child);
    // `command` holds the other end of the pipe and ends here: so the output ends with those who were given it.
    Ok(Running { group, stdin, output: Receiver::from_owned_fd(output.into())? })
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
