//! The configuration as a whole: the reference reads, what is wrong is named with its place, and nothing shows a secret.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

mod wrong;

const SECRET: &str = "whsec_very-secret-value";
/// A key to sign with, which has a form of its own.
const SIGNING_KEY: &str = "whsec_dmVyeSBzZWNyZXQga2V5IHRvIHNpZ24gd2l0aA==";

fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "BLANK" => Some("  ".into()),
        "UNSET" => None,
        "ONCEWARD_ADMIN_TOKEN" => Some("admin-token-0123456789".into()),
        "DEPLOY_SIGNING_KEY" => Some(SIGNING_KEY.into()),
        "GITHUB_WEBHOOK_SECRET_OLD" => Some(format!("old-{SECRET}")),
        _ => Some(SECRET.into()),
    }
}

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse("onceward.toml", text, &env)
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The reference with every setting switched on.
fn whole_reference() -> String {
    let switched_on = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
        _ => line.to_owned(),
    };
    Config::default_text().lines().map(switched_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_reads_as_shipped_and_is_the_default() {
    let shipped = Config::parse("default.toml", Config::default_text(), &|_| None).unwrap();
    let empty = good("");
    assert_eq!((shipped.listen, shipped.admin.listen), (empty.listen, empty.admin.listen));
    assert_eq!((&shipped.database, shipped.retention, shipped.limits), (&empty.database, empty.retention, empty.limits));
    assert!(shipped.sources.is_empty() && shipped.destinations.is_empty() && shipped.admin.tokens.is_empty());
}

#[test]
fn the_reference_reads_with_every_setting_switched_on_and_shows_the_defaults() {
    let whole = Config::parse("default.toml", &whole_reference(), &env).unwrap_or_else(|error| panic!("{error}"));
    let empty = good("");
    assert_eq!((whole.retention, whole.limits), (empty.retention, empty.limits));
    let names: Vec<_> = whole.sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["stripe", "github", "acme", "trial"]);
    let names: Vec<_> = whole.destinations.iter().map(|destination| &*destination.name).collect();
    assert_eq!(names, ["stripe", "deploy", "audit", "import", "partner", "alerts", "ledger"]);
    let (forward, deploy) = (&whole.destinations[0], &whole.destinations[1]);
    assert_eq!((forward.timeout, forward.concurrency, &forward.retry), (deploy.timeout, deploy.concurrency, &deploy.retry));
    assert_eq!((forward.circuit, forward.on_dead, forward.on_filter_error), (deploy.circuit, deploy.on_dead, deploy.on_filter_error));
    assert_eq!(whole.sources[1].secrets.len(), 2);
    assert!(!whole.sources[3].verify && whole.tls.is_some());
}

#[test]
fn every_key_is_in_the_reference() {
    let whole = whole_reference();
    // serde lists the keys of a table when it meets an unknown one.
    let tables = ["", "[tls]\n", "[admin]\n", "[retention]\n", "[limits]\n", "[alerts]\n", "[sources.a]\n", "[destinations.a]\n"];
    let below = ["[destinations.a.retry]\n", "[destinations.a.circuit]\n", "[destinations.a.tls]\n"];
    for table in tables.into_iter().chain(below) {
        let error = parse(&format!("{table}a_key_like_no_other = 1")).unwrap_err().to_string();
        let line = error.lines().find(|line| line.contains("unknown key")).unwrap();
        let (_, keys) = line.split_once("allowed: ").unwrap_or_else(|| panic!("{line}"));
        for key in keys.split(", ") {
            let shown = ["{key} = ", "[{key}]", "[{key}.", ".{key}."].map(|form| form.replace("{key}", key));
            assert!(shown.iter().any(|form| whole.contains(form)), "{table}{key}");
        }
    }
}

const WHOLE: &str = r#"
listen   = "0.0.0.0:8080"
database = "sqlite:onceward.db"
public_url = "https://hooks.example.com/"
[admin]
listen = "127.0.0.1:8081"
token  = "${ONCEWARD_ADMIN_TOKEN:-}"
[retention]
bodies = "30d"
ids    = "400d"
[sources.stripe]
provider = "stripe"
secrets  = ["${STRIPE_WEBHOOK_SECRET}"]
forward  = "http://127.0.0.1:3000/stripe"
[sources.github]
provider = "github"
secret   = "${GITHUB_WEBHOOK_SECRET}"
max_body = "10MiB"
rate_limit = "500/s"
[destinations.deploy]
from    = ["github"]
types   = ["push", "release.published"]
url     = "http://127.0.0.1:4000/deploy"
timeout = "30s"
concurrency = 16
retry   = { attempts = 12, first = "5s", max = "12h", factor = 3 }
append_path = true
[providers.acme]
signature = { header = "X-Acme-Signature", prefix = "sha256=" }
"#;

