//! How fast events are taken beside many that are stored, compared with none, in alternating rounds.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::common::load::{self, Plan};
use crate::common::table::{median, table};
use crate::common::target::Target;
use crate::server::Server;

/// Load before each round.
const WARM_UP: Duration = Duration::from_secs(1);
const CONNECTIONS: usize = 64;

/// Measures.
///
/// # Errors
/// When a server does not take what it is sent.
pub(crate) async fn measure(full: &Path, rounds: u32, seconds: Duration) -> anyhow::Result<Vec<Target>> {
    let (mut fresh, mut grown) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let empty = tempfile::tempdir_in(full).context("make a folder for a database")?;
        fresh.push(one(empty.path(), seconds).await?);
        grown.push(one(full, seconds).await?);
        eprintln!("growth {round}/{rounds}  fresh {:>6.0}/s  grown {:>6.0}/s", fresh[fresh.len() - 1], grown[grown.len() - 1]);
    }
    let share = median(grown.iter().zip(&fresh).map(|(grown, fresh)| grown / fresh));
    let row = |name: &str, rates: &[f64]| vec![name.to_owned(), format!("{:.0}", median(rates.iter().copied()))];
    println!("{}", table(["", "events/s"].into_iter(), [row("fresh", &fresh), row("grown", &grown)].into_iter()));
    Ok(vec![Target::at_least("events taken beside many, of a fresh database", share, 0.7)])
}

async fn one(folder: &Path, seconds: Duration) -> anyhow::Result<f64> {
    let server = Server::start(folder).await?;
    let plan = Plan { connections: CONNECTIONS, rate: None, duplicates: 0.0, warm_up: WARM_UP, measured: seconds, noted: false };
    let outcome = load::run(&plan, server.address, || server.process.cpu_time()).await?;
    ensure!(outcome.failures.is_empty(), "not all were taken: {:?}", outcome.complaints());
    Ok(outcome.acknowledged as f64 / outcome.ended.duration_since(outcome.began).as_secs_f64())
}
