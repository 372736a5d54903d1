//! Commands as destinations, through the running program.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{Ran, command};
use crate::support::{Process, TestApp, github, until};

const GITHUB: &str = "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n";

/// A destination that runs this shell script in that folder, tried again at once.
fn destination(folder: &Path, script: &str, more: &str) -> String {
    std::fs::write(folder.join("run.sh"), script).unwrap();
    let retry = if more.contains("retry") { "" } else { "retry = { attempts = 3, first = \"1ms\", max = \"2ms\" }\n" };
    let head = format!("{GITHUB}[destinations.run]\nfrom = [\"github\"]\nexec = [\"sh\", \"run.sh\", \"hunter2\"]\n");
    format!("{head}dir = \"{}\"\n{retry}{more}\n", folder.display())
}

/// The program with such a destination, and the folder in which its commands are.
async fn start(script: &str, more: &str) -> (TestApp, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::start(&destination(folder.path(), script, more)).await;
    (app, folder)
}

/// The same as a process of its own, which has its own environment and can be told to stop.
async fn serve(folder: &TempDir, script: &str, more: &str) -> Process {
    std::fs::write(folder.path().join("onceward.toml"), destination(folder.path(), script, more)).unwrap();
    let mut serving = Process::command(folder.path(), &[]);
    serving.env("ONCEWARD_ADMIN_TOKEN", "hunter2").env("STRIPE_WEBHOOK_SECRET", "hunter2").env("LANG", "C.UTF-8");
    Process::start(serving).await
}

/// The delivery of an event that was sent, once it has ended.
async fn delivery(app: &TestApp, body: impl Into<Vec<u8>>) -> Value {
    let answer = app.send(github("1", "push", body)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    app.settled().await;
    app.json("/api/v1/events/github/1").await["deliveries"][0].clone()
}

/// What the attempts of a delivery have in this field, empty where it is null.
fn of_attempts<'a>(delivery: &'a Value, key: &str) -> Vec<&'a str> {
    let history = delivery["history"].as_array().unwrap();
    assert!(history.iter().all(|attempt| attempt["status_code"].is_null()), "a command has no HTTP status: {history:?}");
    history.iter().map(|attempt| attempt[key].as_str().unwrap_or_default()).collect()
}

/// Waits for a file that a script writes as a whole line.
async fn line(file: &Path) -> String {
    let read = || std::fs::read_to_string(file).ok().filter(|text| text.ends_with('\n'));
    until("the script has written a line", async || read().is_some()).await;
    read().unwrap().trim().to_owned()
}

/// Waits until the process has ended. One that nobody has reaped has, too: who reaps an orphan is the system's business.
async fn gone(process: &str) {
    let number = rustix::process::Pid::from_raw(process.parse().unwrap()).unwrap();
    let zombie = || status(process).is_some_and(|(state, _)| state == 'Z');
    until(&format!("process {process} is gone"), async || rustix::process::test_kill_process(number).is_err() || zombie()).await;
}

