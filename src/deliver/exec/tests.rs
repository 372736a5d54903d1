//! With real commands, all of which the test system's shell has.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::process::{Pid, test_kill_process};
use tempfile::TempDir;
use tokio::time::interval;

use super::*;
use crate::deliver::testing::{BODY, delivery};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn target(command: &[&str]) -> ExecTarget {
    let command = command.iter().map(|part| (*part).to_owned()).collect();
    ExecTarget { command, env: Vec::new(), dir: None, dead_on: Vec::new() }
}

/// A shell script in a folder of its own.
fn script(folder: &TempDir, text: &str) -> ExecTarget {
    ExecTarget { dir: Some(folder.path().to_owned()), ..target(&["sh", "-c", text]) }
}

async fn attempt(target: &ExecTarget) -> AttemptResult {
    ExecDestination::new(target, LONG).attempt(&delivery()).await
}

async fn ran(text: &str) -> AttemptResult {
    attempt(&target(&["sh", "-c", text])).await
}

fn result(outcome: Outcome, health: Health, response: &[u8]) -> AttemptResult {
    AttemptResult { outcome, health, status_code: None, response: (!response.is_empty()).then(|| response.to_vec()) }
}

fn delivered(response: &[u8]) -> AttemptResult {
    result(Outcome::Delivered, Health::Well, response)
}

fn retry(reason: &str, response: &[u8]) -> AttemptResult {
    result(Outcome::Retry { reason: reason.to_owned(), after: None }, Health::Unwell, response)
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waiting = async {
        let mut poll = interval(Duration::from_millis(5));
        while !condition() {
            poll.tick().await;
        }
    };
    assert!(timeout(LONG, waiting).await.is_ok(), "waited in vain until {what}");
}

/// The process number that a script has written into this file of its folder, once it is whole.
async fn number(folder: &TempDir, name: &str) -> Pid {
    let path = folder.path().join(name);
    let written = || std::fs::read_to_string(&path).ok().filter(|text| text.ends_with('\n'));
    until("the script has written a number", || written().is_some()).await;
    Pid::from_raw(written().unwrap().trim().parse().unwrap()).unwrap()
}

/// Whether the process has ended. One that nobody has reaped has, too: who reaps an orphan is the system's business.
fn is_gone(process: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_pid())).unwrap_or_default();
    let is_zombie = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('Z'));
    test_kill_process(process).is_err() || is_zombie
}

#[tokio::test]
async fn the_body_comes_byte_for_byte_on_standard_input() {
    assert_eq!(ran("cat").await, delivered(&BODY));
    let mut empty = delivery();
    Arc::get_mut(&mut empty.event).unwrap().body = Bytes::new();
    let destination = ExecDestination::new(&target(&["sh", "-c", "cat; echo end"]), LONG);
    assert_eq!(destination.attempt(&empty).await, delivered(b"end\n"));
}

#[tokio::test]
async fn arguments_reach_the_program_as_they_are_written() {
    let result = attempt(&target(&["printf", "%s|", "a b", "$HOME", "*", "", "'; echo no"])).await;
    assert_eq!(result, delivered(b"a b|$HOME|*||'; echo no|"));
}

#[tokio::test]
async fn standard_output_and_standard_error_are_kept_in_the_order_in_which_they_come() {
    assert_eq!(ran("echo 1; echo 2 >&2; echo 3; exit 4").await, retry("exited with code 4", b"1\n2\n3\n"));
}

#[tokio::test]
async fn a_body_that_is_not_read_is_no_failure_however_large() {
    let mut large = delivery();
    Arc::get_mut(&mut large.event).unwrap().body = Bytes::from(vec![b'x'; 8 << 20]);
    for script in ["exit 0", "exec 0<&-; exit 0", "head -c 3"] {
        let result = ExecDestination::new(&target(&["sh", "-c", script]), LONG).attempt(&large).await;
        assert_eq!((result.outcome, result.health), (Outcome::Delivered, Health::Well), "{script}");
    }
}

#[tokio::test]
async fn a_large_body_and_a_huge_output_pass_each_other_and_4_kib_are_kept() {
    let mut large = delivery();
    Arc::get_mut(&mut large.event).unwrap().body = Bytes::from(vec![b'x'; 8 << 20]);
    let result = ExecDestination::new(&target(&["cat"]), LONG).attempt(&large).await;
    assert_eq!(result, delivered(&[b'x'; 4_096]));
}

#[tokio::test]
async fn each_end_has_its_outcome() {
    let dead = ExecTarget { dead_on: vec![65], ..target(&["sh", "-c", "echo why; exit 65"]) };
    let reason = "exited with code 65, which is in dead_on".to_owned();
    assert_eq!(attempt(&dead).await, result(Outcome::GiveUp { reason }, Health::Unknown, b"why\n"));
    assert_eq!(ran("exit 75").await, retry("exited with code 75", b""));
    assert_eq!(ran("kill -s TERM $$").await, retry("killed by signal 15 (SIGTERM)", b""));
}

