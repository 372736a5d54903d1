//! Opaque cursors: the place of the last row seen, so that a page stays put while new rows arrive.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Serialize, Serializer};

/// Where a page ended. Prints and parses as opaque text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(i64);

/// The text is no cursor of ours.
#[derive(Debug, thiserror::Error)]
#[error("not a cursor: take it from `next` of the page before")]
pub struct CursorError;

impl Cursor {
    /// The cursor behind this row.
    pub fn after(row: i64) -> Self {
        Self(row)
    }

    /// The last row seen.
    pub fn row(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.to_be_bytes()))
    }
}

impl std::str::FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        Ok(Self(i64::from_be_bytes(bytes.try_into().map_err(|_| CursorError)?)))
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_foreign_text_does_not() {
        assert_eq!(Cursor::after(42).to_string().parse::<Cursor>().unwrap(), Cursor::after(42));
        assert!("".parse::<Cursor>().is_err());
        assert!("not a cursor".parse::<Cursor>().is_err());
    }
}