#[test]
fn a_whole_configuration_resolves() {
    let config = good(WHOLE);
    let [stripe, github] = &config.sources[..] else { panic!("{:?}", config.sources) };
    assert_eq!(stripe.secrets[0].expose_secret(), SECRET);
    assert_eq!(stripe.url.as_deref(), Some("https://hooks.example.com/hooks/stripe"));
    assert_eq!((stripe.max_body, github.max_body), (10 << 20, 10 << 20));
    assert_eq!(github.rate_limit, Some(Rate { count: 500, per: Duration::from_secs(1) }));
    assert_eq!(config.destinations.len(), 2);
    assert!(config.providers.get("acme").is_some());
    assert_eq!(config.warnings(), Vec::<String>::new());
}

const STRIPE: &str = "[sources.stripe]\nprovider = \"stripe\"\nsecret = \"s\"\n";

#[test]
fn sources_and_destinations_keep_the_order_of_the_file() {
    let config = good(&format!(
        "[destinations.z]\nfrom = [\"b\"]\nurl = \"http://h/\"\n[sources.b]\nprovider = \"stripe\"\nsecret = \"s\"\nforward = \"http://h/\"\n{STRIPE}"
    ));
    let sources: Vec<_> = config.sources.iter().map(|source| &*source.name).collect();
    let destinations: Vec<_> = config.destinations.iter().map(|destination| &*destination.name).collect();
    assert_eq!((sources, destinations), (vec!["b", "stripe"], vec!["z", "b"]));
}

#[test]
fn databases_are_sqlite_files() {
    for (text, path) in
        [("onceward.db", "onceward.db"), ("sqlite:a/b.db", "a/b.db"), ("sqlite://b.db", "b.db"), ("sqlite:///v/b.db", "/v/b.db")]
    {
        assert_eq!(good(&format!("database = \"{text}\"")).database, Database::Sqlite(path.into()), "{text}");
    }
}

#[test]
fn warnings_name_what_is_allowed_and_yet_risky() {
    let config = good(
        r#"
[admin]
token = "short"
[retention]
bodies = "1d"
ids = "2d"
[sources.a]
provider = "stripe"
verify = "none"
[sources.b]
provider = "github"
secret = "s"
tolerance = "5m"
forward = "http://h/"
"#,
    );
    let warnings = config.warnings();
    let expected = [
        "source a: verify = \"none\"",
        "source a: Stripe repeats events for 3d, and retention.ids = \"2d\"",
        "source a: no destination",
        "source b: GitHub repeats events for 3d",
        "source b: tolerance has no effect",
        "admin.token is shorter than 16",
    ];
    assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    for (warning, expected) in warnings.iter().zip(expected) {
        assert!(warning.starts_with(expected), "{warning}");
    }
    assert_eq!(good("").warnings().len(), 1);
}

fn flags(sources: &[&str]) -> Overrides {
    Overrides { sources: sources.iter().map(|text| text.parse().unwrap()).collect(), ..Overrides::default() }
}

fn without_file(overrides: &Overrides) -> Result<Config, ConfigError> {
    Config::load_or_default(None, Path::new("/nonexistent/onceward.toml"), overrides, &env)
}

