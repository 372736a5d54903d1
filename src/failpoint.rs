//! Named points between the steps of everything that is written, at which tests kill the process as `kill -9` would. Nothing
//! of it is in release builds, and nothing is decided here: a process that is told of no point does not know of any.

/// Every point, in the order in which an event meets them. A test holds this list against the code.
pub const ALL: &[&str] = &[
    "open.migrated",
    "owner.inserted",
    "owner.locked",
    "owner.registered",
    "app.store-opened",
    "recover.before",
    "recover.owner-voided",
    "recover.owner-removed",
    "recover.after",
    "straighten.before",
    "straighten.dissolved",
    "straighten.dead-left",
    "straighten.after",
    "ingest.received",
    "ingest.verified",
    "store.queued",
    "store.before-begin",
    "store.begun",
    "record.key-inserted",
    "record.keys-inserted",
    "record.event-inserted",
    "record.payload-inserted",
    "record.delivery-inserted",
    "record.delivery-leased",
    "record.duplicate-counted",
    "refuse.inserted",
    "audit.asked",
    "audit.answered",
    "search.filled",
    "search.erased",
    "erase.payload-deleted",
    "erase.blanked",
    "store.keys-merged",
    "store.tallied",
    "store.before-commit",
    "store.after-commit",
    "store.answered",
    "store.before-checkpoint",
    "store.after-checkpoint",
    "ingest.recorded",
    "ingest.woken",
    "claim.before",
    "claim.taken",
    "claim.after",
    "attempt.before",
    "attempt.answered",
    "finish.before",
    "finish.judged",
    "lines.stepped-forward",
    "finish.inserted",
    "finish.after",
    "renew.before",
    "renew.renewed",
    "renew.after",
    "release.before",
    "release.released",
    "release.after",
    "control.retried",
    "control.cancelled",
    "control.paused",
    "keyed.claimed",
    "keyed.marked",
    "keyed.completed",
    "keyed.abandoned",
    "keyed.pruned",
    "app.stopping",
    "app.before-close",
    "owner.before-resign",
    "owner.resigned",
    "app.closed",
];

/// The variable of the environment that says where to die: `NAME=COUNT`, when the point is reached that often.
pub const VARIABLE: &str = "ONCEWARD_KILL_AT";

/// Says that the process has come to this point. Does not return if it is to die here.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) fn reach(_: &'static str) {}

#[cfg(debug_assertions)]
pub(crate) use armed::reach;

#[cfg(debug_assertions)]
mod armed {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    use super::{ALL, VARIABLE};

    /// Where to die, and how often the point is still to be reached.
    struct Point {
        name: &'static str,
        left: AtomicU32,
    }

    /// Read once.
    static POINT: LazyLock<Option<Point>> = LazyLock::new(|| {
        let told = std::env::var(VARIABLE).ok()?;
        Some(parse(&told).unwrap_or_else(|| panic!("{VARIABLE} is {told:?}, which is no NAME=COUNT of a point")))
    });

    /// Says that the process has come to this point. Does not return if it is to die here.
    pub(crate) fn reach(name: &'static str) {
        if let Some(point) = &*POINT
            && point.name == name
            && point.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            die();
        }
    }

    fn parse(told: &str) -> Option<Point> {
        let (name, count) = told.split_once('=')?;
        let name = ALL.iter().find(|known| **known == name)?;
        let count: u32 = count.parse().ok()?;
        (count > 0).then(|| Point { name, left: AtomicU32::new(count) })
    }

    /// At once, with nothing tidied up.
    fn die() -> ! {
        let _ = kill_process(getpid(), Signal::KILL);
        // The signal is on its way to some thread of this process: this one does nothing more.
        loop {
            std::thread::park();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn only_a_known_point_with_a_count_is_one() {
            let known = |told: &str| parse(told).map(|point| (point.name, point.left.into_inner()));
            assert_eq!(known("store.before-commit=3"), Some(("store.before-commit", 3)));
            for told in ["", "store.before-commit", "store.before-commit=", "store.before-commit=0", "store=1", "store.before-commit=-1"] {
                assert_eq!(known(told), None, "{told:?}");
            }
        }
    }
}
