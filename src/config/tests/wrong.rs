//! Wrong configurations, each with what must be said about it.

use super::{SECRET, STRIPE, parse};
use crate::config::Problem;

/// A configuration with what is said about it: line, key, part of the message.
type Wrong = (&'static str, usize, &'static str, &'static str);

const WRONG_FORM: &[Wrong] = &[
    ("listen = \"a", 1, "", "not TOML"),
    ("workers = 1\nworkers = 2", 2, "", "duplicate key"),
    ("\nlisen = \"127.0.0.1:1\"", 2, "lisen", "unknown key; did you mean \"listen\"?"),
    ("[sources.a]\nprovider = \"stripe\"\nsecert = \"x\"", 3, "sources.a.secert", "did you mean \"secret\"?"),
    ("[admin]\nport = 1", 2, "admin.port", "unknown key; allowed: listen, token, tokens"),
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
    ("[sources.a]\nschedule = \"0 2 * * *\"", 2, "sources.a.schedule", "this version does not support it yet"),
    (
        "[sources.a]\nprovider = \"github\"\nsecret = \"s\"\nreplay_guard = \"keep\"",
        4,
        "sources.a.replay_guard",
        "must be \"mark\" or \"drop\"",
    ),
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
    ("[admin]\nlisten = \"127.0.0.1:8080\"", 2, "admin.listen", "take the same port"),
    ("listen = \"0.0.0.0:8081\"", 1, "listen", "take the same port"),
    ("[admin]\nlisten = \"0.0.0.0:8081\"", 1, "admin.token", "is missing: it is required"),
    ("[admin]\nlisten = \"0.0.0.0:8081\"\ntoken = \"${EMPTY}\"", 3, "admin.token", "is empty: it is required"),
    ("[admin]\ntoken = \"${BLANK}\"", 2, "admin.token", "is blank"),
    ("[admin.tokens.ops]\ntoken = \"a\"\nrole = \"root\"", 3, "admin.tokens.ops.role", "is \"read\" or \"write\""),
    ("[admin.tokens.ops]\ntoken = \"a\"", 1, "admin.tokens.ops.role", "is missing"),
    ("[admin.tokens.ops]\nrole = \"read\"\ntoken = \"${EMPTY}\"", 3, "admin.tokens.ops.token", "an empty token"),
    ("[admin.tokens.admin]\nrole = \"read\"\ntoken = \"a\"", 3, "admin.tokens.admin.token", "choose another"),
    ("[admin]\ntoken = \"a\"\n[admin.tokens.ops]\nrole = \"read\"\ntoken = \"a\"", 5, "admin.tokens.ops.token", "same as that of admin"),
    ("[retention]\nbodies = \"thirty days\"", 2, "retention.bodies", "not a duration"),
    ("[retention]\nanswers = \"0s\"", 2, "retention.answers", "more than zero"),
    ("[retention]\nbodies = \"2d\"\nids = \"1d\"", 3, "retention.ids", "at least bodies = \"2d\""),
    ("[retention]\nbodies = \"500d\"", 2, "retention.bodies", "ids = \"400d\" must be at least"),
    ("[limits]\nbody_timeout = \"0s\"", 2, "limits.body_timeout", "must be more than zero"),
    ("[limits]\nheader_timeout = \"999ms\"", 2, "limits.header_timeout", "must be at least 1s"),
    ("[limits]\nheaders = \"64\"", 2, "limits.headers", "not a size"),
    ("[limits]\nheaders = \"1GiB\"", 2, "limits.headers", "must be 1B to 1MiB"),
    ("[limits]\nrejections = -1", 2, "limits.rejections", "must be 0 to 1000000"),
    ("[providers.stripe]\nsignature = { header = \"X\" }", 1, "providers.stripe", "is a built-in provider"),
    ("[providers.\"A B\"]\nsignature = { header = \"X\" }", 1, "providers.\"A B\"", "a name is 1 to 64"),
    ("[providers.a]\nsignature = { header = \"X\", encoding = \"b32\" }", 2, "providers.a.signature.encoding", "hex, base64"),
    (
        "[providers.a]\n\n[providers.a.signature]\nheader = \"X\"\n[providers.a.timestamp]\nfrom = \"clock\"",
        6,
        "providers.a.timestamp.from",
        "no place",
    ),
];

const WRONG_SOURCE: &[Wrong] = &[
    ("[sources.a]\nprovider = \"strip\"\nsecret = \"s\"", 2, "sources.a.provider", "unknown provider \"strip\"; did you mean \"stripe\"?"),
    ("[sources.a]\nprovider = \"zzzzzz\"\nsecret = \"s\"", 2, "sources.a.provider", "allowed: "),
    ("[sources.a]\nsecret = \"s\"", 1, "sources.a.provider", "is missing: name the sender"),
    ("[sources.a]\nprovider = \"idempotency-key\"", 2, "sources.a.provider", "does not support \"idempotency-key\" yet"),
    ("[sources.\"A b\"]\nprovider = \"stripe\"", 1, "sources.\"A b\"", "a name is 1 to 64"),
    ("[sources.a]\nprovider = \"stripe\"", 1, "sources.a.secret", "is missing; for Stripe: the endpoint's signing secret"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"${EMPTY}\"", 3, "sources.a.secret", "is empty"),
    ("[sources.a]\nprovider = \"stripe\"\nsecrets = [\"a\", \"${BLANK}\"]", 3, "sources.a.secrets[1]", "is empty"),
    ("[sources.a]\nprovider = \"svix\"\nsecret = \"hunter2\"", 3, "sources.a.secret", "is not base64 behind whsec_; Svix shows whsec_ and"),
    ("[sources.a]\nprovider = \"svix\"\nsecrets = [\"YWE=\",\n\"whpk_hunter2\"]", 4, "sources.a.secrets[1]", "a key of another kind"),
    ("[sources.a]\nprovider = \"stripe\"\nsecrets = []", 3, "sources.a.secrets", "write at least one"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"a\"\nsecrets = [\"b\"]", 4, "sources.a.secrets", "stands beside `secret`"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nverify = \"no\"", 4, "sources.a.verify", "the only value is \"none\""),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nparams = { id = \"1\" }", 4, "sources.a.params.id", "asks for no such value"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nurl = \"ftp://h/\"", 4, "sources.a.url", "must start with http"),
    ("[sources.a]\nprovider = \"square\"\nsecret = \"s\"", 1, "sources.a.url", "signs the URL"),
    ("[sources.a]\nprovider = \"qstash\"\nsecret = \"s\"", 1, "sources.a.url", "signs the URL"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nforward = \"\"", 4, "sources.a.forward", "is empty"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nforward = \"http://u:hunter2@/x\"", 4, "sources.a.forward", "not a URL"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\ntolerance = \"5\"", 4, "sources.a.tolerance", "not a duration"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nmax_body = \"1GiB\"", 4, "sources.a.max_body", "must be 1B to 512MiB"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nmax_body = \"65MiB\"", 4, "sources.a.max_body", "source a takes bodies of 65MiB"),
    ("[sources.a]\nprovider = \"stripe\"\nsecret = \"s\"\nrate_limit = \"fast\"", 4, "sources.a.rate_limit", "not a rate"),
];

const WRONG_NAMES: &[Wrong] = &[
    ("[sources.onceward]\nprovider = \"stripe\"\nsecret = \"s\"", 1, "sources.onceward", "Onceward's own events"),
    ("[alerts]\nrejections = \"many\"", 2, "alerts.rejections", "not a rate"),
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
    (
        "url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { schedule = [\"1s\"], max = \"9s\" }",
        7,
        "destinations.d.retry.schedule",
        "stands beside",
    ),
    (
        "url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { schedule = [\"soon\"] }",
        7,
        "destinations.d.retry.schedule[0]",
        "not a duration",
    ),
    ("url = \"http://h/\"\nfrom = [\"stripe\"]\nretry = { schedule = [] }", 7, "destinations.d.retry.schedule", "is empty"),
];

/// Behind `from`; what is wrong stands in line 6.
const WRONG_TARGET: &[(&str, &str, &str)] = &[
    ("exec = []", "exec", "names no program"),
    ("exec = [\" \", \"a\"]", "exec", "names no program"),
    ("handler = \"\"", "handler", "is empty"),
    ("handler = \"h\"\ndead_on = [65]", "dead_on", "belongs to `url` and `exec`"),
    ("exec = [\"a\"]\nappend_path = true", "append_path", "belongs to `url`, and this destination has an `exec`"),
    ("exec = [\"a\"]\nsign = \"hunter2\"", "sign", "belongs to `url`"),
    ("handler = \"h\"\nbearer = \"hunter2\"", "bearer", "belongs to `url`, and this destination has a `handler`"),
    ("handler = \"h\"\nenv = { A = \"hunter2\" }", "env", "belongs to `exec`"),
    ("exec = [\"a\"]\nenv = { ONCEWARD_X = \"1\" }", "env.ONCEWARD_X", "is set by Onceward itself"),
    ("exec = [\"a\"]\nenv = { \"A=B\" = \"1\" }", "env.\"A=B\"", "is no variable"),
    ("exec = [\"a\"]\ndir = \"\"", "dir", "is empty"),
    ("exec = [\"a\"]\ndead_on = [0]", "dead_on[0]", "must be an exit code of 1 to 255"),
    ("exec = [\"a\"]\ndead_on = [64, 75]", "dead_on", "asks for another attempt"),
    ("url = \"http://h/\"\ndir = \"/\"", "dir", "belongs to `exec`, and this destination has a `url`"),
    ("url = \"http://h/\"\ndead_on = [65]", "dead_on[0]", "must be a status of 400 to 599"),
    ("url = \"http://h/\"\nheaders = { \"X Y\" = \"1\" }", "headers.\"X Y\"", "is no name of a header"),
    ("url = \"http://h/\"\nheaders = { Host = \"h\" }", "headers.Host", "is set by Onceward itself"),
    ("url = \"http://h/\"\nheaders = { Onceward-A = \"h\" }", "headers.Onceward-A", "is set by Onceward itself"),
    ("url = \"http://h/\"\nheaders = { X-A = \"hunter2\\n\" }", "headers.X-A", "a character that a header cannot"),
    ("url = \"http://h/\"\nheaders = { X-A = \"1\", x-a = \"2\" }", "headers.x-a", "is written twice"),
    ("url = \"http://h/\"\nbearer = \"\"", "bearer", "is empty"),
    ("url = \"http://h/\"\nbasic = \"hunter2\"", "basic", "not of the form"),
    ("url = \"http://u:hunter2@h/\"\nheaders = { Authorization = \"a\" }", "headers.Authorization", "stands beside"),
    ("url = \"http://h/\"\nbasic = \"u:hunter2\\u007f\"", "basic", "a character that a header cannot"),
    ("url = \"http://u:hunter2@h/\"\nbearer = \"a\"", "bearer", "stands beside the user or password in `url`"),
    ("url = \"http://h/\"\ntls = { cert = \"c.pem\" }", "tls.key", "is missing"),
    ("url = \"http://h/\"\ntls = { ca = \"\" }", "tls.ca", "is empty"),
    ("url = \"http://h/\"\nsign = \"\"", "sign", "is empty"),
    ("url = \"http://h/\"\nsign = []", "sign", "is empty: write at least one key"),
    ("url = \"http://h/\"\nsign = \"hunter2\"", "sign", "is no signing key: one starts with whsec_"),
    ("url = \"http://h/\"\nsign = \"whsec_hunter2!\"", "sign", "is not base64 behind whsec_"),
    ("url = \"http://h/\"\nsign = \"whsec_aHVudGVyMg==\"", "sign", "has 7 bytes behind whsec_, and a key has 24 to 64"),
    ("url = \"http://h/\"\nsign = [\"whsk_aHVudGVyMg==\"]", "sign[0]", "has 7 bytes behind whsk_"),
    ("url = \"http://h/\"\nsign = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\", \"whpk_hunter2\"]", "sign[1]", "is a public key"),
    ("url = \"http://h/\"\nsign = 5", "sign", "expected a string, or a list of them, found an integer"),
    ("url = \"http://h/\"\norder_by = \"id\"", "order_by", "a JSON pointer into the body"),
    ("url = \"http://h/\"\non_dead = \"hold\"", "on_dead", "has no effect without `order_by`"),
    ("url = \"http://h/\"\norder_by = \"/id\"\non_dead = \"hole\"", "on_dead", "did you mean \"hold\"?"),
    ("url = \"http://h/\"\non_filter_error = \"skip\"", "on_filter_error", "has no effect without `filter`"),
    ("url = \"http://h/\"\norder_by = \"/a~2\"", "order_by", "\"~\" is written \"~0\""),
    ("url = \"http://h/\"\nfilter = \"body.ref ==\"", "filter", "is no CEL expression, at 1:"),
    ("url = \"http://h/\"\nfilter = \"boddy.ref == 1\"", "filter", "there is no variable `boddy`; did you mean `body`?"),
    ("url = \"http://h/\"\nfilter = \"body.ref.startWith('a')\"", "filter", "did you mean `startsWith`?"),
    ("url = \"http://h/\"\nfilter = \"size(body)\"", "filter", "must be true or false, and is a number"),
    ("url = \"http://h/\"\nfilter = \"\"", "filter", "is empty"),
    ("url = \"http://h/\"\nrate_limit = \"fast\"", "rate_limit", "not a rate"),
    ("url = \"http://h/\"\ncircuit = { failures = -1 }", "circuit.failures", "must be 0 to"),
    ("url = \"http://h/\"\ncircuit = { probe = \"10m\" }", "circuit.probe", "`max_probe` must be at least `probe`"),
    ("url = \"http://h/\"\nexec = [\"a\"]", "url", "one of `url`, `exec` and `handler`"),
];

#[test]
fn what_is_wrong_with_a_target_is_named_by_its_key() {
    for (settings, key, message) in WRONG_TARGET {
        let text = format!("{STRIPE}[destinations.d]\nfrom = [\"stripe\"]\n{settings}");
        let error = parse(&text).expect_err(settings);
        let key = format!("destinations.d.{key}");
        let found = error.problems().iter().find(|problem| problem.key == key && problem.message.contains(message));
        assert!(found.is_some_and(|problem| problem.line.is_some()), "{settings}\n→ {error}\nexpected {key}: {message}");
        assert_eq!(error.problems().len(), 1, "{settings}\n→ {error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[test]
fn a_wrong_filter_that_came_out_of_a_variable_is_not_shown() {
    for filter in
        ["${FILTER}.x == 1", "body.x == ${FILTER}(", "body.x.f${FILTER}()", "body.x == '${FILTER}", "body.x.matches('(${FILTER}')"]
    {
        let text = format!("{STRIPE}[destinations.d]\nfrom = [\"stripe\"]\nurl = \"http://h/\"\nfilter = \"{filter}\"");
        let error = super::Config::parse("onceward.toml", &text, &|_| Some("hunter2".into())).expect_err(filter);
        assert_eq!(error.problems()[0].key, "destinations.d.filter", "{filter}: {error}");
        assert!(!error.to_string().contains("hunter2"), "{filter}: {error}");
    }
}

/// What differs from the expectation, if anything does. Line 0 stands for none.
fn misjudged(text: &str, (line, key, message): (usize, &str, &str), alone: bool) -> Option<String> {
    let Err(error) = parse(text) else { return Some(format!("{text}\n→ nothing wrong\n")) };
    let fits = |problem: &&Problem| problem.line.unwrap_or(0) == line && problem.key == key && problem.message.contains(message);
    let leaks = error.to_string().contains("hunter2") || error.to_string().contains(SECRET);
    let right = error.problems().iter().any(|problem| fits(&problem)) && (!alone || error.problems().len() == 1) && !leaks;
    (!right).then(|| format!("{text}\n→ {error}\nexpected {line} {key} {message}\n"))
}

#[test]
fn what_is_wrong_is_named_with_line_key_and_what_is_allowed() {
    let form = WRONG_FORM.iter().chain(WRONG_NAMES).filter_map(|(text, line, key, message)| misjudged(text, (*line, key, message), false));
    let single = WRONG_TOP.iter().chain(WRONG_SOURCE);
    let single = single.filter_map(|(text, line, key, message)| misjudged(text, (*line, key, message), true));
    let destination = WRONG_DESTINATION
        .iter()
        .filter_map(|(text, line, key, message)| misjudged(&format!("{STRIPE}[destinations.d]\n{text}"), (*line, key, message), true));
    let misjudged: Vec<_> = form.chain(single).chain(destination).collect();
    assert!(misjudged.is_empty(), "{}", misjudged.join("\n"));
}

#[test]
fn one_run_names_everything_and_what_follows_from_it_only_once() {
    let error = parse(
        r#"listen = "here"
lisen = 1
[sources.a]
provider = "strip"
[sources.b]
provider = "stripe"
secert = "x"
[sources.c]
provider = "acme"
secret = "${UNSET}"
[destinations.d]
from = ["a", "b", "e"]
url = 5
exec = "x"
[providers.acme]
signature = { header = "X", encoding = "b32" }
"#,
    )
    .unwrap_err();
    let found: Vec<_> = error.problems().iter().map(|problem| (problem.line.unwrap(), problem.key.as_str())).collect();
    let expected = [
        (1, "listen"),
        (2, "lisen"),
        (4, "sources.a.provider"),
        (7, "sources.b.secert"),
        (10, "sources.c.secret"),
        (12, "destinations.d.from[2]"),
        (13, "destinations.d.url"),
        (14, "destinations.d.exec"),
        (16, "providers.acme.signature.encoding"),
    ];
    assert_eq!(found, expected, "{error}");
    let first = error.to_string();
    assert!(first.starts_with("onceward.toml:1: listen: not an address: write IP:PORT"), "{first}");
}
