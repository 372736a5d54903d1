//! `docs/PROVIDERS.md`: every sender of the table, by how it proves itself.

use crate::provider::{Algorithm, Provider, Table, View};

const HEAD: &str = "# Senders

Generated from the table, `src/provider/builtin.toml`, by `onceward providers --markdown`: do not edit. `onceward providers
NAME` shows the same of one sender. A sender that is not here can be added as a row of your own:
[ADDING-A-PROVIDER.md](ADDING-A-PROVIDER.md).

- **Body covered**: whether the signature covers the body. Where it does not, whoever has one request can put another body
  under it: what comes proves who knows the secret, and no more.
- **ID signed**: whether the signature covers the event's ID. Where it does not, a captured request can come again under
  another ID; Onceward marks such an event, because it has the same content.
- **Duplicates within**: how long after the first try the sender's last one may come, so how long IDs must be kept at
  least. Onceward keeps them 400 days by default.
- **Facts**: where the row comes from. `sdk`: the sender's own published code. `docs`: its documentation. `third-party`:
  others' published code. `memory`: not looked up. Single facts that were not looked up are named beside it.

The URL to paste is your `public_url` and the path below, if the source has the provider's name.
";

/// The groups of the document: their title, what they have in common, and which senders they hold.
const GROUPS: &[(&str, &str)] = &[
    ("Keyed hashes", "A secret that both sides know makes a digest of the request."),
    ("Public keys", "The sender signs with a private key; the source has its public key, which is no secret."),
    ("JSON Web Tokens", "A signed token that says something of the request."),
    ("Static secrets", "The secret itself is sent. Nothing of the request is covered: use TLS, and a secret of its own for each source."),
    ("Nothing", "Nothing proves the sender: anybody who knows the URL can send. Ask the sender's API before you act."),
];

/// The whole document.
pub(super) fn document(table: &Table) -> String {
    let groups = GROUPS.iter().enumerate().map(|(number, (title, what))| {
        let members: Vec<_> = table.iter().filter(|provider| group(provider) == number).map(|provider| View::from(&**provider)).collect();
        (title, what, members)
    });
    let groups: Vec<_> = groups.filter(|(_, _, members)| !members.is_empty()).collect();
    let mut text = format!("{HEAD}\n{} senders.\n", table.iter().count());
    for (title, what, members) in &groups {
        text += &format!("\n## {title}\n\n{what}\n\n{}", index(members));
    }
    for (_, _, members) in &groups {
        text.extend(members.iter().map(section));
    }
    text
}

/// The group of a sender, by its preferred way to sign.
fn group(provider: &Provider) -> usize {
    match provider.signatures.first().map(|signature| signature.algorithm) {
        Some(Algorithm::Jwt) => 2,
        Some(Algorithm::Token | Algorithm::Basic) => 3,
        Some(Algorithm::None) | None => 4,
        Some(algorithm) => usize::from(algorithm.is_public()),
    }
}

fn index(members: &[View<'_>]) -> String {
    let mut text = "| name | sender | proved by | body covered | ID signed | duplicates within | handshake | facts |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for view in members {
        let yes = |is: bool| if is { "yes" } else { "no" };
        let cells = [
            format!("[{0}](#{0})", view.name),
            view.title.to_owned(),
            view.proved_by.clone(),
            view.body_words(),
            yes(view.event_id_signed).to_owned(),
            view.duplicates_within.clone().unwrap_or_else(|| "–".into()),
            if view.handshakes.is_empty() { "–".into() } else { "yes".into() },
            view.confidence.unwrap_or("–").to_owned(),
        ];
        text += &format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "));
    }
    text
}

fn section(view: &View<'_>) -> String {
    let facts = super::facts(view).into_iter().map(|(name, value)| format!("- **{name}:** {}\n", escaped(&value)));
    format!("\n<a id=\"{}\"></a>\n\n### {}\n\n{}", view.name, view.title, facts.collect::<String>())
}

/// Text of a row, with what Markdown would take for something else made literal.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.replace('\n', "\\n").chars() {
        // Inside a word an underscore is one.
        if matches!(c, '*' | '<' | '[' | ']' | '`' | '\\') || (c == '_' && !before.is_alphanumeric()) {
            escaped.push('\\');
        }
        escaped.push(c);
        before = c;
    }
    escaped
}
