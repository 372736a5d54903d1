//! What a server prints with every log line on, and what its API shows, holds no secret: neither its own nor a sender's.

use crate::support::command::SECRETS;
use crate::support::tls::{Authority, Setup, TlsServer};
use crate::support::{Process, Receiver, Request, stripe, until};

/// Each secret is of one of the forms in [`SECRETS`]. One destination does not answer, and its URL has a password; the others
/// take what comes, over HTTP/1.1 and over HTTP/2.
const FILE: &str = r#"
[sources.stripe]
provider = "stripe"
secrets = ["${SECRET}", "${OLD_SECRET}"]
forward = "http://user:hunter2-destination@127.0.0.1:1/"
[sources.gitlab]
provider = "gitlab"
secret = "hunter2-token"
[sources.svix]
provider = "svix"
secret = "whsec_hunter2hunter2hunter2hunter2"
[destinations.plain]
from = ["gitlab"]
url = "PLAIN"
headers = { X-Api-Key = "hunter2-header" }
basic = "user:hunter2-basic"
sign = ["whsec_hunter2hunter2hunter2hunter2hunt", "whsk_hunter2hunter2hunter2hunter2hunter2hunter2A="]
[destinations.secure]
from = ["gitlab"]
url = "SECURE"
headers = { X-Api-Key = "hunter2-header" }
bearer = "hunter2-bearer"
tls = { ca = "ca.pem" }
"#;

fn no_secret(text: &str, place: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{place} has a secret: {:?}", text.lines().find(|line| line.contains(secret)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_log_at_any_level_or_in_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, authority) = (Receiver::start().await, Authority::new());
    let setup = Setup { identity: authority.vouch("127.0.0.1", 2999), clients: None, protocols: &["h2"] };
    let secure = TlsServer::start(setup, &[]).await;
    authority.write(folder.path(), "ca.pem");
    let file = FILE.replace("PLAIN", &plain.url).replace("SECURE", &secure.url());
    std::fs::write(folder.path().join("onceward.toml"), file).unwrap();
    let mut command = Process::command(folder.path(), &["--log-format", "json"]);
    command.env("RUST_LOG", "trace").env("SECRET", "whsec_test_secret").env("OLD_SECRET", "hunter2-old");
    let process = Process::start(command).await;
    let credentials = |request: Request| request.header("authorization", "Bearer hunter2").header("cookie", "session=hunter2");
    let gitlab = |token: &str, id: &str| {
        let request = credentials(Request::post("/hooks/gitlab", r#"{"object_kind":"push"}"#)).header("x-gitlab-token", token);
        request.header("idempotency-key", id).header("x-gitlab-event", "Push Hook").header("x-gitlab-event-uuid", id)
    };
    assert_eq!(process.send(credentials(stripe("evt_a"))).await.status, 200);
    assert_eq!(process.send(gitlab("hunter2-token", "one")).await.status, 200);
    assert_eq!(process.send(gitlab("hunter2-wrong", "two")).await.status, 401);
    assert_eq!(process.send(stripe("evt_b").without("stripe-signature").header("stripe-signature", "hunter2")).await.status, 401);
    until("the delivery has failed once", async || process.rows("/api/v1/events?status=failing").await.len() == 1).await;
    until("the refusals are kept", async || process.rows("/api/v1/rejections").await.len() == 2).await;
    until("the other deliveries have ended", async || process.rows("/api/v1/deliveries?status=delivered").await.len() == 2).await;
    assert_eq!(plain.seen()[0].header("x-api-key"), "hunter2-header");
    assert_eq!((secure.seen()[0].0, secure.seen()[0].1.header("authorization")), ("HTTP/2", "Bearer hunter2-bearer".into()));
    for path in ["/api/v1/events", "/api/v1/events/stripe/evt_a", "/api/v1/deliveries", "/api/v1/rejections", "/metrics"] {
        let answer = process.get(path).await;
        assert_eq!(answer.status, 200, "{path}");
        no_secret(&String::from_utf8_lossy(&answer.body), path);
    }
    let log = process.printed();
    for written in ["\"accepted\"", "\"refused\"", "\"attempt failed\"", "TRACE"] {
        assert!(log.contains(written), "the log is not at its most talkative: {written}");
    }
    no_secret(&log, "the log");
    assert_eq!(process.terminate().await, Some(0));
}
