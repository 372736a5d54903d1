//! The table of senders: the built-in rows and the file's own.

use std::collections::BTreeMap;

use super::values::{NAME_RULE, is_name};
use crate::config::report::Report;
use crate::provider::{Provider, Row, Table};

/// The built-in table with the file's rows added.
pub(in crate::config) fn table(rows: BTreeMap<String, Row>, report: &mut Report) -> Table {
    let mut table = Table::builtin();
    for (name, row) in super::in_order("providers", rows, report) {
        let mut keys = report.table("providers");
        if !is_name(&name) {
            keys.problem(&name, NAME_RULE);
            continue;
        }
        if table.get(&name).is_some() {
            keys.problem(&name, "is a built-in provider; give your own row another name and let the source's `provider` say it");
            continue;
        }
        match Provider::compile(&name, row) {
            Ok(provider) => table.add(provider),
            Err(error) => {
                let row = keys.path(&name);
                // The message repeats what was written, which may be a secret where a variable stands.
                let hidden = report.is_expanded_within(&row);
                let message = if hidden { "is not allowed; write it out without variables to see why" } else { &error.message };
                report.problem(&format!("{row}.{}", error.key), message);
            }
        }
    }
    table
}
