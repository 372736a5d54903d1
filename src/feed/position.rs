//! Where a watcher is: opaque text, which it gives back to go on from there.

use crate::domain::Timestamp;

/// A place in the feed of one process, and when what is before it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which process's feed.
    pub(super) era: u64,
    /// The number of what comes next.
    pub(super) number: u64,
    /// When what is before it happened: from there on another process tells from the history.
    pub at: Timestamp,
}

impl Position {
    /// One of no process's feed, at the same time: who comes with it is told from the history.
    pub fn of_the_history(at: Timestamp) -> Self {
        Self { era: 0, number: 0, at }
    }
}

/// The text is no position of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an ID of this stream")]
pub struct PositionError;

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.era, self.number, self.at.as_millis())
    }
}

impl std::str::FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next().and_then(|part| u64::from_str_radix(part, 16).ok()).ok_or(PositionError);
        let (era, number, at) = (part()?, part()?, part()?);
        Ok(Self { era, number, at: Timestamp::from_millis(i64::try_from(at).map_err(|_| PositionError)?) })
    }
}
