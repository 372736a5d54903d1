//! A command and what it starts, as one process group.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::Child;

/// The process group of a command. Dropped before the command has ended, it kills the whole group: so nothing of an attempt
/// that was cut off goes on, whoever cut it off. The runtime reaps the command then.
pub(super) struct Group(Child);

impl Group {
    /// Of a command that was started as the leader of a group of its own.
    pub(super) fn new(leader: Child) -> Self {
        Self(leader)
    }

    /// Waits until the command has ended. What it has left in the background is not waited for.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.0.wait().await
    }

    /// Kills every process of the group, unless the command has already ended.
    ///
    /// The number of a group can belong to somebody else as soon as its leader is reaped. There is none to ask for then,
    /// and until then the system keeps the number.
    pub(super) fn kill(&self) {
        let number = self.0.id().and_then(|number| i32::try_from(number).ok()).and_then(Pid::from_raw);
        if let Some(group) = number {
            // Fails when all of it has ended in the meantime, which is what is wanted.
            kill_process_group(group, Signal::KILL).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
