//! `onceward completions`

use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

/// Print completions for a shell.
#[derive(Args)]
pub(super) struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    clap_complete::generate(arguments.shell, &mut super::Arguments::command(), "onceward", &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
