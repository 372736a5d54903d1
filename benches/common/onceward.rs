//! The program itself, as a user starts it: the binary with every default.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::request::SECRET;

/// The command that serves one Stripe source on the address, with its database at the path.
pub(crate) fn command(address: SocketAddr, admin: SocketAddr, database: &Path, forward: Option<&str>) -> Command {
    let mut command = bare_command(address, admin, database);
    command.arg("--source").arg(format!("stripe={SECRET}"));
    if let Some(url) = forward {
        command.arg("--forward").arg(url);
    }
    command
}

/// The command that serves what a configuration file says, as far as it is not about addresses and the database.
pub(crate) fn command_of_file(address: SocketAddr, admin: SocketAddr, database: &Path, file: &Path) -> Command {
    let mut command = bare_command(address, admin, database);
    command.arg("--config").arg(file);
    command
}

fn bare_command(address: SocketAddr, admin: SocketAddr, database: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
    command.arg("serve").arg("--listen").arg(address.to_string()).arg("--admin-listen").arg(admin.to_string());
    command.arg("--database").arg(format!("sqlite:{}", database.display()));
    // No onceward.toml of the folder that the bench happens to run in.
    if let Some(folder) = database.parent() {
        command.current_dir(folder);
    }
    command
}
