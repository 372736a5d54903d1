//! The command line: a file for each command. Exit codes: 0, 1 failed, 2 usage, 78 configuration.

mod backup;
mod check;
mod completions;
mod deliveries;
mod dev;
mod events;
mod healthcheck;
mod init;
mod jobs;
mod learned;
mod listing;
mod output;
mod providers;
mod prune;
mod reading;
mod rejections;
mod remote;
mod replays;
mod send;
mod serve;
mod settings;
mod shapes;
mod signals;
mod verify;

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use crate::app::StartError;
use crate::config::ConfigError;
use settings::UsageError;

/// Exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;
/// Exit code for wrong arguments.
const EXIT_USAGE: u8 = 2;

/// Receives webhooks, proves who sent them, records each one once, delivers only first-seen events.
#[derive(Parser)]
#[command(name = "onceward", version, about, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive and deliver.
    Serve(serve::Arguments),
    /// Receive with test secrets for every provider and show what happens; with --play, send it recorded requests.
    Dev(dev::Arguments),
    /// Write a commented configuration file.
    Init(init::Arguments),
    /// Check the configuration and show what it says.
    Check(check::Arguments),
    /// List the senders that can be verified, or show one.
    Providers(providers::Arguments),
    /// Send recorded requests to a receiver, signed for now.
    Send(send::Arguments),
    /// Judge recorded requests offline: does the signature hold, and if not, why.
    Verify(verify::Arguments),
    /// Show or forget the secret that a sender has told in its handshake.
    Learned(learned::Arguments),
    /// Look at recorded events, take them away, have them delivered again.
    Events(events::Arguments),
    /// Look at deliveries, make them due again, call them off.
    Deliveries(deliveries::Arguments),
    /// Look at the jobs that deliver many events again, and stop one.
    Replays(replays::Arguments),
    /// Look at refused requests, and have them verified again.
    Rejections(rejections::Arguments),
    /// Forget what is older than the retention says, now.
    Prune(prune::Arguments),
    /// Copy the database to a file, while a server uses it.
    Backup(backup::Arguments),
    /// Ask a running server whether it is alive.
    Healthcheck(healthcheck::Arguments),
    /// Print completions for a shell.
    Completions(completions::Arguments),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| without_values(error).exit());
    match run(arguments.command) {
        Ok(code) => code,
        Err(error) => {
            let code = exit_code(&error);
            if !is_closed_pipe(&error) {
                eprintln!("error: {error:#}");
            }
            ExitCode::from(code)
        }
    }
}

/// A stray argument such as `stripe=SECRET`, where `--source` was forgotten before it, is not printed whole.
fn without_values(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg)
        && let Some((name, _)) = argument.split_once('=')
    {
        let shown = format!("{name}=…");
        error.insert(ContextKind::InvalidArg, ContextValue::String(shown));
        error.remove(ContextKind::Suggested);
    }
    error
}

fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Providers(arguments) => providers::run(&arguments),
        Command::Send(arguments) => send::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Learned(arguments) => learned::run(&arguments),
        Command::Events(arguments) => events::run(&arguments),
        Command::Deliveries(arguments) => deliveries::run(&arguments),
        Command::Replays(arguments) => replays::run(&arguments),
        Command::Rejections(arguments) => rejections::run(&arguments),
        Command::Prune(arguments) => prune::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Healthcheck(arguments) => healthcheck::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let starting = error.downcast_ref::<StartError>();
    let configuration = error.is::<ConfigError>() || starting.is_some_and(StartError::is_configuration);
    match () {
        () if configuration => EXIT_CONFIG,
        () if error.is::<UsageError>() => EXIT_USAGE,
        () => 1,
    }
}

/// Whether whoever read our output has had enough, such as `head`.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A runtime for commands that wait for the network or the store.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    tokio::runtime::Builder::new_multi_thread().worker_threads((cores / 2).max(1)).enable_all().build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
