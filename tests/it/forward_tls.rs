//! Destinations behind TLS: whom we trust, who we are, over HTTP/2 and HTTP/1.1, and what an ended connection costs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use onceward::config::ClientTls;
use onceward::domain::Headers;
use onceward::net::{Client, ClientSettings, Clients, Endpoint, NetError, Request, Response};
use serde_json::Value;

use crate::support::tls::{Authority, Exchange, Identity, Setup, TlsServer};
use crate::support::{TestApp, github, until};

const BOTH: &[&str] = &["h2", "http/1.1"];
const OLD: &[&str] = &["http/1.1"];

/// A server that is what it says, offering these protocols.
fn honest(authority: &Authority, protocols: &'static [&'static str]) -> Setup {
    presenting(authority.vouch("127.0.0.1", 2999), protocols)
}

fn presenting(identity: Identity, protocols: &'static [&'static str]) -> Setup {
    Setup { identity, clients: None, protocols }
}

/// A source whose events go to that server, with these further keys of the destination.
fn forwarding(server: &TlsServer, more: &str) -> String {
    format!(
        "[sources.github]\nprovider = \"github\"\nsecret = \"whsec_test_secret\"\n\
         [destinations.hook]\nfrom = [\"github\"]\nurl = \"{}\"\nretry = {{ attempts = 2, first = \"1ms\" }}\n{more}\n",
        server.url()
    )
}

/// The delivery of one event to that server, once it has ended.
async fn delivery(server: &TlsServer, more: &str) -> Value {
    let app = TestApp::start(&forwarding(server, more)).await;
    assert_eq!(app.send(github("one", "push", "{\"a\":1}")).await.status, 200);
    app.settled().await;
    let delivery = app.rows("/api/v1/deliveries").await.remove(0);
    app.finish().await;
    delivery
}

/// Fails unless the delivery ended dead, for this reason each time.
#[track_caller]
fn refused(delivery: &Value, reason: &str) {
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"dead".into(), &2.into()), "{delivery}");
    let error = delivery["last_error"].as_str().unwrap();
    assert!(error.starts_with("TLS failed: ") && error.contains(reason), "{error}");
}

