//! Tables of figures, and the middle of what several rounds gave.

use comfy_table::{CellAlignment, Table, presets};

/// A table whose first column names what the others measure.
pub(crate) fn table<'a>(header: impl Iterator<Item = &'a str>, rows: impl Iterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The middle of the values, the mean of the two middle ones where their number is even.
///
/// # Panics
/// When there are none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Checks the middle of odd and even numbers of values.
///
/// # Panics
/// When it is wrong.
pub(crate) fn self_check() {
    for (values, middle) in [(&[3.0][..], 3.0_f64), (&[9.0, 1.0, 2.0], 2.0), (&[4.0, 1.0, 100.0, 2.0], 3.0)] {
        assert_eq!(median(values.iter().copied()).to_bits(), middle.to_bits(), "the middle of {values:?}");
    }
}
