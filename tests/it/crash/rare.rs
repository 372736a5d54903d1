//! Points that traffic alone does not come to: each gets a world in which it does, is killed there, and starts again.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use onceward::domain::{Clock as _, DeliveryId, EventKey, Headers, Silent, SystemClock};
use onceward::failpoint;
use onceward::idempotency::{Answer, Fingerprint, Idempotency, Key, NextAction};
use onceward::store::sqlite::{Options, SqliteStore};
use onceward::store::{Control as _, StoreError};
use rusqlite::Connection;
use tokio::process::Command;

use super::traffic::{Known, Sent};
use super::world::{End, World};
use crate::support::receiver::Seen;
use crate::support::{Behaviour, PATIENCE, Process, until};

/// Met once in the life of a database.
const BIRTH: &[&str] = &["open.migrated"];
/// Met where a destination has a place free and nothing older waits for it, which may take long where much has failed.
const HANDED_OVER: &[&str] = &["record.delivery-leased"];
/// Met while an attempt goes on for long.
const RENEWAL: &[&str] = &["renew.before", "renew.renewed", "renew.after"];
/// Met when an attempt outlives the grace period.
const RELEASE: &[&str] = &["release.before", "release.released", "release.after"];
/// Met when an operator asks for something.
const RETRY: &[&str] = &["control.retried"];
const CANCEL: &[&str] = &["control.cancelled", "lines.stepped-forward"];
const PAUSE: &[&str] = &["control.paused"];
/// Met when the API is asked for a change.
const AUDIT: &[&str] = &["audit.asked", "audit.answered"];
const ERASE: &[&str] = &["search.erased", "erase.payload-deleted", "erase.blanked"];
/// Met when a request comes with a key, is given up, or is forgotten: the first three by the tests of `idempotency`.
const KEYED: &[&str] = &["keyed.claimed", "keyed.marked", "keyed.completed", "keyed.abandoned", "keyed.pruned"];

/// Whether a test of its own is killed at the point, so that the rounds need not be.
pub(super) fn meets(point: &str) -> bool {
    let met = [BIRTH, HANDED_OVER, RENEWAL, RELEASE, RETRY, CANCEL, PAUSE, ERASE, AUDIT, KEYED].concat().contains(&point);
    // The rounds come there, too: whatever ends lets the next one step forward.
    met && point != "lines.stepped-forward"
}

impl World {
    /// A life that is killed at a point, before it can be reached or while `meanwhile` goes on.
    async fn dies_at(&mut self, point: &'static str, meanwhile: impl AsyncFnOnce(&mut Self, &Process)) {
        let status = match Process::attempt(self.command(Some((point, 1)))).await {
            Err((status, _)) => status,
            Ok(process) => {
                meanwhile(self, &process).await;
                process.ended().await
            }
        };
        assert_eq!(status.signal(), Some(9), "{point}");
        self.lives.push(End::Killed(Some(point)));
    }

    /// Has an event acknowledged.
    async fn bring(&self, process: &Process, sent: &Sent) {
        let answer = process.send(sent.request()).await;
        assert_eq!((answer.status, answer.header("onceward-status")), (200, "accepted"), "{answer:?}");
        let known = Known { sent: sent.clone(), acknowledged: true, accepted: 1, duplicates: 0 };
        self.traffic.known.lock().unwrap().insert(sent.idempotency_key(), known);
        self.traffic.acknowledged.fetch_add(1, Ordering::SeqCst);
    }

    /// A life in which everything comes to its end.
    async fn settles(&mut self) {
        let process = Process::start(self.command(None)).await;
        process.settled().await;
        self.stop(process).await;
    }

