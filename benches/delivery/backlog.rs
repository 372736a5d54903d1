//! What a large backlog costs: until the first answer, until the first delivery, in memory, and whether it ends.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

use crate::account::Account;
use crate::arguments::Arguments;
use crate::common::load;
use crate::common::request::{ID_LEN, event_id};
use crate::common::table::table;
use crate::common::target::Target;
use crate::seed::seed;
use crate::server::{FORWARD, Server, Setup, database};
use crate::sink::{Manner, Sink};

/// How often a server that has just started is tried.
const TRY: Duration = Duration::from_millis(2);
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often the end of a drain is looked for: a look counts what is pending.
const LOOK: Duration = Duration::from_millis(250);
/// How often arrivals are looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// How many deliveries the targets are about.
const TARGET_EVENTS: u64 = 1_000_000;

/// Both backlogs.
#[derive(serde::Serialize)]
pub(crate) struct Backlog {
    watched: Watched,
    /// Where one was asked for.
    drained: Option<Drained>,
}

/// A backlog whose draining was watched for a while.
#[derive(serde::Serialize)]
struct Watched {
    events: u64,
    database_mb: f64,
    /// From the start of the process to the first 200 to a new event.
    first_answer_seconds: f64,
    /// From the start of the process to the first arrival.
    first_arrival_seconds: f64,
    arrived: u64,
    arrivals_per_second: f64,
    peak_memory_mb: f64,
}

/// A backlog that was drained.
#[derive(serde::Serialize)]
struct Drained {
    events: u64,
    /// From the start of the process until all were recorded as delivered.
    seconds: f64,
    deliveries_per_second: f64,
    peak_memory_mb: f64,
    wrong: Vec<String>,
}

/// A process that has just started on a backlog.
struct Started {
    server: Server,
    sink: Sink,
    at: Instant,
    /// An event that is in the database.
    known: [u8; ID_LEN],
    /// After the server, which writes there.
    folder: TempDir,
}

impl Backlog {
    /// Measures.
    ///
    /// # Errors
    /// When a database cannot be made, or the server cannot be started or watched or stops delivering.
    pub(crate) async fn measure(arguments: &Arguments) -> anyhow::Result<Self> {
        let folder = arguments.folder();
        let watched = Watched::measure(&folder, arguments.events, arguments.drain()).await?;
        let drained = match arguments.drain_all {
            0 => None,
            events => Some(Drained::measure(&folder, events).await?),
        };
        Ok(Self { watched, drained })
    }

    /// What is to be reached.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let Watched { events, first_answer_seconds, peak_memory_mb, .. } = self.watched;
        let applies = events >= TARGET_EVENTS;
        let targets = || {
            let start = Target::at_most("start to the first 200 with 1,000,000 pending, s", first_answer_seconds, 2.0);
            [start, Target::at_most("peak memory while draining 1,000,000, MB", peak_memory_mb, 200.0)]
        };
        applies.then(targets).into_iter().flatten().collect()
    }

    /// What must not be.
    pub(crate) fn wrong(&self) -> Vec<String> {
        self.drained.iter().flat_map(|drained| drained.wrong.clone()).collect()
    }
}

impl Started {
    async fn on(folder: &Path, events: u64) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir_in(folder).context("make a folder for the database")?;
        let begun = Instant::now();
        let known = seed(folder.path(), events).await.context("make the backlog")?;
        eprintln!("backlog: {events} pending deliveries made in {:.1} s", begun.elapsed().as_secs_f64());
        let sink = Sink::start(Manner::Well)?;
        let at = Instant::now();
        let server = Server::spawn(folder.path(), &Setup::Forward(&sink.url()))?;
        Ok(Self { server, sink, at, known, folder })
    }

    /// Sends a new event again and again until one is answered with 200; returns how long that took from the start.
    async fn first_answer(&mut self) -> anyhow::Result<Duration> {
        let run = rand::random();
        for number in 0.. {
            if let Ok(200) = load::send(self.server.address, &event_id(run, number)).await {
                break;
            }
            self.server.process.ensure_alive()?;
            ensure!(self.at.elapsed() < START_LIMIT, "no event was taken within {START_LIMIT:?}");
            tokio::time::sleep(TRY).await;
        }
        Ok(self.at.elapsed())
    }

    /// Waits until all of the backlog has arrived, at the most until then.
    async fn watch(&mut self, events: u64, until: Instant) -> anyhow::Result<()> {
        while Instant::now() < until && self.sink.arrivals().count() < events {
            self.server.process.ensure_alive()?;
            tokio::time::sleep(GLANCE).await;
        }
        Ok(())
    }

    fn peak_memory_mb(&self) -> anyhow::Result<f64> {
        Ok(self.server.process.peak_memory()? as f64 / f64::from(1 << 20))
    }
}

