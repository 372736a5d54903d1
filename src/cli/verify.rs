//! `onceward verify`

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use secrecy::SecretString;
use serde::Serialize;

use super::output;
use super::settings::FileArguments;
use crate::app;
use crate::domain::SystemClock;
use crate::fixture::{self, Expect};
use crate::provider::Table;
use crate::verify::Verifier;

/// Judge recorded requests offline.
#[derive(Args)]
pub(super) struct Arguments {
    /// Fixtures (.http files), or folders of them
    #[arg(required = true)]
    fixtures: Vec<PathBuf>,
    /// Judge with this secret instead of the file's own; repeatable
    #[arg(long, value_name = "SECRET")]
    secret: Vec<String>,
    #[command(flatten)]
    file: FileArguments,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// What fixtures are judged by.
struct Court<'a> {
    table: Table,
    secrets: Vec<SecretString>,
    file: &'a FileArguments,
    /// The sources of the configuration, whose secrets are tried on what is refused. Read only for that.
    others: OnceCell<Vec<Verifier>>,
}

/// What came of one fixture.
#[derive(Serialize)]
struct Line {
    file: String,
    outcome: &'static str,
    code: Option<&'static str>,
    event_id: Option<String>,
    r#type: Option<String>,
    diagnosis: String,
    #[serde(skip)]
    shown: String,
    #[serde(skip)]
    as_expected: bool,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let secrets = arguments.secret.iter().cloned().map(Into::into).collect();
    let court = Court { table: arguments.file.table()?, secrets, file: &arguments.file, others: OnceCell::new() };
    let mut lines = Vec::new();
    for path in &arguments.fixtures {
        for file in fixture::find(path)? {
            lines.push(court.judge(&file).unwrap_or_else(|error| Line::unreadable(&file, &error)));
        }
    }
    match arguments.json {
        true => lines.iter().try_for_each(output::json)?,
        false => show(&lines)?,
    }
    let failed = lines.is_empty() || lines.iter().any(|line| !line.as_expected);
    Ok(ExitCode::from(u8::from(failed)))
}

impl Line {
    /// A file that cannot be judged does not hide the others.
    fn unreadable(file: &Path, error: &anyhow::Error) -> Self {
        let (outcome, shown) = ("unreadable", "unreadable".to_owned());
        let (file, diagnosis) = (file.display().to_string(), format!("{error:#}"));
        Self { file, outcome, code: None, event_id: None, r#type: None, diagnosis, shown, as_expected: false }
    }
}

impl Court<'_> {
    fn judge(&self, file: &Path) -> anyhow::Result<Line> {
        let fixture = fixture::load_file(file)?;
        let judged = fixture::judge(&fixture, &self.table, &self.secrets, &SystemClock)?;
        let as_expected = match &fixture.expect {
            Some(expected) => *expected == judged.outcome,
            None => !matches!(judged.outcome, Expect::Rejected(_)),
        };
        let shown = judged.outcome.to_string();
        let (outcome, code, event_id, event_type) = match judged.outcome {
            Expect::Accepted { event_id, event_type } => ("accepted", None, Some(event_id), Some(event_type)),
            Expect::Handshake(_) => ("handshake", None, None, None),
            Expect::Rejected(code) => ("rejected", Some(code.as_str()), None, None),
        };
        let r#type = event_type.filter(|name| !name.is_empty());
        let diagnosis = match code {
            Some(_) => fixture::explain(&fixture, &self.table, &self.secrets, self.others(), &SystemClock)?,
            None => String::new(),
        };
        Ok(Line { file: file.display().to_string(), outcome, code, event_id, r#type, diagnosis, shown, as_expected })
    }

    /// The sources of the configuration; none when there is no file, or none that can be read whole: a variable may be unset
    /// where recorded requests are judged, which must not keep them from being judged.
    fn others(&self) -> &[Verifier] {
        self.others.get_or_init(|| {
            let Some(path) = self.file.path() else { return Vec::new() };
            let config = self.file.load();
            config.and_then(|config| Ok(app::verifiers(&config)?)).unwrap_or_else(|error| {
                eprintln!("note: the secrets of {} are not tried: {}", path.display(), first_line(&format!("{error:#}")));
                Vec::new()
            })
        })
    }
}

fn first_line(text: &str) -> String {
    output::clean(text.lines().next().unwrap_or_default())
}

fn show(lines: &[Line]) -> std::io::Result<()> {
    let mut table = output::table(&["fixture", "outcome", "as expected", "why"]);
    for line in lines {
        let expected = if line.as_expected { "yes" } else { "NO" };
        table.add_row([output::clean(&line.file), output::clean(&line.shown), expected.to_owned(), output::clean(&line.diagnosis)]);
    }
    output::line(table)?;
    let wrong = lines.iter().filter(|line| !line.as_expected).count();
    output::line(format!("{} judged, {wrong} not as expected", lines.len()))
}
