//! TLS by rustls: one certificate, read again when its files change.
//!
//! A pair that does not fit, such as a certificate whose key has not been replaced yet, is refused
//! and the old one stays. Connections that are open keep what they began with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::error::Error;

/// What is offered by ALPN (RFC 7301), the better first.
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];

/// The name of HTTP/2 in ALPN.
pub const HTTP2: &[u8] = b"h2";

/// What every TLS connection begins with.
#[derive(Debug)]
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    config: RwLock<Arc<ServerConfig>>,
}

impl Tls {
    /// Reads the certificate, with all that lead to its root, and its key.
    ///
    /// # Errors
    /// Which file, and what is wrong with it.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let config = RwLock::new(Arc::new(read(certificate, key)?));
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), config })
    }

    /// Reads both anew.
    ///
    /// # Errors
    /// As [`open`](Self::open); what was there stays.
    pub fn reload(&self) -> Result<(), Error> {
        let config = Arc::new(read(&self.certificate, &self.key)?);
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    /// Begins a connection.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(certificate: &Path, key: &Path) -> Result<ServerConfig, Error> {
    let unreadable = |path: &Path, error| Error::Pem { path: path.to_owned(), error };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(certificate, error))?;
    if chain.is_empty() {
        return Err(Error::NoCertificate(certificate.to_owned()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::Tls)?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| Error::Pair { certificate: certificate.to_owned(), key: key.to_owned(), error })?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}