#[tokio::test]
async fn what_cannot_be_started_is_named_without_its_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    std::fs::write(&plain, "text").unwrap();
    let path = plain.to_str().unwrap();
    let absent = "cannot start onceward-no-such-program: it was not found, or what its first line names was not";
    assert_eq!(attempt(&target(&["onceward-no-such-program", "hunter2"])).await, retry(absent, b""));
    let denied = format!("cannot start {path}: permission denied; is it executable?");
    assert_eq!(attempt(&target(&[path, "hunter2"])).await, retry(&denied, b""));
    let nowhere = ExecTarget { dir: Some(PathBuf::from("/onceward/nowhere")), ..target(&["true"]) };
    let said = "cannot start true: its working directory /onceward/nowhere is not there";
    assert_eq!(attempt(&nowhere).await, retry(said, b""));
}

#[tokio::test]
async fn variables_that_are_too_long_say_nothing_about_the_command() {
    let mut long = delivery();
    Arc::get_mut(&mut long.event).unwrap().query = "x".repeat(4 << 20);
    let result = ExecDestination::new(&target(&["true"]), LONG).attempt(&long).await;
    let reason = "cannot start true: its arguments and variables are too long".to_owned();
    assert_eq!(result, AttemptResult { health: Health::Unknown, ..retry(&reason, b"") });
}

#[tokio::test]
async fn a_relative_path_is_below_the_commands_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    // A link, and not a script that was just written: a fork elsewhere in this process could hold that open.
    let shell = ["/bin/sh", "/usr/bin/sh"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    std::os::unix::fs::symlink(shell, folder.path().join("shell")).unwrap();
    for program in ["./shell", folder.path().join("shell").to_str().unwrap()] {
        let target = ExecTarget { dir: Some(folder.path().to_owned()), ..target(&[program, "-c", "pwd -P"]) };
        let here = format!("{}\n", folder.path().canonicalize().unwrap().display());
        assert_eq!(attempt(&target).await, delivered(here.as_bytes()), "{program}");
    }
    let elsewhere = attempt(&target(&["./shell", "-c", "exit 0"])).await;
    assert!(matches!(elsewhere.outcome, Outcome::Retry { .. }), "{elsewhere:?}");
}

#[tokio::test]
async fn what_is_configured_replaces_what_is_inherited_and_the_facts_are_ours() {
    let env = [("HOME", "/mine"), ("TOKEN", "hunter2")].map(|(name, value)| (name.to_owned(), value.into()));
    let target = ExecTarget { env: env.into(), ..target(&["sh", "-c", "echo $HOME $TOKEN $ONCEWARD_EVENT_ID"]) };
    assert_eq!(attempt(&target).await, delivered(b"/mine hunter2 guid%201\n"));
}

#[tokio::test]
async fn a_command_gets_no_other_variable_of_ours() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "the test itself has one");
    let result = ran("env | cut -d = -f 1 | sort").await;
    let names = String::from_utf8(result.response.unwrap()).unwrap();
    // The last three are what shells set for themselves.
    let known = |name: &str| name.starts_with("ONCEWARD_") || ["PATH", "HOME", "LANG", "TZ", "PWD", "SHLVL", "_"].contains(&name);
    assert_eq!(names.lines().filter(|name| !known(name)).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[tokio::test]
async fn at_the_time_out_everything_that_it_has_started_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let text = "echo begun; sleep 1000 & echo $! > child; echo $$ > self; wait";
    let destination = ExecDestination::new(&script(&folder, text), Duration::from_secs(2));
    let attempt = destination.attempt(&delivery()).await;
    assert_eq!(attempt, retry("timed out after 2 s", b"begun\n"));
    assert!(test_kill_process(number(&folder, "self").await).is_err(), "the command itself is reaped, too");
    let child = number(&folder, "child").await;
    until("the child is gone", || is_gone(child)).await;
}

#[tokio::test]
async fn an_attempt_that_is_dropped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let destination = ExecDestination::new(&script(&folder, "sleep 1000 & echo $! > child; echo $$ > self; wait"), LONG);
    let attempt = tokio::spawn(async move { destination.attempt(&delivery()).await });
    let (child, itself) = (number(&folder, "child").await, number(&folder, "self").await);
    assert!(!is_gone(child) && !is_gone(itself));
    attempt.abort();
    attempt.await.unwrap_err();
    until("the child is gone", || is_gone(child)).await;
    until("the command is reaped", || test_kill_process(itself).is_err()).await;
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_is_neither_waited_for_nor_killed() {
    let folder = tempfile::tempdir().unwrap();
    // It keeps standard output and standard input.
    let destination = ExecDestination::new(&script(&folder, "exec 3<&0; sleep 1000 <&3 & echo $! > child; echo done"), LONG);
    let mut large = delivery();
    Arc::get_mut(&mut large.event).unwrap().body = Bytes::from(vec![b'x'; 1 << 20]);
    let begun = Instant::now();
    assert_eq!(destination.attempt(&large).await, delivered(b"done\n"));
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    let child = number(&folder, "child").await;
    assert!(!is_gone(child));
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn an_end_just_before_the_time_out_counts_though_the_output_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    // The time-out falls into the time for which the output is still listened to.
    let destination = ExecDestination::new(&script(&folder, "sleep 1000 & echo $! > child"), LINGER);
    let result = destination.attempt(&delivery()).await;
    rustix::process::kill_process(number(&folder, "child").await, rustix::process::Signal::KILL).unwrap();
    assert_eq!(result, delivered(b""));
}