fn ca(path: &Path) -> String {
    format!("tls = {{ ca = \"{}\" }}", path.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorities_of_the_file_are_trusted_and_http_2_is_spoken() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let server = TlsServer::start(honest(&authority, BOTH), &[]).await;
    let keys = "bearer = \"hunter2\"\nheaders = { X-Hub-Signature-256 = \"ours\" }";
    let delivery = delivery(&server, &format!("{}\n{keys}", ca(&authority.write(folder.path(), "ca.pem")))).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&"delivered".into(), &1.into()), "{delivery}");
    let (version, seen) = server.seen().remove(0);
    assert_eq!((version, seen.method.as_str(), seen.target.as_str(), &seen.body[..]), ("HTTP/2", "POST", "/", &b"{\"a\":1}"[..]));
    assert_eq!((seen.header("onceward-event-id"), seen.header("idempotency-key")), ("one".into(), "github:one".into()));
    assert_eq!((seen.header("authorization"), seen.header("x-hub-signature-256")), ("Bearer hunter2".into(), "ours".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_is_spoken_where_http_2_is_not_offered() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let ca = ca(&authority.write(folder.path(), "ca.pem"));
    for protocols in [OLD, &[]] {
        let server = TlsServer::start(honest(&authority, protocols), &[]).await;
        assert_eq!(delivery(&server, &ca).await["status"], "delivered");
        assert_eq!(server.seen()[0].0, "HTTP/1.1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_trusted() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let own = ca(&authority.write(folder.path(), "ca.pem"));
    let other = ca(&Authority::new().write(folder.path(), "other.pem"));
    let server = TlsServer::start(honest(&authority, BOTH), &[]).await;
    refused(&delivery(&server, &other).await, "certificate");
    refused(&delivery(&server, "").await, "certificate");
    let expired = TlsServer::start(presenting(authority.vouch("127.0.0.1", 2021), BOTH), &[]).await;
    refused(&delivery(&expired, &own).await, "expired");
    let misnamed = TlsServer::start(presenting(authority.vouch("hooks.example.com", 2999), BOTH), &[]).await;
    refused(&delivery(&misnamed, &own).await, "not valid for name");
    assert!([server, expired, misnamed].iter().all(|server| server.seen().is_empty()), "nothing was sent before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_who_we_are_is_told_what_is_configured() {
    let (folder, authority, clients) = (tempfile::tempdir().unwrap(), Authority::new(), Arc::new(Authority::new()));
    let ca = authority.write(folder.path(), "ca.pem").display().to_string();
    let with = |(cert, key): (std::path::PathBuf, std::path::PathBuf)| {
        format!("tls = {{ ca = \"{ca}\", cert = \"{}\", key = \"{}\" }}", cert.display(), key.display())
    };
    let ours = with(clients.vouch("onceward.example.com", 2999).write(folder.path(), "ours"));
    let foreign = with(authority.vouch("onceward.example.com", 2999).write(folder.path(), "foreign"));
    for protocols in [BOTH, OLD] {
        let setup = Setup { clients: Some(Arc::clone(&clients)), ..honest(&authority, protocols) };
        let server = TlsServer::start(setup, &[]).await;
        for tls in [&format!("tls = {{ ca = \"{ca}\" }}"), &foreign] {
            let delivery = delivery(&server, tls).await;
            assert_eq!(delivery["status"], "dead", "{delivery}");
            // The alert may come while the request is being written, and HTTP/2's library keeps to itself why a connection ended.
            let said = delivery["last_error"].as_str().unwrap();
            let closed = said == "the connection was closed before an answer came";
            assert!(closed || said.starts_with("TLS failed: received fatal alert: "), "{protocols:?}: {said}");
        }
        assert_eq!((server.seen().len(), server.connections()), (0, 0));
        assert_eq!(delivery(&server, &ours).await["status"], "delivered", "{protocols:?}");
    }
}

/// A client for servers that this authority vouches for.
fn client(authority: &Authority) -> Client {
    let folder = tempfile::tempdir().unwrap();
    let tls = ClientTls { ca: Some(authority.write(folder.path(), "ca.pem")), identity: None };
    Client::with(&ClientSettings { tls, ..ClientSettings::default() }).unwrap()
}

async fn send(client: &Client, url: &str) -> Result<Response, NetError> {
    let request = Request {
        method: "POST".to_owned(),
        to: Endpoint::try_from(&url.parse().unwrap()).unwrap(),
        headers: Headers::default(),
        credentials: Default::default(),
        body: bytes::Bytes::from_static(b"{}"),
        timeout: crate::support::PATIENCE,
        response_cap: 4,
    };
    client.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_serves_many_requests_and_answers_over_the_cap_do_not_end_it() {
    let authority = Authority::new();
    let server = TlsServer::start(honest(&authority, BOTH), &[]).await;
    let client = client(&authority);
    for _ in 0..3 {
        let answer = send(&client, &server.url()).await.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.truncated), (200, &b"note"[..], true));
    }
    let url = server.url();
    let together: Vec<_> = (0..20).map(|_| send(&client, &url)).collect();
    assert!(futures_util::future::join_all(together).await.iter().all(Result::is_ok));
    assert_eq!((server.seen().len(), server.connections()), (23, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn destinations_with_the_same_settings_share_connections_and_others_do_not() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let server = TlsServer::start(honest(&authority, BOTH), &[]).await;
    let tls = ClientTls { ca: Some(authority.write(folder.path(), "ca.pem")), identity: None };
    let (same, clients) = (ClientSettings { tls, ..ClientSettings::default() }, Clients::default());
    let other = ClientSettings { connect_timeout: Duration::from_secs(1), ..same.clone() };
    for (settings, connections) in [(&same, 1), (&same.clone(), 1), (&other, 2)] {
        send(&clients.with(settings).unwrap(), &server.url()).await.unwrap();
        assert_eq!(server.connections(), connections);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_has_not_touched_is_sent_again_in_the_same_attempt() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let ca = ca(&authority.write(folder.path(), "ca.pem"));
    for (exchange, seen) in [(Exchange::Refuse, 2), (Exchange::Farewell, 1)] {
        let server = TlsServer::start(honest(&authority, BOTH), &[exchange]).await;
        let delivery = delivery(&server, &ca).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&"delivered".into(), &1.into()), "{exchange:?}: {delivery}");
        assert_eq!(server.seen().len(), seen, "{exchange:?}");
        assert!(server.seen().iter().all(|(_, seen)| seen.header("onceward-attempt") == "1" && seen.body == b"{\"a\":1}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_for_ever_is_one_failed_attempt_with_its_reason() {
    let authority = Authority::new();
    let server = TlsServer::start(honest(&authority, BOTH), &[Exchange::Refuse; 9]).await;
    let error = send(&client(&authority), &server.url()).await.unwrap_err();
    assert!(error.to_string().starts_with("the other side ended the exchange before an answer came: refused stream"), "{error}");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_may_have_taken_is_one_failed_attempt() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let ca = ca(&authority.write(folder.path(), "ca.pem"));
    for protocols in [BOTH, OLD] {
        let server = TlsServer::start(honest(&authority, protocols), &[Exchange::End]).await;
        let delivery = delivery(&server, &ca).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&"delivered".into(), &2.into()), "{protocols:?}: {delivery}");
        let attempts: Vec<_> = server.seen().iter().map(|(_, seen)| seen.header("onceward-attempt")).collect();
        assert_eq!(attempts, ["1", "2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ended_between_requests_costs_nothing() {
    let authority = Authority::new();
    for protocols in [BOTH, OLD] {
        let client = client(&authority);
        let server = TlsServer::start(honest(&authority, protocols), &[Exchange::AnswerAndEnd]).await;
        until("there is a second connection", async || {
            send(&client, &server.url()).await.unwrap();
            server.connections() > 1
        })
        .await;
        // A restart of the server, with another certificate of the same authority.
        let url = server.url();
        let again = TlsServer::start_on(server.stop().await, honest(&authority, protocols), &[]).await;
        // Whether the client has seen the cut yet is chance; if not, it cannot know whether the request was taken.
        if let Err(error) = send(&client, &url).await {
            assert_eq!(error, NetError::Cut);
            send(&client, &url).await.unwrap();
        }
        assert_eq!(again.seen().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_finish_the_handshake_is_given_up_at_the_configured_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", silent.local_addr().unwrap());
    let connect_timeout = Duration::from_millis(250);
    let client = Client::with(&ClientSettings { connect_timeout, ..ClientSettings::default() }).unwrap();
    let error = send(&client, &url).await.unwrap_err();
    assert_eq!(error, NetError::ConnectTimedOut(connect_timeout));
    assert_eq!(error.to_string(), "no connection within 0.25 s");
}