#[test]
fn sources_on_the_command_line_need_no_file() {
    let mut overrides = flags(&["stripe=whsec_${X}", "billing:stripe=a", "billing:stripe=b"]);
    overrides.forward = Some("http://127.0.0.1:3000/".into());
    let config = without_file(&overrides).unwrap();
    assert_eq!((config.listen.to_string(), config.admin.listen.to_string()), ("127.0.0.1:8080".into(), "127.0.0.1:8081".into()));
    assert_eq!(config.database, Database::Sqlite("onceward.db".into()));
    let [billing, stripe] = &config.sources[..] else { panic!("{:?}", config.sources) };
    assert_eq!(stripe.secrets[0].expose_secret(), "whsec_${X}");
    assert_eq!(billing.secrets.iter().map(|secret| secret.expose_secret()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(config.destinations.iter().map(|destination| &*destination.name).collect::<Vec<_>>(), ["billing", "stripe"]);
}

#[test]
fn without_file_and_source_the_error_says_what_to_do() {
    let error = without_file(&Overrides::default()).unwrap_err().to_string();
    assert!(error.contains("onceward init") && error.contains("--source"), "{error}");
    let named = Config::load(Path::new("/nonexistent/other.toml"), &env).unwrap_err().to_string();
    assert!(named.starts_with("/nonexistent/other.toml: there is no such file"), "{named}");
    let folder = Config::load(Path::new("/"), &env).unwrap_err().to_string();
    assert!(folder.starts_with("/: cannot be read"), "{folder}");
}

#[test]
fn flags_stand_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("onceward.toml");
    std::fs::write(&path, format!("listen = \"127.0.0.1:1\"\n{STRIPE}max_body = \"1MiB\"\nforward = \"http://file/\"\n")).unwrap();
    let mut overrides = flags(&["stripe=flag", "github=g"]);
    overrides.listen = Some("0.0.0.0:9000".into());
    overrides.admin_listen = Some("127.0.0.1:9001".into());
    overrides.database = Some("sqlite:flag.db".into());
    let config = Config::load_with(Some(&path), &overrides, &env).unwrap();
    assert_eq!((config.listen.port(), config.admin.listen.port()), (9000, 9001));
    assert_eq!(config.database, Database::Sqlite("flag.db".into()));
    let [stripe, github] = &config.sources[..] else { panic!("{:?}", config.sources) };
    assert_eq!((stripe.secrets[0].expose_secret(), stripe.max_body, &*github.name), ("flag", 1 << 20, "github"));
    assert_eq!(config.destinations.len(), 1);
}

#[test]
fn what_is_wrong_with_a_flag_is_said_of_the_flag() {
    let error = |overrides: &Overrides| without_file(overrides).unwrap_err().to_string();
    assert_eq!(error(&flags(&["strip=s"])), "command line: --source: unknown provider \"strip\"; did you mean \"stripe\"?");
    assert!(error(&flags(&["stripe="])).starts_with("command line: --source: is missing; for Stripe"), "{}", error(&flags(&["stripe="])));
    assert!(error(&flags(&["a:stripe=s", "a:github=s"])).contains("--source: the same name is given to two providers"));
    assert!(error(&flags(&["A:stripe=s"])).contains("--source: a name is 1 to 64"));
    let mut overrides = flags(&["stripe=s"]);
    (overrides.forward, overrides.listen) = (Some("3000".into()), Some("8080".into()));
    let both = error(&overrides);
    assert!(both.contains("--listen: not an address") && both.contains("--forward: not a URL"), "{both}");
    let lone = Config::load_or_default(
        Some(Path::new("/dev/null")),
        Path::new(""),
        &Overrides { forward: Some("http://h/".into()), ..Overrides::default() },
        &env,
    );
    assert!(lone.unwrap_err().to_string().contains("--forward: is where the sources of --source go"));
}

#[test]
fn nothing_that_prints_shows_a_secret() {
    let mut overrides = flags(&[&format!("billing:stripe={SECRET}")]);
    overrides.forward = Some(format!("http://user:{SECRET}@h/?token={SECRET}"));
    let text = format!(
        "[admin]\ntoken = \"{SECRET}\"\n[sources.a]\nprovider = \"github\"\nsecrets = [\"{SECRET}\"]\nurl = \"https://u:{SECRET}@h/?k={SECRET}\"\n\
         [sources.b]\nprovider = \"github\"\nsecret = \"{SECRET}\"\nforward = \"http://{SECRET}@h/\"\n\
         [destinations.c]\nfrom = [\"a\"]\nurl = \"http://h/\"\nbearer = \"{SECRET}\"\nheaders = {{ X-A = \"{SECRET}\" }}\nsign = \"{SIGNING_KEY}\"\n\
         [destinations.d]\nfrom = [\"a\"]\nurl = \"http://h/\"\nbasic = \"user:{SECRET}\"\n"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("onceward.toml");
    std::fs::write(&path, text).unwrap();
    let config = Config::load_with(Some(&path), &overrides, &env).unwrap();
    let written = crate::config::file::Secret(SECRET.into());
    for shown in [
        format!("{config:?}"),
        format!("{:?} {:?}", config.sources, config.destinations),
        format!("{:?} {:?}", config.admin, config.providers),
        format!("{overrides:?} {written:?}"),
        format!("{:?}", overrides.sources[0]),
        config.warnings().join(" "),
    ] {
        assert!(!shown.contains(SECRET) && !shown.contains(&SIGNING_KEY[6..]), "{shown}");
    }
}

#[test]
fn the_path_of_a_url_that_came_out_of_a_variable_is_not_shown() {
    let env = |name: &str| (name == "HOOK").then(|| format!("https://user@chat.example:8443/services/{SECRET}?k=v"));
    let text = format!(
        "{STRIPE}forward = \"${{HOOK}}\"\n[destinations.a]\nfrom = [\"stripe\"]\nurl = \"${{HOOK}}\"\n\
         [destinations.b]\nfrom = [\"stripe\"]\nurl = \"https://host/${{NONE:-{SECRET}}}\"\n\
         [destinations.c]\nfrom = [\"stripe\"]\nurl = \"https://u:{SECRET}@host/in/here?k={SECRET}\"\n"
    );
    let config = Config::parse("onceward.toml", &text, &env).unwrap();
    let shown: Vec<_> = config.destinations.iter().map(|destination| destination.target.shown()).collect();
    assert_eq!(shown, ["https://chat.example:8443/…", "https://chat.example:8443/…", "https://host/…", "https://host/in/here"]);
    assert!(!format!("{config:?}").contains(SECRET));
}

#[test]
fn no_error_shows_a_secret_wherever_it_was_written() {
    let keys =
        ["listen", "tls", "database", "public_url", "workers", "admin", "retention", "limits", "sources", "destinations", "providers"];
    let in_sources =
        ["secret", "secrets", "forward", "url", "params", "tolerance", "max_body", "rate_limit", "verify", "replay_guard", "search"];
    let in_destinations = ["from", "url", "timeout", "concurrency", "retry", "append_path", "bearer", "basic", "headers", "tls", "sign"];
    let at_top = keys.iter().map(|key| format!("{key} = \"{SECRET}\""));
    let sources = in_sources.iter().map(|key| format!("[sources.a]\nprovider = \"stripe\"\n{key} = \"{SECRET}\""));
    let destinations = in_destinations.iter().map(|key| format!("[destinations.a]\n{key} = \"{SECRET}\""));
    let expanded = [
        "[sources.a]\nprovider = \"${X}\"".to_owned(),
        "[providers.a]\nsignature = { header = \"X\", encoding = \"${X}\" }".to_owned(),
        format!("{STRIPE}[destinations.a]\nurl = \"http://h/\"\nfrom = [\"${{X}}\"]\ntypes = [\"${{X}}..\"]"),
    ];
    let others = ["[admin]\nlisten = \"S\"", "[sources.a]\nsecret = \"S", "[sources.a]\nsecret = \"a${S b}\"", "[sources.a]\nsecret = S"];
    let others = others.iter().map(|text| text.replace('S', SECRET));
    for text in at_top.chain(sources).chain(destinations).chain(others).chain(expanded) {
        let error = match parse(&text) {
            Ok(config) => format!("{config:?}"),
            Err(error) => format!("{error} {error:?}"),
        };
        // A database or a certificate is a file's name, and shown.
        assert!(!error.contains(SECRET) || text.starts_with("database"), "{text}\n{error}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_an_error(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn anything_like_a_configuration_is_one_or_an_error(lines in prop::collection::vec(line(), 0..12)) {
        if let Err(error) = parse(&lines.join("\n")) {
            prop_assert!(error.to_string().starts_with("onceward.toml"));
        }
    }
}

/// Lines that get past the TOML parser often enough to reach everything behind it.
fn line() -> impl Strategy<Value = String> {
    let table =
        prop::sample::select(vec!["sources.a", "sources.b", "destinations.a", "providers.a", "admin", "limits", "retention", "sources"]);
    let key = "listen|token|provider|secret|secrets|from|url|types|retry|signature|signed|params|a\\.b|\"a b\"|headers|ids|forward";
    let value = r#""[$]?[$]\{[A-Z]{0,3}(:-)?[a-z]{0,2}\}?"|"stripe"|"acme"|"[a-z0-9:/.]{0,12}"|[0-9]{1,3}|true|\["a", 5\]|\{ header = "X" \}|\[\[1\], \{ a = 1 \}\]"#;
    prop_oneof![
        1 => table.prop_map(|name| format!("[{name}]")),
        3 => (key, value).prop_map(|(key, value)| format!("{key} = {value}")),
    ]
}
