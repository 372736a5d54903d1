use super::testing::{Answer, Server};
use url::Url;

use super::*;

fn post(url: &Url) -> Request {
    let to = Endpoint::try_from(url).unwrap();
    Request {
        method: "POST".to_owned(),
        to,
        headers: Headers::default(),
        credentials: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: Duration::from_secs(10),
        response_cap: 1_000,
    }
}

async fn send(url: Url) -> Result<Response, NetError> {
    Client::new().unwrap().send(post(&url)).await
}

#[tokio::test]
async fn sends_method_headers_and_body_and_reads_the_answer() {
    let server = Server::start(Answer::status("201 Created", "X-Seen: 1\r\n", b"thanks")).await;
    let mut request = post(&server.url("/in?x=1"));
    request.method = "PUT".to_owned();
    request.headers = [("x-twice", &b"a"[..]), ("x-twice", b"b")].into_iter().collect();
    let answer = Client::new().unwrap().send(request).await.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.truncated), (201, &b"thanks"[..], false));
    assert_eq!(answer.headers.text("x-seen"), Some("1"));
    let seen = &server.requests(1).await[0];
    assert_eq!((seen.line.as_str(), &seen.body[..]), ("PUT /in?x=1 HTTP/1.1", &b"{}"[..]));
    assert_eq!(seen.headers.all("x-twice").collect::<Vec<_>>(), [b"a", b"b"]);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let server = Server::start(Answer::status("302 Found", "Location: /elsewhere\r\n", b"")).await;
    assert_eq!(send(server.url("/")).await.unwrap().status, 302);
    assert_eq!(server.requests(1).await.len(), 1);
}

#[tokio::test]
async fn connections_are_kept_and_reused() {
    let server = Server::start(Answer::status("200 OK", "", b"ok")).await;
    let client = Client::new().unwrap();
    for _ in 0..3 {
        client.send(post(&server.url("/"))).await.unwrap();
    }
    assert_eq!((server.requests(3).await.len(), server.connections()), (3, 1));
}

#[tokio::test]
async fn a_huge_body_is_read_up_to_the_cap_and_no_further() {
    let server = Server::start(Answer::status("200 OK", "", &vec![b'x'; 5_000_000])).await;
    let answer = send(server.url("/")).await.unwrap();
    assert_eq!((answer.status, answer.body.len(), answer.truncated), (200, 1_000, true));
}

#[tokio::test]
async fn a_body_of_exactly_the_cap_is_whole() {
    let server = Server::start(Answer::status("200 OK", "", &[b'x'; 1_000])).await;
    let answer = send(server.url("/")).await.unwrap();
    assert_eq!((answer.body.len(), answer.truncated), (1_000, false));
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let server = Server::start(Answer::SendAndHang(Vec::new())).await;
    let mut request = post(&server.url("/"));
    request.timeout = Duration::from_millis(50);
    let error = Client::new().unwrap().send(request).await.unwrap_err();
    assert_eq!(error, NetError::TimedOut(Duration::from_millis(50)));
    assert_eq!(error.to_string(), "timed out after 0.05 s");
    assert_eq!(NetError::TimedOut(Duration::from_secs(30)).to_string(), "timed out after 30 s");
}

#[tokio::test]
async fn a_status_stands_though_its_body_hangs_or_is_cut() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
    for answer in [Answer::SendAndHang(half.clone()), Answer::SendAndCut(half)] {
        let server = Server::start(answer).await;
        let mut request = post(&server.url("/"));
        request.timeout = Duration::from_secs(1);
        let answer = Client::new().unwrap().send(request).await.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.truncated), (200, &b"half"[..], true));
    }
}

