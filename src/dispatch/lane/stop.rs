//! How a lane comes to its end: attempts in flight may end within the grace period, and all leases go back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};

use super::{Lane, TOGETHER};
use crate::domain::{Happening, Lease};
use crate::failpoint;

/// How long handing back leases may take when the process stops.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

impl Lane {
    /// Lets attempts in flight go on for the grace period, and hands back what is unfinished.
    pub(super) async fn stop(mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        self.post.fall_behind(true);
        // A claim that is not heard of in time leaves its leases to this process's end.
        if let Some(claiming) = self.claiming.take()
            && let Ok(outcome) = timeout_at(deadline, claiming).await
        {
            self.claimed(outcome);
        }
        self.hand_back().await;
        if timeout_at(deadline, self.let_end()).await.is_err() {
            self.interrupt().await;
        }
    }

    /// Until no attempt is under way and no ticket is out for what is still being recorded, which goes back when it comes.
    async fn let_end(&mut self) {
        let (tickets, all) = (Arc::clone(&self.post.tickets), self.post.all_tickets());
        loop {
            tokio::select! {
                biased;
                Some((delivery, ..)) = self.handed.recv() => self.give_back(vec![delivery.lease], false).await,
                Some(end) = self.tasks.join_next_with_id() => self.forget(&end),
                () = sleep_until(self.next_renewal), if !self.leases.is_empty() => self.keep_leases().await,
                _ = tickets.acquire_many(all), if self.tasks.is_empty() => return,
            }
        }
    }

    /// Aborts what is unfinished and hands it back. The end of an attempt that is being committed may still be: a release
    /// changes nothing after it.
    async fn interrupt(mut self) {
        self.tasks.abort_all();
        while let Some(end) = self.tasks.join_next_with_id().await {
            if end.as_ref().is_ok() {
                self.forget(&end);
            }
        }
        let leases = self.leases.all();
        self.give_back(leases, true).await;
    }

    /// Hands leases back; what cannot be handed back runs out by itself.
    pub(super) async fn give_back(&mut self, leases: Vec<Lease>, begun: bool) {
        let deadline = Instant::now() + RELEASE_TIMEOUT;
        for leases in leases.chunks(TOGETHER) {
            failpoint::reach("release.before");
            let released = self.worker.outbox.release(leases.to_vec(), self.worker.clock.now(), begun);
            let cause = match timeout_at(deadline, released).await {
                Ok(Ok(())) => {
                    failpoint::reach("release.after");
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => "leases were not released in time".to_owned(),
            };
            return self.worker.observer.happened(&Happening::StoreFailed { cause: &cause });
        }
    }
}