impl Watched {
    async fn measure(folder: &Path, events: u64, drain: Duration) -> anyhow::Result<Self> {
        let mut started = Started::on(folder, events).await?;
        let database_mb = std::fs::metadata(database(started.folder.path()))?.len() as f64 / f64::from(1 << 20);
        let first_answer = started.first_answer().await?;
        // A drain that has not begun is not watched for longer either.
        started.watch(1, started.at + drain).await?;
        let from = started.sink.arrivals().earliest().context("nothing has arrived")?;
        started.watch(events, from + drain).await?;
        let peak_memory_mb = started.peak_memory_mb()?;
        let arrivals = started.sink.arrivals();
        let (arrived, last) = (arrivals.count(), arrivals.latest().unwrap_or(from));
        Ok(Self {
            events,
            database_mb,
            first_answer_seconds: first_answer.as_secs_f64(),
            first_arrival_seconds: from.duration_since(started.at).as_secs_f64(),
            arrived,
            arrivals_per_second: arrived as f64 / last.duration_since(from).as_secs_f64(),
            peak_memory_mb,
        })
    }
}

impl Drained {
    async fn measure(folder: &Path, events: u64) -> anyhow::Result<Self> {
        let started = Started::on(folder, events).await?;
        let Started { folder, known, at, sink, mut server } = started;
        server.process.wait_until_healthy(server.address).await?;
        let end = server.until_delivered(FORWARD, events, LOOK).await?;
        let peak_memory_mb = server.process.peak_memory()? as f64 / f64::from(1 << 20);
        let status = load::send(server.address, &known).await?;
        let duplicates = server.metrics().await?.sum("onceward_duplicates_total", &[]) as u64;
        drop(server);
        // The event that the program has recorded itself was delivered before.
        let account = Account::of(&database(folder.path()), FORWARD)?;
        let arrived = sink.arrivals().count();
        let missing = (arrived != events).then(|| format!("{arrived} distinct events have arrived, not {events}"));
        let forgotten = (status != 200 || duplicates != 1).then(|| "an event of the backlog is not known again".to_owned());
        let seconds = end.duration_since(at).as_secs_f64();
        Ok(Self {
            events,
            seconds,
            deliveries_per_second: events as f64 / seconds,
            peak_memory_mb,
            wrong: account.wrong(events + 1, events + 1, true).into_iter().chain(missing).chain(forgotten).collect(),
        })
    }
}

impl fmt::Display for Backlog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Watched { events, database_mb, first_answer_seconds, first_arrival_seconds, arrived, .. } = &self.watched;
        let Watched { arrivals_per_second, peak_memory_mb, .. } = &self.watched;
        let row = vec![
            events.to_string(),
            format!("{database_mb:.0}"),
            format!("{first_answer_seconds:.3}"),
            format!("{first_arrival_seconds:.3}"),
            arrived.to_string(),
            format!("{arrivals_per_second:.0}"),
            format!("{peak_memory_mb:.1}"),
        ];
        let header = ["pending", "database MB", "first 200, s", "first arrival, s", "arrived", "arrivals/s", "peak MB"];
        writeln!(f, "backlog:\n\n{}", table(header.into_iter(), std::iter::once(row)))?;
        match &self.drained {
            None => Ok(()),
            Some(Drained { events, seconds, deliveries_per_second, peak_memory_mb, .. }) => writeln!(
                f,
                "\n{events} pending deliveries: all recorded as delivered {seconds:.1} s after the start, {deliveries_per_second:.0}/s, \
                 peak {peak_memory_mb:.1} MB"
            ),
        }
    }
}
