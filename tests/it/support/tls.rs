//! Certificates made for a test, and a destination behind TLS that speaks HTTP/2 or HTTP/1.1 and goes wrong as it is told.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::receiver::Seen;

/// Somebody who vouches for others.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for that name, valid until the end of that year.
    pub(crate) fn vouch(&self, name: &str, until: i32) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (rcgen::date_time_ymd(2020, 1, 1), rcgen::date_time_ymd(until, 12, 31));
        let key = KeyPair::generate().unwrap();
        Identity { certificate: params.signed_by(&key, &self.0).unwrap().der().clone(), key }
    }

    /// A PEM file of it.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> PathBuf {
        write(&folder.join(name), "CERTIFICATE", self.0.der())
    }

    fn store(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(self.0.der().clone()).unwrap();
        Arc::new(store)
    }
}

impl Identity {
    /// PEM files of the certificate and of the key.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let key = write(&folder.join(format!("{name}-key.pem")), "PRIVATE KEY", self.key.serialized_der());
        (write(&folder.join(format!("{name}.pem")), "CERTIFICATE", &self.certificate), key)
    }
}

fn write(path: &Path, label: &str, der: &[u8]) -> PathBuf {
    std::fs::write(path, format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))).unwrap();
    path.to_owned()
}

/// What comes of a request, or of a connection where it says so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Exchange {
    /// Status 200.
    Answer,
    /// The stream is refused, as untouched.
    Refuse,
    /// Status 200, and then the connection is ended in good order.
    AnswerAndEnd,
    /// The connection is ended under the request, which counts as taken.
    End,
    /// The connection bids farewell before it takes its first request, and ends.
    Farewell,
}

/// How a [`TlsServer`] is.
pub(crate) struct Setup {
    pub(crate) identity: Identity,
    /// Who must vouch for clients.
    pub(crate) clients: Option<Arc<Authority>>,
    /// The protocols that it offers.
    pub(crate) protocols: &'static [&'static str],
}

/// A destination behind TLS, gone when dropped.
pub(crate) struct TlsServer {
    pub(crate) port: u16,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    seen: Mutex<Vec<(&'static str, Seen)>>,
    next: Mutex<VecDeque<Exchange>>,
    connections: Mutex<usize>,
}

impl TlsServer {
    /// Answers 200 to everything, after what it is told for the first exchanges.
    pub(crate) async fn start(setup: Setup, next: &[Exchange]) -> Self {
        Self::start_on(0, setup, next).await
    }

    /// Starts on a port that another one has had.
    pub(crate) async fn start_on(port: u16, setup: Setup, next: &[Exchange]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { next: Mutex::new(next.iter().copied().collect()), ..State::default() });
        let task = tokio::spawn(accept(listener, acceptor(setup), Arc::clone(&state)));
        Self { port, state, task }
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/", self.port)
    }

    /// Everything that came so far, each with its version of HTTP.
    pub(crate) fn seen(&self) -> Vec<(&'static str, Seen)> {
        self.state.seen.lock().unwrap().clone()
    }

    /// How many connections there have been on which TLS was agreed.
    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }

    /// Cuts every connection and stops listening.
    pub(crate) async fn stop(mut self) -> u16 {
        self.task.abort();
        (&mut self.task).await.ok();
        self.port
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor(setup: Setup) -> TlsAcceptor {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions().unwrap();
    let builder = match &setup.clients {
        Some(authority) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(authority.store(), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let key = PrivateKeyDer::try_from(setup.identity.key.serialize_der()).unwrap();
    let mut config = builder.with_single_cert(vec![setup.identity.certificate], key).unwrap();
    config.alpn_protocols = setup.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, state) = (acceptor.clone(), Arc::clone(&state));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            *state.connections.lock().unwrap() += 1;
            let first = state.next.lock().unwrap().front().copied();
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") if first == Some(Exchange::Farewell) => {
                    state.next.lock().unwrap().pop_front();
                    farewell(stream).await;
                }
                Some(b"h2") => serve_2(stream, &state).await,
                _ => serve_1(stream, &state).await,
            }
        });
    }
}

impl State {
    fn note(&self, version: &'static str, seen: Seen) -> Exchange {
        self.seen.lock().unwrap().push((version, seen));
        self.next.lock().unwrap().pop_front().unwrap_or(Exchange::Answer)
    }
}

async fn serve_2(stream: TlsStream<TcpStream>, state: &State) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let (head, mut incoming) = request.into_parts();
        let headers = head.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
        let mut body = Vec::new();
        // The connection must go on being driven while the body comes.
        loop {
            tokio::select! {
                chunk = incoming.data() => match chunk {
                    Some(Ok(chunk)) => {
                        incoming.flow_control().release_capacity(chunk.len()).unwrap();
                        body.extend_from_slice(&chunk);
                    }
                    _ => break,
                },
                _ = std::future::poll_fn(|context| connection.poll_closed(context)) => return,
            }
        }
        let target = head.uri.path_and_query().unwrap().to_string();
        let exchange = state.note("HTTP/2", Seen::new(head.method.to_string(), target, headers, body));
        match exchange {
            Exchange::Refuse => respond.send_reset(h2::Reason::REFUSED_STREAM),
            Exchange::End => connection.abrupt_shutdown(h2::Reason::NO_ERROR),
            _ => {
                let mut answer = respond.send_response(http::Response::new(()), false).unwrap();
                answer.send_data(Bytes::from_static(b"noted"), true).unwrap();
                if exchange == Exchange::AnswerAndEnd {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

/// Frames by hand (RFC 9113, 4.1), because no library says farewell to a request that it has received.
async fn farewell(mut stream: TlsStream<TcpStream>) {
    const PREFACE: usize = 24;
    const HEADERS: u8 = 1;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    stream.read_exact(&mut [0; PREFACE]).await.unwrap();
    let mut head = [0; 9];
    while head[3] != HEADERS {
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        stream.read_exact(&mut vec![0; length]).await.unwrap();
    }
    // GOAWAY: the last stream that was taken is 0, and there is no error.
    stream.write_all(&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await.unwrap();
    stream.shutdown().await.ok();
    stream.read_to_end(&mut Vec::new()).await.ok();
}

async fn serve_1(stream: TlsStream<TcpStream>, state: &State) {
    let mut stream = BufReader::new(stream);
    while let Some(seen) = read_1(&mut stream).await {
        let exchange = state.note("HTTP/1.1", seen);
        if exchange == Exchange::End {
            return;
        }
        let close = if exchange == Exchange::AnswerAndEnd { "Connection: close\r\n" } else { "" };
        stream.write_all(format!("HTTP/1.1 200 OK\r\n{close}Content-Length: 5\r\n\r\nnoted").as_bytes()).await.ok();
        stream.flush().await.ok();
        if exchange == Exchange::AnswerAndEnd {
            stream.shutdown().await.ok();
            return;
        }
    }
}

async fn read_1(stream: &mut BufReader<TlsStream<TcpStream>>) -> Option<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let mut words = lines.next().unwrap().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let fields = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec())).collect();
    let seen = Seen::new(method, target, headers, Vec::new());
    let mut body = vec![0; seen.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { body, ..seen })
}