/// State and parent of a process, where the system has `/proc`.
fn status(process: &str) -> Option<(char, String)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_arrives_byte_for_byte() {
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = every_byte.repeat(20_000);
    for body in [Vec::new(), every_byte, b" {\r\n \"a\" : 1 }\n".to_vec(), large] {
        let (app, folder) = start("cat > body", "").await;
        let delivery = delivery(&app, body.clone()).await;
        assert_eq!((&delivery["status"], of_attempts(&delivery, "error")), (&"delivered".into(), vec![""]));
        assert!(std::fs::read(folder.path().join("body")).unwrap() == body, "{} bytes", body.len());
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_comes_as_variables_and_nothing_else_of_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let process = serve(&folder, "env > seen; echo >> seen", "env = { IMPORT_TOKEN = \"hunter2\" }").await;
    let request = github("a/b ü%", "pull_request", r#"{"action":"opened"}"#).to("/hooks/github/eu/a%2Fb?x=1&y=%20");
    assert_eq!(process.send(request).await.status, 200);
    process.settled().await;
    let seen = std::fs::read_to_string(folder.path().join("seen")).unwrap();
    let mut variables: Vec<_> = seen.lines().filter_map(|line| line.split_once('=')).collect();
    // What shells set for themselves, and what differs from run to run.
    variables.retain(|(name, _)| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
    variables.retain(|(name, _)| !["ONCEWARD_RECEIVED_AT", "ONCEWARD_TRACEPARENT", "ONCEWARD_DELIVERY", "PATH"].contains(name));
    variables.sort_unstable();
    let expected = [
        ("IMPORT_TOKEN", "hunter2"),
        ("LANG", "C.UTF-8"),
        ("ONCEWARD_ATTEMPT", "1"),
        ("ONCEWARD_CONTENT_TYPE", "application/json"),
        ("ONCEWARD_EVENT_ID", "a/b%20%C3%BC%25"),
        ("ONCEWARD_EVENT_TYPE", "pull_request.opened"),
        ("ONCEWARD_IDEMPOTENCY_KEY", "github:a/b%20%C3%BC%25"),
        ("ONCEWARD_METHOD", "POST"),
        ("ONCEWARD_PATH", "/eu/a%2Fb"),
        ("ONCEWARD_PROVIDER", "github"),
        ("ONCEWARD_QUERY", "x=1&y=%20"),
        ("ONCEWARD_SOURCE", "github"),
    ];
    assert_eq!(variables, expected);
    assert!(!process.printed().contains("hunter2"), "{}", process.printed());
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_tried_again_until_it_exits_with_0() {
    let script = "echo \"attempt $ONCEWARD_ATTEMPT\"; echo $ONCEWARD_IDEMPOTENCY_KEY $ONCEWARD_DELIVERY >> keys\n\
        case $ONCEWARD_ATTEMPT in 1) exit 75;; 2) exit 3;; esac";
    let (app, folder) = start(script, "").await;
    let delivery = delivery(&app, "{}").await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"delivered".into(), &3.into()));
    assert_eq!(of_attempts(&delivery, "error"), ["exited with code 75", "exited with code 3", ""]);
    assert_eq!(of_attempts(&delivery, "response"), ["attempt 1\n", "attempt 2\n", "attempt 3\n"]);
    let keys = std::fs::read_to_string(folder.path().join("keys")).unwrap();
    let keys: Vec<_> = keys.lines().collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0] && key.starts_with("github:1 ")), "{keys:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_in_dead_on_end_the_delivery_at_once() {
    let (app, _folder) = start("echo 'no such customer' >&2; exit 65", "dead_on = [65]").await;
    let delivery = delivery(&app, "{}").await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"dead".into(), &1.into()));
    assert_eq!(of_attempts(&delivery, "error"), ["exited with code 65, which is in dead_on"]);
    assert_eq!(of_attempts(&delivery, "response"), ["no such customer\n"]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_time_out_all_that_a_command_has_started_is_killed() {
    // The child of a child, which nobody waits for.
    let script = "test $ONCEWARD_ATTEMPT = 1 || exit 0; (sleep 1000 & echo $! > child); sleep 1000";
    let (app, folder) = start(script, "timeout = \"2s\"").await;
    let delivery = delivery(&app, "{}").await;
    assert_eq!((&delivery["status"], of_attempts(&delivery, "error")), (&"delivered".into(), vec!["timed out after 2 s", ""]));
    gone(&line(&folder.path().join("child")).await).await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_output_is_read_to_its_end_and_kept_up_to_4_kib() {
    let (app, _folder) = start("head -c 20000000 /dev/zero | tr '\\0' x; echo end >&2", "").await;
    let delivery = delivery(&app, "{}").await;
    assert_eq!((&delivery["status"], of_attempts(&delivery, "error")), (&"delivered".into(), vec![""]));
    assert_eq!(of_attempts(&delivery, "response"), ["x".repeat(4_096)]);
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_that_is_not_read_is_no_failure() {
    let (app, _folder) = start("exec 0<&-; echo done", "").await;
    let delivery = delivery(&app, vec![b'x'; 8 << 20]).await;
    assert_eq!((&delivery["status"], of_attempts(&delivery, "error")), (&"delivered".into(), vec![""]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_is_not_there_is_a_failed_attempt_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let configuration = destination(folder.path(), "", "").replace("\"sh\"", "\"onceward-no-such-program\"");
    let app = TestApp::start(&configuration).await;
    let delivery = delivery(&app, "{}").await;
    let said = "cannot start onceward-no-such-program: it was not found, or what its first line names was not";
    assert_eq!((&delivery["status"], of_attempts(&delivery, "error")), (&"dead".into(), vec![said; 3]));
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_commands_run_at_once_than_the_concurrency_says() {
    // Each counts those that run beside it, and ends when a second one has been there or it is the last.
    let script = "mkdir running.$$; ls -d running.* | wc -l >> counts; until test -e go; do sleep 0.01; done; rmdir running.$$";
    let (app, folder) = start(script, "concurrency = 2").await;
    for number in 0..6 {
        assert_eq!(app.send(github(&number.to_string(), "push", "{}")).await.status, 200);
    }
    let counts = || std::fs::read_to_string(folder.path().join("counts")).unwrap_or_default();
    until("two run", async || counts().lines().count() == 2).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    app.settled().await;
    let counts: Vec<u32> = counts().lines().map(|line| line.trim().parse().unwrap()).collect();
    assert!(counts.len() == 6 && counts.iter().all(|count| (1..=2).contains(count)), "{counts:?}");
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_end_dies_with_the_server_and_its_delivery_is_handed_back() {
    let folder = tempfile::tempdir().unwrap();
    let script = "test -e second && exit 0; (sleep 1000 & echo $! > child); echo $$ > self; sleep 1000";
    let process = serve(&folder, script, "").await;
    assert_eq!(process.send(github("1", "push", "{}")).await.status, 200);
    let (child, itself) = (line(&folder.path().join("child")).await, line(&folder.path().join("self")).await);
    let asked = Instant::now();
    assert_eq!(process.terminate().await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    gone(&child).await;
    gone(&itself).await;
    std::fs::write(folder.path().join("second"), "").unwrap();
    let process = serve(&folder, script, "").await;
    process.settled().await;
    let event = process.get("/api/v1/events/github/1").await.json();
    assert_eq!((&event["status"], &event["deliveries"][0]["attempts"]), (&"delivered".into(), &2.into()), "{event}");
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_within_the_grace_period_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let process = serve(&folder, "echo $$ > self; until test -e go; do sleep 0.01; done", "").await;
    assert_eq!(process.send(github("1", "push", "{}")).await.status, 200);
    line(&folder.path().join("self")).await;
    process.signal("TERM").await;
    until("it is stopping", async || process.printed().contains("stopping")).await;
    std::fs::write(folder.path().join("go"), "").unwrap();
    assert_eq!(process.ended().await.code(), Some(0));
    let process = serve(&folder, "exit 1", "").await;
    let event = process.get("/api/v1/events/github/1").await.json();
    assert_eq!((&event["status"], &event["deliveries"][0]["attempts"]), (&"delivered".into(), &1.into()), "{event}");
    assert_eq!(process.terminate().await, Some(0));
}

/// What a process holds: open files, threads, and children whatever their state. `None` where the system has no `/proc`.
fn holdings(process: &str) -> Option<(usize, usize, usize)> {
    let count = |what: &str| Some(std::fs::read_dir(format!("/proc/{process}/{what}")).ok()?.count());
    let numbers = std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let children = numbers.filter(|number| status(number).is_some_and(|(_, parent)| parent == process)).count();
    Some((count("fd")?, count("task")?, children))
}

/// What a process holds, as it is when the test gives up on it.
struct Left<'p>(&'p str, [usize; 3]);

impl std::fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.0)).into_iter().flatten();
        let mut kinds = std::collections::BTreeMap::<String, usize>::new();
        for target in files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok()) {
            let kind = target.to_string_lossy().split(":[").next().unwrap_or_default().to_owned();
            *kinds.entry(kind).or_default() += 1;
        }
        write!(f, "nothing is left: files, threads and children are {:?}, and were {:?}: {kinds:?}", holdings(self.0), self.1)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_attempts_leave_no_process_thread_or_file_behind() {
    let folder = tempfile::tempdir().unwrap();
    // Some fail, some write, some read, some cannot be started.
    let script = "case $ONCEWARD_ATTEMPT in *[05]) cat;; *7) sleep 0 & esac; exit 1";
    let more = "concurrency = 16\ncircuit = { failures = 0 }\nretry = { attempts = 50, first = \"1ms\", max = \"1ms\" }\n\
        [destinations.absent]\nfrom = [\"github\"]\nexec = [\"onceward-no-such-program\"]\nconcurrency = 16\ncircuit = { failures = 0 }\n\
        retry = { attempts = 10, first = \"1ms\", max = \"1ms\" }";
    let process = serve(&folder, script, more).await;
    // Both listeners are at work once they have answered.
    assert_eq!(process.send(github("unsigned", "push", "{}").without("x-hub-signature-256")).await.status, 401);
    assert_eq!(process.get("/readyz").await.status, 200);
    let before = holdings(&process.pid());
    for number in 0..40 {
        assert_eq!(process.send(github(&number.to_string(), "push", vec![b'x'; 100_000])).await.status, 200);
    }
    process.settled().await;
    let attempts = async |name: &str| {
        let rows = process.rows(&format!("/api/v1/deliveries?status=dead&destination={name}")).await;
        rows.iter().map(|row| row["attempts"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((attempts("run").await, attempts("absent").await), (2_000, 400));
    let Some((files, threads, children)) = before else { return };
    // Connections of this test and the threads of the pool, which stay for a while, have a bound.
    let left = || holdings(&process.pid()).is_some_and(|now| now.0 <= files + 8 && now.1 <= threads + 16 && now.2 <= children);
    until(Left(&process.pid(), [files, threads, children]), async || left()).await;
    assert_eq!(process.terminate().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_none_of_the_servers_files() {
    if !Path::new("/proc/self/fd").exists() {
        return;
    }
    let (app, _folder) = start("ls -l /proc/$$/fd", "").await;
    let delivery = delivery(&app, "{}").await;
    let files = of_attempts(&delivery, "response")[0].to_owned();
    // Whatever started this test may have left files open to everybody, but no connection and no database.
    assert!(files.contains("pipe:") && !files.contains("socket:") && !files.contains("test.db"), "{files}");
    app.finish().await;
}

#[tokio::test]
async fn check_tells_of_a_handler_that_is_not_registered() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("{GITHUB}[destinations.ledger]\nfrom = [\"github\"]\nhandler = \"ledger\"\n");
    std::fs::write(folder.path().join("onceward.toml"), file).unwrap();
    let said = ["destinations.ledger.handler: there is no handler \"ledger\"; none is registered", "programs that embed Onceward"];
    for name in ["check", "serve"] {
        Ran::of(command(folder.path(), &[name])).await.ended(78).complains(&said);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "and leaves nothing behind");
}

#[tokio::test]
async fn check_shows_the_program_without_its_arguments_and_variables() {
    let folder = tempfile::tempdir().unwrap();
    let file = destination(folder.path(), "", "env = { TOKEN = \"hunter2\" }");
    std::fs::write(folder.path().join("onceward.toml"), file).unwrap();
    Ran::of(command(folder.path(), &["check"])).await.ended(0).says(&["exec sh", "the configuration is valid"]);
}
