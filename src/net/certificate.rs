//! Certificates that come as files rather than in a handshake: whether their chain leads to an authority that this system
//! trusts.

use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

/// The most certificates of a chain.
const MAX_CHAIN: usize = 10;

/// Whether a PEM file's first certificate has one of the names, is valid now, and is vouched for by the others in the file
/// and this system's authorities.
///
/// # Errors
/// Why it is not to be trusted, for the log.
pub fn check(pem: &[u8], names: &[String]) -> Result<(), String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(MAX_CHAIN).collect();
    let chain = chain.map_err(|_| "what is there is no certificate".to_owned())?;
    let (own, others) = chain.split_first().ok_or("there is no certificate")?;
    let verifier = Verifier::new(Arc::new(aws_lc_rs::default_provider())).map_err(|error| format!("no authorities to trust: {error}"))?;
    let mut problem = "no name is expected".to_owned();
    for name in names {
        let server = ServerName::try_from(name.clone()).map_err(|_| format!("{name} is no name of a host"))?;
        match verifier.verify_server_cert(own, others, &server, &[], UnixTime::now()) {
            Ok(_) => return Ok(()),
            Err(error) => problem = format!("the certificate is not to be trusted: {error}"),
        }
    }
    Err(problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
        let own = include_bytes!("testing/own-name.pem");
        let error = check(own, &["messageverificationcerts.paypal.com".to_owned()]).unwrap_err();
        assert!(error.contains("not to be trusted") || error.contains("no authorities"), "{error}");
        assert_eq!(check(b"nothing", &["a.test".to_owned()]).unwrap_err(), "there is no certificate");
        assert_eq!(check(own, &[]).unwrap_err(), "no name is expected");
    }
}
