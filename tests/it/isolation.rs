//! Guarantee 6: destinations that never answer, fail, cut or drip delay neither a sender nor the destination beside them,
//! and what waits for them fills no memory.
//!
//! `ONCEWARD_ISOLATION=exact` holds the delays to the bar for an idle machine, over more rounds.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::support::signed::SECRET;
use crate::support::{Behaviour, Process, Receiver, github, until};

/// What a shared machine may add by chance.
const SLACK: Duration = Duration::from_millis(5);
/// The most that the sick may add, and on an idle machine.
const LOOSE: f64 = 2.0;
const EXACT: f64 = 1.2;
/// Events of a round, and senders that bring them.
const EVENTS: usize = 150;
const SENDERS: usize = 3;
/// Between two events of a sender.
const PACE: Duration = Duration::from_millis(8);

/// A destination below the manners of HTTP.
#[derive(Debug, Clone, Copy)]
enum Rude {
    /// Reads and never answers.
    Silent,
    /// Closes at the first byte.
    Cuts,
    /// Answers a byte a second, and never a whole head.
    Drips,
}

/// Runs one; returns its URL. Ends with the test's runtime.
async fn rude(how: Rude) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(treat(stream, how));
        }
    });
    (url, serving)
}

async fn treat(mut stream: TcpStream, how: Rude) {
    let _ = stream.read(&mut [0; 1_024]).await;
    match how {
        Rude::Silent => pending().await,
        Rude::Cuts => {}
        Rude::Drips => {
            let mut seconds = tokio::time::interval(Duration::from_secs(1));
            // Never whole before the time-out: what comes behind the head would no longer matter.
            for byte in b"HTTP/1.1 200 OK\r\n".iter().chain(std::iter::repeat(&b'x')) {
                seconds.tick().await;
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The sick destinations as configuration, with what has to go on living.
async fn sick() -> (String, Receiver, Vec<JoinHandle<()>>) {
    let failing = Receiver::start().await;
    failing.always(Behaviour::Status(500));
    let mut text = destination("failing", &failing.url);
    let mut serving = Vec::new();
    for how in [Rude::Silent, Rude::Cuts, Rude::Drips] {
        let (url, task) = rude(how).await;
        text += &destination(&format!("{how:?}").to_lowercase(), &url);
        serving.push(task);
    }
    (text, failing, serving)
}

fn destination(name: &str, url: &str) -> String {
    format!("[destinations.{name}]\nfrom = [\"github\"]\nurl = \"{url}\"\nconcurrency = 16\n")
}

fn sources() -> String {
    format!("[sources.github]\nprovider = \"github\"\nsecret = \"{SECRET}\"\n")
}

async fn start(folder: &std::path::Path, configuration: &str) -> Process {
    std::fs::write(folder.join("onceward.toml"), configuration).unwrap();
    let mut command = Process::command(folder, &[]);
    command.env("RUST_LOG", "error");
    Process::start(command).await
}

/// How long answers took, and the way from a sender to the healthy destination.
#[derive(Default)]
struct Times {
    answers: Vec<Duration>,
    ways: Vec<Duration>,
}

impl Times {
    fn p99(times: &mut [Duration]) -> Duration {
        times.sort_unstable();
        times[times.len() * 99 / 100]
    }
}

/// Sends a round of events at a steady pace, and waits until the healthy destination has them all.
async fn round(process: &Process, healthy: &Receiver, round: usize, times: &mut Times) {
    let (sent, answers) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let before = healthy.count();
    let sender = async |sender: usize| {
        let mut pace = tokio::time::interval(PACE);
        for number in (sender..EVENTS).step_by(SENDERS) {
            pace.tick().await;
            let (id, begun) = (format!("{round}_{number}"), Instant::now());
            assert_eq!(process.send(github(&id, "push", "{}")).await.status, 200);
            answers.lock().unwrap().push(begun.elapsed());
            sent.lock().unwrap().insert(id, begun);
        }
    };
    tokio::join!(sender(0), sender(1), sender(2));
    let seen = healthy.got(before + EVENTS).await;
    let sent = sent.into_inner().unwrap();
    let way = |seen: &crate::support::receiver::Seen| seen.arrived.duration_since(sent[&seen.header("onceward-event-id")]);
    times.ways.extend(seen[before..].iter().map(way));
    times.answers.append(&mut answers.into_inner().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn sick_destinations_delay_neither_senders_nor_the_healthy_one_beside_them() {
    let exact = std::env::var("ONCEWARD_ISOLATION").is_ok_and(|value| value == "exact");
    let rounds = if exact { 20 } else { 4 };
    let (text, failing, serving) = sick().await;
    let (alone, beside) = (Receiver::start().await, Receiver::start().await);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let well = start(folders[0].path(), &format!("{}{}", sources(), destination("healthy", &alone.url))).await;
    let sick = start(folders[1].path(), &format!("{}{}{text}", sources(), destination("healthy", &beside.url))).await;
    let (mut without, mut with) = (Times::default(), Times::default());
    // The first round warms both up.
    for number in 0..=rounds {
        round(&well, &alone, number, &mut without).await;
        round(&sick, &beside, number, &mut with).await;
        if number == 0 {
            (without, with) = (Times::default(), Times::default());
        }
    }
    compare("answers", &mut without.answers, &mut with.answers, exact);
    compare("receive to arrival", &mut without.ways, &mut with.ways, exact);
    let waiting = backlog(&sick).await;
    for name in ["failing", "silent", "cuts", "drips"] {
        assert_eq!(waiting[name], EVENTS * (rounds + 1), "{name} has all of them, and none is lost");
    }
    assert!(failing.count() > 0);
    serving.iter().for_each(JoinHandle::abort);
}

fn compare(what: &str, without: &mut [Duration], with: &mut [Duration], exact: bool) {
    let (alone, beside) = (Times::p99(without), Times::p99(with));
    let ratio = beside.as_secs_f64() / alone.as_secs_f64();
    println!("{what}: p99 {alone:?} alone, {beside:?} beside the sick, ratio {ratio:.3}, of {} events each", with.len());
    let (most, slack) = if exact { (EXACT, Duration::ZERO) } else { (LOOSE, SLACK) };
    assert!(beside <= alone.mul_f64(most) + slack, "{what}: {ratio:.3} times as long beside sick destinations");
}

/// How many deliveries wait for each destination.
async fn backlog(process: &Process) -> BTreeMap<String, usize> {
    let mut waiting = BTreeMap::new();
    for row in process.rows("/api/v1/deliveries?status=pending").await {
        *waiting.entry(row["destination"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    waiting
}

/// Events that wait for the sick, what each carries, and the memory that the program may take meanwhile.
const WAITING: usize = 20_000;
const BODY: usize = 2_000;
const MEMORY_KIB: u64 = 200 * 1_024;

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_at_sick_destinations_fills_no_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (text, failing, serving) = sick().await;
    let process = start(folder.path(), &format!("{}{text}", sources())).await;
    let sender = async |sender: usize| {
        for number in (sender..WAITING).step_by(32) {
            let body = format!("{{\"pad\":\"{number:0>BODY$}\"}}");
            assert_eq!(process.send(github(&number.to_string(), "push", body)).await.status, 200);
        }
    };
    futures_util::future::join_all((0..32).map(sender)).await;
    until("each sick destination has been tried", async || failing.count() >= 5).await;
    let pending = process.get("/metrics").await;
    let pending = String::from_utf8(pending.body).unwrap();
    for name in ["failing", "silent", "cuts", "drips"] {
        let line = format!("onceward_pending_deliveries{{destination=\"{name}\"}} {WAITING}");
        assert!(pending.contains(&line), "{line}\n{pending}");
    }
    let Some(resident) = resident_kib(&process.pid()) else { return };
    println!("{WAITING} events wait at 4 destinations, in {} MiB of memory", resident / 1_024);
    assert!(resident < MEMORY_KIB, "{resident} KiB");
    serving.iter().for_each(JoinHandle::abort);
}

/// The memory that a process has, where the system tells.
fn resident_kib(process: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.trim().parse().ok())
}
