//! A command as destination: the raw body on standard input, what Onceward knows as variables, no shell. Success is exit
//! code 0.

mod environment;
mod group;
mod outcome;
mod start;
mod talk;

use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Destination, RESPONSE_CAP};
use crate::config::ExecTarget;
use crate::domain::{AttemptResult, ClaimedDelivery, Health, Outcome};
use crate::net::NetError;
use start::{Program, Running, StartError};

/// How long what a command has left in the background is listened to, where it keeps the command's output open.
const LINGER: Duration = Duration::from_millis(500);

/// Runs a command for each attempt.
///
/// Program and arguments are as configured: no shell sees them. A bare name is looked up in `PATH`, a relative path is
/// relative to the working directory that is configured, else to ours.
///
/// The command is the leader of a process group of its own. When the time is over, or the attempt is dropped, the whole
/// group is killed. What a command that has ended by itself leaves in the background is left alone.
pub struct ExecDestination {
    target: ExecTarget,
    program: Program,
    timeout: Duration,
}

/// Why an attempt has no exit status.
enum Failure {
    NotStarted(StartError),
    TimedOut,
    /// The system does not say how it ended.
    Lost(std::io::Error),
}

impl ExecDestination {
    /// Runs the command, an attempt taking at most `timeout`.
    pub fn new(target: &ExecTarget, timeout: Duration) -> Self {
        Self { program: Program::new(target), target: target.clone(), timeout }
    }

    async fn run(&self, delivery: &ClaimedDelivery, kept: &mut Vec<u8>) -> Result<ExitStatus, Failure> {
        let deadline = Instant::now() + self.timeout;
        let start = self.program.start(self.program.command(&self.target, delivery));
        let started = timeout_at(deadline, start).await.map_err(|_| Failure::TimedOut)?;
        let Running { mut group, stdin, output } = started.map_err(Failure::NotStarted)?;
        let feed = talk::feed(stdin, delivery.event.body.clone());
        let mut talk = pin!(join(feed, talk::read(output, kept, RESPONSE_CAP)));
        let mut silent = false;
        let ended = async {
            loop {
                tokio::select! {
                    status = group.ended() => break status,
                    _ = &mut talk, if !silent => silent = true,
                }
            }
        };
        let Ok(status) = timeout_at(deadline, ended).await else {
            group.kill();
            // What is killed ends. Where even the system cannot end it, the lane's patience does, by dropping this.
            group.ended().await.ok();
            return Err(Failure::TimedOut);
        };
        if !silent {
            timeout(LINGER, talk).await.ok();
        }
        status.map_err(Failure::Lost)
    }

    fn judge(&self, ended: Result<ExitStatus, Failure>) -> (Outcome, Health) {
        let (reason, health) = match ended {
            Ok(status) => return outcome::outcome(status, &self.target.dead_on),
            Err(Failure::NotStarted(error)) => (error.reason, error.health),
            Err(Failure::TimedOut) => (NetError::TimedOut(self.timeout).to_string(), Health::Unwell),
            Err(Failure::Lost(error)) => (format!("its end was not seen: {error}"), Health::Unwell),
        };
        (Outcome::Retry { reason, after: None }, health)
    }
}

#[async_trait]
impl Destination for ExecDestination {
    async fn attempt(&self, delivery: &ClaimedDelivery) -> AttemptResult {
        let mut output = Vec::new();
        let ended = self.run(delivery, &mut output).await;
        let (outcome, health) = self.judge(ended);
        AttemptResult { outcome, health, status_code: None, response: (!output.is_empty()).then_some(output) }
    }
}

#[cfg(test)]
mod tests;