#[tokio::test]
async fn a_server_that_drips_is_cut_off_at_the_time_out_and_not_byte_by_byte() {
    let drip = |begin: &[u8]| Answer::SendAndDrip(begin.to_vec(), Duration::from_millis(20));
    let timeout = Duration::from_millis(300);
    let server = Server::start(drip(b"HTTP/1.1 200 OK\r\nX-Long: ")).await;
    let mut request = post(&server.url("/"));
    request.timeout = timeout;
    assert_eq!(Client::new().unwrap().send(request).await.unwrap_err(), NetError::TimedOut(timeout));
    let server = Server::start(drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")).await;
    let mut request = post(&server.url("/"));
    request.timeout = timeout;
    let answer = Client::new().unwrap().send(request).await.unwrap();
    assert!(answer.truncated && !answer.body.is_empty() && answer.body.len() < 100, "{answer:?}");
}

#[tokio::test]
async fn a_cut_before_the_answer_is_told_from_a_refusal_and_from_nonsense() {
    let cut = Server::start(Answer::SendAndCut(Vec::new())).await;
    assert_eq!(send(cut.url("/")).await.unwrap_err(), NetError::Cut);
    let midway = Server::start(Answer::SendAndCut(b"HTTP/1.1 20".to_vec())).await;
    assert_eq!(send(midway.url("/")).await.unwrap_err(), NetError::Cut);
    let nonsense = Server::start(Answer::SendAndCut(b"SSH-2.0-OpenSSH_9.2\r\n\r\n".to_vec())).await;
    assert!(matches!(send(nonsense.url("/")).await.unwrap_err(), NetError::Malformed(_)));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    assert_eq!(send(format!("http://{address}/").parse().unwrap()).await.unwrap_err(), NetError::Refused);
}

#[tokio::test]
async fn a_name_that_does_not_resolve_says_so() {
    let error = send("http://onceward.invalid/".parse().unwrap()).await.unwrap_err();
    assert_eq!(error, NetError::NameNotResolved);
}

#[tokio::test]
async fn plain_http_behind_https_is_a_tls_failure() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    });
    let error = send(format!("https://{address}/").parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, NetError::Tls(_)), "{error}");
    plain.await.unwrap();
}

#[tokio::test]
async fn an_error_shows_nothing_of_the_url() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for url in [format!("http://user:hush@{address}/hush?token=hush"), "http://user:hush@onceward.invalid/?hush".to_owned()] {
        let error = send(url.parse().unwrap()).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        assert!(!error.to_string().contains('\n'));
    }
}

#[tokio::test]
async fn the_urls_credentials_replace_the_senders() {
    let server = Server::start(Answer::status("200 OK", "", b"")).await;
    let mut url = server.url("/");
    url.set_username("user").unwrap();
    url.set_password(Some("pass")).unwrap();
    let mut request = post(&url);
    request.headers = [("authorization", &b"Bearer theirs"[..])].into_iter().collect();
    Client::new().unwrap().send(request).await.unwrap();
    let seen = &server.requests(1).await[0];
    assert_eq!(seen.headers.all("authorization").collect::<Vec<_>>(), [b"Basic dXNlcjpwYXNz"]);
}

#[tokio::test]
async fn credentials_replace_fields_of_their_name_and_nothing_shows_them() {
    let server = Server::start(Answer::status("200 OK", "", b"")).await;
    let mut request = post(&server.url("/"));
    request.headers = [("x-key", &b"theirs"[..]), ("x-key", b"theirs"), ("x-kept", b"1")].into_iter().collect();
    request.credentials.insert("x-key", HeaderValue::from_static("hush"));
    assert!(!format!("{request:?}").contains("hush"), "{request:?}");
    Client::new().unwrap().send(request).await.unwrap();
    let seen = &server.requests(1).await[0];
    assert_eq!((seen.headers.all("x-key").collect::<Vec<_>>(), seen.headers.text("x-kept")), (vec![&b"hush"[..]], Some("1")));
}

#[tokio::test]
async fn what_has_no_form_in_http_is_refused_before_it_is_sent() {
    let url: Url = "http://127.0.0.1:9/".parse().unwrap();
    let client = Client::new().unwrap();
    let mut method = post(&url);
    method.method = "GE T".to_owned();
    let mut name = post(&url);
    name.headers = [("x y", &b""[..])].into_iter().collect();
    let mut value = post(&url);
    value.headers = [("x", &b"a\nb"[..])].into_iter().collect();
    for request in [method, name, value] {
        assert!(matches!(client.send(request).await.unwrap_err(), NetError::Unsendable(_)));
    }
}
