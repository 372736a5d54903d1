//! TLS towards other servers: whom we trust, and who we are. What is wrong with a PEM file is said by the key that names
//! it and never by what it holds, because a private key may be what somebody put there.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::SetupError;
use crate::config::ClientTls;

/// The largest PEM file. The authorities of a whole system are a quarter of it.
const MOST_BYTES: u64 = 1 << 20;

/// What we offer to speak, the dearest first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS of a client. On a system without authorities, and without a file of them, no certificate is trusted.
pub(super) fn config(tls: &ClientTls) -> Result<ClientConfig, SetupError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| SetupError { key: None, problem: error.to_string() })?;
    let builder = match &tls.ca {
        Some(path) => builder.with_root_certificates(authorities(path)?),
        None => match Verifier::new(Arc::clone(&provider)) {
            Ok(verifier) => builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)),
            Err(_) => builder.with_root_certificates(RootCertStore::empty()),
        },
    };
    let mut config = match &tls.identity {
        Some((cert, key)) => {
            let identity = identity(cert, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn authorities(path: &Path) -> Result<RootCertStore, SetupError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("tls.ca", path)? {
        store.add(certificate).map_err(|_| wrong("tls.ca", path, "holds a certificate that cannot be read"))?;
    }
    Ok(store)
}

fn identity(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, SetupError> {
    let chain = certificates("tls.cert", cert)?;
    let private = PrivateKeyDer::from_pem_slice(&read("tls.key", key)?);
    let private = private.map_err(|_| wrong("tls.key", key, "holds no private key in PEM (one with a passphrase cannot be read)"))?;
    let private = provider.key_provider.load_private_key(private);
    let private = private.map_err(|_| wrong("tls.key", key, "holds a private key of a kind that is not supported"))?;
    let identity = CertifiedKey::new(chain, private);
    match identity.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(identity),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(wrong("tls.key", key, &format!("is not the key of the first certificate in {}", cert.display())))
        }
        Err(_) => Err(wrong("tls.cert", cert, "holds a certificate that cannot be read")),
    }
}

/// The certificates of a PEM file, at least one.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let pem = read(key, path)?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|_| wrong(key, path, "is no valid PEM"))?;
    if found.is_empty() { Err(wrong(key, path, "holds no certificate in PEM")) } else { Ok(found) }
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, SetupError> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| SetupError { key: Some(key), problem: format!("{}: {error}", path.display()) })?;
    if bytes.len() as u64 > MOST_BYTES { Err(wrong(key, path, "is too large to be a PEM file")) } else { Ok(bytes) }
}

fn wrong(key: &'static str, path: &Path, problem: &str) -> SetupError {
    SetupError { key: Some(key), problem: format!("{} {problem}", path.display()) }
}
