//! The configuration as a whole: the reference reads, what is wrong is named with its place, and nothing shows a secret.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use secrecy::ExposeSecret;

use super::*;

const SECRET: &str = "whsec_very-secret-value";

fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "BLANK" => Some("  ".into()),
        "UNSET" => None,
        "ONCEWARD_ADMIN_TOKEN" => Some("admin-token-0123456789".into()),
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
    assert!(shipped.sources.is_empty() && shipped.destinations.is_empty() && shipped.admin.token.is_none());
}

#[test]
fn the_reference_reads_with_every_setting_switched_on_and_shows_the_defaults() {
    let whole = Config::parse("default.toml", &whole_reference(), &env).unwrap_or_else(|error| panic!("{error}"));
    let empty = good("");
    assert_eq!((whole.retention, whole.limits), (empty.retention, empty.limits));
    let names: Vec<_> = whole.sources.iter().map(|source| &*source.name).collect();
    assert_eq!(names, ["stripe", "github", "acme", "trial"]);
    let names: Vec<_> = whole.destinations.iter().map(|destination| &*destination.name).collect();
    assert_eq!(names, ["stripe", "deploy", "audit"]);
    let (forward, deploy) = (&whole.destinations[0], &whole.destinations[1]);
    assert_eq!((forward.timeout, forward.concurrency, &forward.retry), (deploy.timeout, deploy.concurrency, &deploy.retry));
    assert_eq!(whole.sources[1].secrets.len(), 2);
    assert!(!whole.sources[3].verify && whole.tls.is_some());
}

#[test]
fn every_key_is_in_the_reference() {
    let whole = whole_reference();
    // serde lists the keys of a table when it meets an unknown one.
    let tables = ["", "[tls]\n", "[admin]\n", "[retention]\n", "[limits]\n", "[sources.a]\n", "[destinations.a]\n"];
    for table in tables.into_iter().chain(["[destinations.a.retry]\n"]) {
        let error = parse(&format!("{table}a_key_like_no_other = 1")).unwrap_err().to_string();
        let line = error.lines().find(|line| line.contains("unknown key")).unwrap();
        let (_, keys) = line.split_once("allowed: ").unwrap_or_else(|| panic!("{line}"));
        for key in keys.split(", ") {
            let shown = ["{key} = ", "[{key}]", "[{key}."].map(|form| form.replace("{key}", key));
            assert!(shown.iter().any(|form| whole.contains(form)), "{table}{key}");
        }
    }
}