    /// Status and attempts of the one delivery to a destination.
    fn delivery(&self, event: &Sent, destination: &str) -> (i64, String) {
        let database = Connection::open(self.folder.path().join("onceward.db")).unwrap();
        let sql = "SELECT id, state, attempts, (SELECT count(*) FROM attempt WHERE delivery = id) FROM delivery
            WHERE event_seq = (SELECT seq FROM event WHERE event_id = ?1) AND destination = (SELECT id FROM name WHERE role = 1 AND name = ?2)";
        let row = database.query_row(sql, (&event.id, destination), |row| {
            let status = ["pending", "delivered", "dead", "cancelled"][usize::from(row.get::<_, u8>(1)?)];
            Ok((row.get(0)?, format!("{status} {}/{}", row.get::<_, i64>(3)?, row.get::<_, i64>(2)?)))
        });
        row.unwrap()
    }

    /// How many events have their content.
    fn payloads(&self) -> i64 {
        let database = Connection::open(self.folder.path().join("onceward.db")).unwrap();
        database.query_row("SELECT count(*) FROM payload", (), |row| row.get(0)).unwrap()
    }

    /// How many destinations are held.
    fn paused(&self) -> i64 {
        let database = Connection::open(self.folder.path().join("onceward.db")).unwrap();
        database.query_row("SELECT count(*) FROM paused", (), |row| row.get(0)).unwrap()
    }

    /// How many keys of requests are known.
    fn keys(&self) -> i64 {
        let database = Connection::open(self.folder.path().join("onceward.db")).unwrap();
        database.query_row("SELECT count(*) FROM keyed", (), |row| row.get(0)).unwrap()
    }

    /// Lets an operator's process do something; it must be killed at `kill_at`, if that is said.
    async fn operator(&self, order: &str, kill_at: Option<&str>) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "crash::rare::an_operators_process_does_as_it_is_told"]);
        command.env(ORDER, order).env(DATABASE, self.folder.path().join("onceward.db"));
        if let Some(point) = kill_at {
            command.env(failpoint::VARIABLE, format!("{point}=1"));
        }
        let ended = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
        let expected = if kill_at.is_some() { (Some(9), None) } else { (None, Some(0)) };
        assert_eq!((ended.status.signal(), ended.status.code()), expected, "{order} at {kill_at:?}: {ended:?}");
    }
}

/// Attempts that are the first of their delivery never end.
fn first_ones_hang(seen: &Seen) -> Behaviour {
    if seen.header("onceward-attempt") == "1" { Behaviour::Hang } else { Behaviour::Status(200) }
}

