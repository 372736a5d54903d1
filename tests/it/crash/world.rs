//! A database with everything around it: senders, destinations, and the program in one life after another.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use onceward::failpoint;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

use super::fate::Fate;
use super::traffic::Traffic;
use crate::support::receiver::Seen;
use crate::support::signed::SECRET;
use crate::support::{Behaviour, PATIENCE, Process, Receiver};

/// The waits between attempts: enough that only what is poisoned fails as often.
const WAITS: usize = 12;
/// How often it is looked whether the program has died; while it has not, senders are given more to do each [`REFILL`].
const LOOK: Duration = Duration::from_millis(2);
const REFILL: u32 = 100;

/// How a life of the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it was told to.
    Stopped,
    /// Killed, there or from outside.
    Killed(Option<&'static str>),
}

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) receiver: Receiver,
    pub(super) traffic: Arc<Traffic>,
    /// How each life so far ended. The next one has its place's number, which is in the URLs of its destinations.
    pub(super) lives: Vec<End>,
    chance: StdRng,
}

impl World {
    pub(super) async fn new(seed: u64) -> Self {
        let receiver = Receiver::start().await;
        receiver.decides(move |seen| decide(seed, seen));
        let (folder, traffic) = (tempfile::tempdir().unwrap(), Traffic::new(seed));
        Self { folder, receiver, traffic, lives: Vec::new(), chance: StdRng::seed_from_u64(!seed) }
    }

    /// Lets the senders begin.
    pub(super) fn send(&self) -> Vec<JoinHandle<()>> {
        self.traffic.begin()
    }

    /// Whether the last life was killed after it had registered itself, and before it took that back.
    pub(super) fn last_has_left_an_owner(&self) -> bool {
        match self.lives.last() {
            Some(End::Killed(Some(point))) => !["open.", "owner.", "app."].iter().any(|part| point.starts_with(part)),
            Some(End::Killed(None)) => true,
            Some(End::Stopped) | None => false,
        }
    }

    /// A life of the program with this fate.
    pub(super) async fn live_until(&mut self, fate: Fate) {
        self.traffic.refill();
        let goal = self.traffic.acknowledged.load(Ordering::SeqCst);
        let command = self.command(fate.point().map(|point| (point, fate.count())));
        let status = match Process::attempt(command).await {
            Err((status, _)) => status,
            Ok(process) => self.die(process, fate, goal).await,
        };
        assert_eq!(status.signal(), Some(9), "life {} should have been killed: {fate:?}", self.lives.len());
        self.lives.push(End::Killed(fate.point()));
    }

    async fn die(&self, mut process: Process, fate: Fate, acknowledged: usize) -> ExitStatus {
        self.traffic.address.send_replace(process.public.clone());
        let enough = |more: usize| self.traffic.acknowledged.load(Ordering::SeqCst) >= acknowledged + more;
        match fate {
            Fate::At { told: false, .. } => self.waiting(&format!("it dies: {fate:?}"), || process.has_ended()).await,
            Fate::At { told: true, .. } => {
                self.waiting("something is sent", || enough(3).then_some(())).await;
                process.signal("TERM").await;
                self.waiting(&format!("it dies at its end: {fate:?}"), || process.has_ended()).await
            }
            Fate::After(more) => {
                self.waiting("enough is acknowledged", || enough(more).then_some(())).await;
                process.kill().await
            }
        }
    }

    /// Waits for something that traffic brings about.
    async fn waiting<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let waiting = async {
            let (mut looks, mut times) = (interval(LOOK), 0_u32);
            loop {
                looks.tick().await;
                if let Some(found) = look() {
                    return found;
                }
                times += 1;
                if times.is_multiple_of(REFILL) {
                    self.traffic.refill();
                }
            }
        };
        timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}, in life {}", self.lives.len()))
    }

    /// A life in which nothing is killed: until every event is acknowledged and every delivery has ended.
    pub(super) async fn settle(&mut self, senders: Vec<JoinHandle<()>>) {
        let process = Process::start(self.command(None)).await;
        self.traffic.address.send_replace(process.public.clone());
        self.traffic.end();
        join_all(senders).await.into_iter().for_each(Result::unwrap);
        process.settled().await;
        self.stop(process).await;
    }

    /// Stops a life as its operator would.
    pub(super) async fn stop(&mut self, process: Process) {
        assert_eq!(process.terminate().await, Some(0));
        self.lives.push(End::Stopped);
    }

    /// What starts the next life, with its configuration in place.
    pub(super) fn command(&mut self, kill_at: Option<(&str, u32)>) -> Command {
        let circuit = if self.chance.random_bool(0.1) { "failures = 3, probe = \"10ms\", max_probe = \"50ms\"" } else { "failures = 0" };
        let concurrency = [1, 4, 16][self.chance.random_range(0..3)];
        let text = self.configuration(&format!("concurrency = {concurrency}\ncircuit = {{ {circuit} }}\n"));
        std::fs::write(self.folder.path().join("onceward.toml"), text).unwrap();
        let mut command = Process::command(self.folder.path(), &[]);
        command.env("RUST_LOG", "warn").env("PATH", std::env::var("PATH").unwrap());
        if let Some((point, count)) = kill_at {
            command.env(failpoint::VARIABLE, format!("{point}={count}"));
        }
        command
    }

    fn configuration(&self, more: &str) -> String {
        let (url, life, waits) = (&self.receiver.url, self.lives.len(), ["\"20ms\""; WAITS].join(", "));
        let retry = format!("retry = {{ schedule = [{waits}] }}\n{more}");
        format!(
            "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"{SECRET}\"\n\
             [sources.github]\nprovider = \"github\"\nsecret = \"{SECRET}\"\n\
             [destinations.plain]\nfrom = [\"stripe\", \"github\"]\nurl = \"{url}plain/{life}\"\n{retry}\
             [destinations.ordered]\nfrom = [\"github\"]\nurl = \"{url}ordered/{life}\"\norder_by = \"/repository/id\"\n{retry}\
             [destinations.command]\nfrom = [\"github\"]\ntypes = [\"ping\"]\n{retry}\
             exec = [\"sh\", \"-c\", \"echo {life} $ONCEWARD_DELIVERY $ONCEWARD_ATTEMPT $ONCEWARD_IDEMPOTENCY_KEY >> ran\"]\n"
        )
    }

    /// One line for people.
    pub(super) fn summary(&self) -> String {
        let (events, killed) = (self.traffic.known.lock().unwrap().len(), self.lives.iter().filter(|life| **life != End::Stopped).count());
        format!("{events} events and {} requests to destinations through {killed} kills", self.receiver.count())
    }
}

/// What is poisoned fails; some of the rest fails, and some takes its time. Depends on nothing but the seed and the attempt.
fn decide(seed: u64, seen: &Seen) -> Behaviour {
    let mut hasher = DefaultHasher::new();
    (seed, seen.header("onceward-delivery"), seen.header("onceward-attempt")).hash(&mut hasher);
    let chance = hasher.finish();
    match chance % 16 {
        _ if seen.header("onceward-event-id").ends_with("_poison") => Behaviour::Status(500),
        0 | 1 => Behaviour::Status(500),
        2 | 3 => Behaviour::Slow(200, Duration::from_millis(chance / 16 % 40)),
        4 => Behaviour::Slow(500, Duration::from_millis(chance / 16 % 20)),
        _ => Behaviour::Status(200),
    }
}
