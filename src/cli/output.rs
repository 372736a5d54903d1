//! What people see: tables that fit the terminal, and text from the network made harmless before a terminal gets it.

use std::fmt::Write as _;
use std::io::{self, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// A table with these headings.
pub(super) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(headings.to_vec());
    table
}

/// Prints a line to standard output.
pub(super) fn line(text: impl std::fmt::Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints text as it is, without another line end.
pub(super) fn text(text: &str) -> io::Result<()> {
    io::stdout().lock().write_all(text.as_bytes())
}

/// Prints a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    Ok(line(serde_json::to_string(value)?)?)
}

/// Prints what is known of one thing, led by its kind and name. All of it must be harmless to a terminal.
pub(super) fn facts<'a>(kind: &str, name: &str, facts: impl IntoIterator<Item = (&'a str, String)>) -> io::Result<()> {
    let mut table = table(&[kind, name]);
    for (fact, value) in facts {
        table.add_row([fact, &value]);
    }
    line(table)
}

/// Prints header fields from outside.
pub(super) fn headers(headers: &[(String, String)]) -> io::Result<()> {
    let mut table = table(&["header", "value"]);
    for (name, value) in headers {
        table.add_row([clean(name), clean(value)]);
    }
    line(format!("\n{table}\n"))
}

/// A number of bytes for people: `1.5 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// Text from outside without control characters: nothing that it holds can move a cursor or set a title.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for c in text.chars() {
        let is_invisible =
            c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if is_invisible {
            let _ = write!(clean, "\\u{{{:x}}}", c as u32);
        } else {
            clean.push(c);
        }
    }
    clean
}

/// The longest text of a table's cell that is not to stretch the table.
const SHORT: usize = 64;

/// [`clean`], cut where it would stretch a table; `show` has the whole.
pub(super) fn short(text: &str) -> String {
    let clean = clean(text);
    match clean.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &clean[..end]),
        None => clean,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_invisible_characters_become_visible() {
        assert_eq!(clean("a\u{1b}[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\u{a}");
        assert_eq!(clean("Łódź ✓"), "Łódź ✓");
    }

    #[test]
    fn sizes_are_in_the_largest_unit_that_fits() {
        assert_eq!([bytes(0), bytes(1_023), bytes(1_536), bytes(5 << 30)], ["0 bytes", "1023 bytes", "1.5 KiB", "5.0 GiB"]);
    }
}