fn event(number: u32) -> Sent {
    Sent::new(0, number, "github", 1, false, false)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_dies_at_its_first_start_leaves_a_database_that_the_next_one_takes() {
    for point in BIRTH.iter().chain(&["owner.inserted", "owner.locked", "owner.registered", "app.store-opened"]) {
        let mut world = World::new(1).await;
        world.dies_at(point, async |_, _| {}).await;
        let process = Process::start(world.command(None)).await;
        world.bring(&process, &event(1)).await;
        process.settled().await;
        world.stop(process).await;
        world.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_handed_over_by_a_program_that_dies_before_its_commit_has_never_been_there() {
    for point in HANDED_OVER {
        let mut world = World::new(6).await;
        world.receiver.always(Behaviour::Status(200));
        world.settles().await;
        let life = async |world: &mut World, process: &Process| {
            let client = reqwest::Client::new();
            for number in 1.. {
                let sent = event(number);
                let acknowledged = sent.request().build(&client, &process.public).send().await.is_ok();
                let known = Known { sent: sent.clone(), acknowledged, accepted: u64::from(acknowledged), duplicates: 0 };
                world.traffic.known.lock().unwrap().insert(sent.idempotency_key(), known);
                if !acknowledged {
                    break;
                }
            }
        };
        world.dies_at(point, life).await;
        world.settles().await;
        world.check();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_dies_over_its_leases_has_their_attempts_made_again() {
    let renewed = RENEWAL.iter().map(|point| tokio::spawn(dies_over_leases(point, false)));
    let released = RELEASE.iter().map(|point| tokio::spawn(dies_over_leases(point, true)));
    join_all(renewed.chain(released)).await.into_iter().for_each(Result::unwrap);
}

async fn dies_over_leases(point: &'static str, told: bool) {
    let mut world = World::new(2).await;
    world.receiver.decides(first_ones_hang);
    let life = async |world: &mut World, process: &Process| {
        world.bring(process, &event(1)).await;
        world.receiver.got(2).await;
        if told {
            process.signal("TERM").await;
        }
    };
    world.dies_at(point, life).await;
    world.settles().await;
    world.check();
    for destination in ["plain", "ordered"] {
        assert_eq!(world.delivery(&event(1), destination).1, "delivered 1/2", "{point}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trail_of_a_program_that_dies_says_what_was_asked_for_if_it_was_done() {
    for (point, asked, paused) in [("audit.asked", 0, 0), ("audit.answered", 1, 1)] {
        let mut world = World::new(8).await;
        let life = async |_: &mut World, process: &Process| {
            let pause = reqwest::Client::new().put(format!("{}/api/v1/destinations/plain/pause", process.admin));
            assert!(pause.send().await.is_err(), "nobody is answered");
        };
        world.dies_at(point, life).await;
        let database = Connection::open(world.folder.path().join("onceward.db")).unwrap();
        let rows: i64 = database.query_row("SELECT count(*) FROM audit WHERE status IS NULL", (), |row| row.get(0)).unwrap();
        assert_eq!((rows, world.paused()), (asked, paused), "{point}");
        drop(database);
        world.settles().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_asks_for_is_done_whole_or_not_at_all() {
    tokio::join!(retries(), cancels(), pauses(), erases());
}

async fn retries() {
    let mut world = World::new(3).await;
    world.receiver.decides(|_| Behaviour::Status(500));
    let process = Process::start(world.command(None)).await;
    world.bring(&process, &event(1)).await;
    process.settled().await;
    world.stop(process).await;
    let (id, dead) = world.delivery(&event(1), "plain");
    assert_eq!(dead, "dead 13/13");
    let order = format!("retry {id}");
    for point in RETRY.iter().chain(&["store.before-commit"]) {
        world.operator(&order, Some(point)).await;
        assert_eq!(world.delivery(&event(1), "plain").1, dead, "{point}");
    }
    world.operator(&order, Some("store.after-commit")).await;
    assert_eq!(world.delivery(&event(1), "plain").1, "pending 13/13");
    world.operator(&order, None).await;
    world.receiver.always(Behaviour::Status(200));
    world.settles().await;
    assert_eq!(world.delivery(&event(1), "plain").1, "delivered 14/14");
    assert_eq!(world.delivery(&event(1), "ordered").1, "dead 13/13");
}

async fn cancels() {
    let mut world = World::new(4).await;
    world.receiver.always(Behaviour::Hang);
    let process = Process::start(world.command(None)).await;
    world.bring(&process, &event(1)).await;
    world.receiver.got(2).await;
    process.kill().await;
    world.lives.push(End::Killed(None));
    world.receiver.always(Behaviour::Status(200));
    let (id, waits) = world.delivery(&event(1), "ordered");
    assert_eq!(waits, "pending 0/1");
    let order = format!("cancel {id}");
    for point in CANCEL.iter().chain(&["store.before-commit"]) {
        world.operator(&order, Some(point)).await;
        assert_eq!(world.delivery(&event(1), "ordered").1, waits, "{point}");
    }
    world.operator(&order, Some("store.after-commit")).await;
    world.operator(&order, None).await;
    world.settles().await;
    assert_eq!(world.delivery(&event(1), "ordered").1, "cancelled 0/1");
    assert_eq!(world.delivery(&event(1), "plain").1, "delivered 1/2");
    assert_eq!(world.receiver.count(), 3, "what is cancelled is not attempted");
}

async fn pauses() {
    let mut world = World::new(5).await;
    world.settles().await;
    for point in PAUSE.iter().chain(&["store.before-commit"]) {
        world.operator("pause plain", Some(point)).await;
        assert_eq!(world.paused(), 0, "{point}");
    }
    world.operator("pause plain", Some("store.after-commit")).await;
    let process = Process::start(world.command(None)).await;
    world.bring(&process, &event(1)).await;
    until("one delivery has ended", async || world.delivery(&event(1), "ordered").1.starts_with("delivered")).await;
    assert_eq!(world.delivery(&event(1), "plain").1, "pending 0/0");
    world.stop(process).await;
    world.operator("release plain", Some("store.before-commit")).await;
    assert_eq!(world.paused(), 1);
    world.operator("release plain", Some("store.after-commit")).await;
    world.settles().await;
    world.check();
}

async fn erases() {
    let mut world = World::new(7).await;
    world.receiver.always(Behaviour::Status(200));
    let process = Process::start(world.command(None)).await;
    world.bring(&process, &event(1)).await;
    process.settled().await;
    world.stop(process).await;
    let order = format!("erase {}", event(1).id);
    for point in ERASE.iter().chain(&["store.before-commit"]) {
        world.operator(&order, Some(point)).await;
        assert_eq!(world.payloads(), 1, "{point}");
    }
    world.operator(&order, Some("store.after-commit")).await;
    assert_eq!(world.payloads(), 0);
    world.operator(&order, None).await;
    world.settles().await;
    assert_eq!(world.delivery(&event(1), "plain").1, "delivered 1/1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_given_up_and_forgotten_whole_or_not_at_all() {
    let mut world = World::new(8).await;
    world.settles().await;
    world.operator("give-up key", Some("keyed.abandoned")).await;
    assert_eq!(world.keys(), 1);
    world.operator("give-up key", Some("store.after-commit")).await;
    world.operator("give-up key", None).await;
    assert_eq!(world.keys(), 0, "a claim of the dead is void");
    world.operator("answer key", None).await;
    world.dies_at("keyed.pruned", async |_, _| {}).await;
    assert_eq!(world.keys(), 1);
    let process = Process::start(world.command(None)).await;
    until("the key is forgotten", async || world.keys() == 0).await;
    world.stop(process).await;
}

/// What the operator is told, and where its database is.
const ORDER: &str = "ONCEWARD_CRASH_OPERATOR";
const DATABASE: &str = "ONCEWARD_CRASH_DATABASE";

/// The operator of the tests above: this program once more, since it is to be killed. Without an order it has nothing to do.
#[tokio::test]
async fn an_operators_process_does_as_it_is_told() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let database = std::env::var_os(DATABASE).unwrap();
    let store = SqliteStore::open(Path::new(&database), &Options::default(), Arc::new(Silent)).unwrap();
    let (what, of) = order.split_once(' ').unwrap();
    let id = || DeliveryId(of.parse().unwrap());
    let done = match what {
        "retry" => store.retry(id(), SystemClock.now()).await.map(drop),
        "cancel" => store.cancel(id(), SystemClock.now()).await.map(drop),
        "erase" => {
            let event = EventKey { source: "github".into(), event_id: of.into() };
            store.erase(event, SystemClock.now()).await.map(drop)
        }
        "pause" => store.pause(of.into(), true).await,
        "give-up" => under_a_key(&store, of, 503).await,
        "answer" => under_a_key(&store, of, 200).await,
        _ => store.pause(of.into(), false).await,
    };
    done.unwrap();
    store.close().await;
}

/// Has a request with a key answered; what is kept of it is forgotten at once.
async fn under_a_key(store: &SqliteStore, key: &str, status: u16) -> Result<(), StoreError> {
    let keys = Idempotency::new(Arc::new(store.clone()), Arc::new(SystemClock), Duration::ZERO);
    let key = Key::read([key.as_bytes()].into_iter()).unwrap().unwrap();
    match keys.begin("api", &key, Fingerprint::of(&[])).await? {
        NextAction::Start(begun) => begun.end(Answer { status, headers: Headers::default(), body: Bytes::new() }).await,
        _ => panic!("the key is taken"),
    }
}