#[test]
fn the_design_s_own_example_resolves() {
    let config = good(
        r#"
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
"#,
    );
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

/// A configuration with what is said about it: line, key, part of the message.
type Wrong = (&'static str, usize, &'static str, &'static str);

const WRONG_FORM: &[Wrong] = &[
    ("listen = \"a", 1, "", "not TOML"),
    ("workers = 1\nworkers = 2", 2, "", "duplicate key"),
    ("\nlisen = \"127.0.0.1:1\"", 2, "lisen", "unknown key; did you mean \"listen\"?"),
    ("[sources.a]\nprovider = \"stripe\"\nsecert = \"x\"", 3, "sources.a.secert", "did you mean \"secret\"?"),
    ("[admin]\nport = 1", 2, "admin.port", "unknown key; allowed: listen, token"),
    ("[sorces.a]\nprovider = \"stripe\"", 1, "sorces", "did you mean \"sources\"?"),
    ("[destinations.d.retry]\nattemps = 1", 2, "destinations.d.retry.attemps", "did you mean \"attempts\"?"),
    ("workers = \"two\"", 1, "workers", "expected a whole number, found a string"),
    ("listen = 8080", 1, "listen", "expected a string, found an integer"),
    ("sources = 5", 1, "sources", "expected a table, found an integer"),
    ("[sources.a]\nsecrets = \"whsec_very-secret-value\"", 2, "sources.a.secrets", "expected a list, found a string"),
    ("[sources.a]\nsecrets = [\"x\",\n 5]", 3, "sources.a.secrets[1]", "expected a string, found an integer"),
    ("[destinations.d]\nappend_path = \"yes\"", 2, "destinations.d.append_path", "expected true or false, found a string"),
    ("database = \"sqlite:${UNSET}\"", 1, "database", "the variable UNSET is not set"),
    ("[sources.a]\nsecrets = [\n\"a\",\n\"${UNSET}\"]", 4, "sources.a.secrets[1]", "the variable UNSET is not set"),
    ("[sources.a]\nsecret = \"a${b\"", 2, "sources.a.secret", "without \"}\""),
    ("[destinations.d]\nexec = [\"./a\"]", 2, "destinations.d.exec", "this version does not support it yet"),
    ("[destinations.d]\nrate_limit = \"1/s\"", 2, "destinations.d.rate_limit", "this version does not support it yet"),
    ("[destinations.d.circuit]\nfailures = 1", 1, "destinations.d.circuit", "this version does not support it yet"),
    ("[sources.a]\nschedule = \"0 2 * * *\"", 2, "sources.a.schedule", "this version does not support it yet"),
    ("[sources.a]\nreplay_guard = \"drop\"", 2, "sources.a.replay_guard", "this version does not support it yet"),
    ("[providers.a]\nsignature = { hedaer = \"X\" }", 2, "providers.a.signature.hedaer", "did you mean \"header\"?"),
    ("[providers.a]\ntitle = \"A\"", 1, "providers.a", "needs the key `signature`"),
    ("[providers.a]\nsignature = 5", 2, "providers.a.signature", "expected a signature table, or a list of them"),
];

const WRONG_TOP: &[Wrong] = &[
    ("listen = \"localhost:8080\"", 1, "listen", "write IP:PORT"),
    ("tls = { cert = \"c.pem\" }", 1, "tls.key", "is missing"),
    ("[tls]\ncert = \"\"\nkey = \"k\"", 2, "tls.cert", "is empty"),
    ("database = \"postgres://h/d\"", 1, "database", "does not support PostgreSQL yet"),
    ("database = \"mysql://h/d\"", 1, "database", "write \"sqlite:PATH\""),
    ("database = \"sqlite::memory:\"", 1, "database", "must be the path of a file"),
    ("public_url = \"hooks.example.com\"", 1, "public_url", "not a URL"),
    ("public_url = \"https://h/?a=b\"", 1, "public_url", "no \"?\""),
    ("workers = 0", 1, "workers", "must be 1 to 1024"),
    ("workers = -1", 1, "workers", "must be 1 to 1024"),
    ("[admin]\nlisten = \"127.0.0.1:8080\"", 2, "admin.listen", "takes the same port"),
    ("listen = \"0.0.0.0:8081\"", 1, "admin.listen", "takes the same port"),
    ("[admin]\nlisten = \"0.0.0.0:8081\"", 1, "admin.token", "is missing: it is required"),
    ("[admin]\nlisten = \"0.0.0.0:8081\"\ntoken = \"${EMPTY}\"", 3, "admin.token", "is empty: it is required"),
    ("[admin]\ntoken = \"${BLANK}\"", 2, "admin.token", "is blank"),
    ("[retention]\nbodies = \"thirty days\"", 2, "retention.bodies", "not a duration"),
    ("[retention]\nbodies = \"2d\"\nids = \"1d\"", 3, "retention.ids", "at least bodies = \"2d\""),
    ("[retention]\nbodies = \"500d\"", 2, "retention.bodies", "ids = \"400d\" must be at least"),
    ("[limits]\nbody_timeout = \"0s\"", 2, "limits.body_timeout", "must be more than zero"),
    ("[limits]\nheaders = \"64\"", 2, "limits.headers", "not a size"),
    ("[limits]\nheaders = \"1GiB\"", 2, "limits.headers", "must be 1B to 1MiB"),
    ("[limits]\nrejections = -1", 2, "limits.rejections", "must be 0 to 1000000"),
    ("[providers.stripe]\nsignature = { header = \"X\" }", 1, "providers.stripe", "is a built-in provider"),
    ("[providers.\"A B\"]\nsignature = { header = \"X\" }", 1, "providers.\"A B\"", "a name is 1 to 64"),
    ("[providers.a]\nsignature = { header = \"X\", encoding = \"b32\" }", 2, "providers.a.signature.encoding", "hex, base64"),
    ("[providers.a]\n\n[providers.a.signature]\nheader = \"X\"\n[providers.a.timestamp]\nfrom = \"clock\"", 6, "providers.a.timestamp.from", "no place"),
];

const WRONG_SOURCE: &[Wrong] = &[
    ("[sources.a]\nprovider = \"strip\"\nsecret = \"s\"", 2, "sources.a.provider", "unknown provider \"strip\"; did you mean \"stripe\"?"),
    ("[sources.a]\nprovider = \"zzzzzz\"\nsecret = \"s\"", 2, "sources.a.provider", "allowed: gitea, github"),
    ("[sources.a]\nsecret = \"s\"", 1, "sources.a.provider", "is missing: name the sender"),
    ("[sources.a]\nprovider = \"idempotency-key\"", 2, "sources.a.provider", "does not support \"idempotency-key\" yet"),
    ("[sources.\"A b\"]\nprovider = \"stripe\"", 1, "sources.\"A b\"", "a name is 1 to 64"),
    ("[sources.a]\nprovider = \"stripe\"", 1, "sources.a.secret", "is missing; for Stripe: the endpoint's signing secret"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"${EMPTY}\"", 3, "sources.a.secret", "is empty"),
    ("[sources.a]\nprovider = \"stripe\"\nsecrets = [\"a\", \"${BLANK}\"]", 3, "sources.a.secrets[1]", "is empty"),
    ("[sources.a]\nprovider = \"stripe\"\nsecrets = []", 3, "sources.a.secrets", "write at least one"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"a\"\nsecrets = [\"b\"]", 4, "sources.a.secrets", "stands beside `secret`"),
    ("[sources.a]\nprovider = \"stripe\"\nverify = \"no\"", 3, "sources.a.verify", "the only value is \"none\""),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nparams = { id = \"1\" }", 4, "sources.a.params.id", "asks for no such value"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nurl = \"ftp://h/\"", 4, "sources.a.url", "must start with http"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nforward = \"\"", 4, "sources.a.forward", "is empty"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nforward = \"http://u:hunter2@/x\"", 4, "sources.a.forward", "not a URL"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\ntolerance = \"5\"", 4, "sources.a.tolerance", "not a duration"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nmax_body = \"1GiB\"", 4, "sources.a.max_body", "must be 1B to 512MiB"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nmax_body = \"65MiB\"", 4, "limits.queue_bytes", "source a takes 65MiB"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nrate_limit = \"fast\"", 4, "sources.a.rate_limit", "not a rate"),
];

const WRONG_DESTINATION: &[Wrong] = &[
    ("from = [\"stripe\"]", 4, "destinations.d.url", "is missing"),
    ("url = \"http://h/\"", 4, "destinations.d.from", "is missing: name at least one source"),
    ("url = \"http://h/\"\nfrom = []", 6, "destinations.d.from", "is missing: name at least one source"),
    ("url = \"http://h/\"\nfrom = [\"strip\"]", 6, "destinations.d.from[0]", "unknown source \"strip\"; did you mean \"stripe\"?"),
    ("url = \"http://h/\"\nfrom = [\"stripe\",\n\"stripe\"]", 7, "destinations.d.from[1]", "is named twice"),
    ("url = \"h\"\nfrom = [\"stripe\"]", 5, "destinations.d.url", "not a URL"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\ntypes = [\"a..b\"]", 7, "destinations.d.types[0]", "no empty segment"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\ntypes = []", 7, "destinations.d.types", "would take nothing"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nconcurrency = 10001", 7, "destinations.d.concurrency", "must be 1 to 10000"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { attempts = 0 }", 7, "destinations.d.retry.attempts", "must be 1 to"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { factor = 0.5 }", 7, "destinations.d.retry.factor", "must be 1 to 1000"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { factor = nan }", 7, "destinations.d.retry.factor", "must be 1 to 1000"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { max = \"1s\" }", 7, "destinations.d.retry.max", "at least `first`"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { schedule = [\"1s\"], max = \"9s\" }", 7, "destinations.d.retry.schedule", "stands beside"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { schedule = [\"soon\"] }", 7, "destinations.d.retry.schedule[0]", "not a duration"),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { schedule = [] }", 7, "destinations.d.retry.schedule", "is empty"),
];

fn assert_wrong(text: &str, line: usize, key: &str, message: &str) {
    let error = parse(text).map(|config| format!("{config:?}")).expect_err(text);
    let problems = error.problems();
    assert_eq!(problems.len(), 1, "{text}\n{error}");
    let found = &problems[0];
    // A key that is missing in a table without a header has no line: 0 stands for none... and none is expected so.
    assert_eq!((found.line.unwrap_or(0), found.key.as_str()), (line, key), "{text}\n{error}");
    assert!(found.message.contains(message), "{text}\n{error}");
    assert!(!error.to_string().contains("hunter2") && !error.to_string().contains(SECRET), "{error}");
}

#[test]
fn what_is_wrong_is_named_with_line_key_and_what_is_allowed() {
    for (text, line, key, message) in WRONG_FORM.iter().chain(WRONG_TOP).chain(WRONG_SOURCE) {
        assert_wrong(text, *line, key, message);
    }
    for (text, line, key, message) in WRONG_DESTINATION {
        assert_wrong(&format!("{STRIPE}[destinations.d]\n{text}"), *line, key, message);
    }
}
