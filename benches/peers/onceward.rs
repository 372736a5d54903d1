//! The program itself, as a user starts it: the binary, no configuration file, every default.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::process::free_address;
use crate::request::SECRET;

/// The command that serves one Stripe source on the address, with its database at the path.
///
/// # Errors
/// When no port is free for the admin listener.
pub(crate) fn command(address: SocketAddr, database: &Path, forward: Option<&str>) -> std::io::Result<Command> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onceward"));
    command.arg("serve").arg("--source").arg(format!("stripe={SECRET}"));
    command.arg("--listen").arg(address.to_string()).arg("--admin-listen").arg(free_address()?.to_string());
    command.arg("--database").arg(format!("sqlite:{}", database.display()));
    if let Some(url) = forward {
        command.arg("--forward").arg(url);
    }
    // No onceward.toml of the folder that the bench happens to run in.
    if let Some(folder) = database.parent() {
        command.current_dir(folder);
    }
    Ok(command)
}
