//! TLS from the client's side: certificates of a test's own, and a connection that trusts just one.

use std::fs;
use std::io::{self, BufReader, Error, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::sync::Arc;

use nix::unistd::geteuid;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{LONG, Message, Place, USER};

/// A certificate for `localhost` and its key, in files that the gateway can read.
#[derive(Debug)]
pub struct Certificate {
    /// The certificate's file.
    pub certificate: PathBuf,
    /// The key's file.
    pub key: PathBuf,
    place: Place,
}

impl Certificate {
    /// A new pair; with it, what a client should trust.
    pub fn new() -> io::Result<(Self, CertificateDer<'static>)> {
        let place = Place::new()?;
        let (certificate, key) = (place.directory().join("tls.crt"), place.directory().join("tls.key"));
        let files = Self { certificate, key, place };
        let trusted = files.renew()?;
        Ok((files, trusted))
    }

    /// Another pair in the place of the old one.
    pub fn renew(&self) -> io::Result<CertificateDer<'static>> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).map_err(Error::other)?;
        for (file, text) in [(&self.certificate, cert.pem()), (&self.key, signing_key.serialize_pem())] {
            let new = self.place.directory().join("new");
            fs::write(&new, text)?;
            if geteuid().is_root() {
                chown(&new, None, Some(USER))?;
                fs::set_permissions(&new, std::os::unix::fs::PermissionsExt::from_mode(0o640))?;
            }
            fs::rename(&new, file)?;
        }
        Ok(cert.der().clone())
    }

    /// As arguments.
    pub fn arguments(&self) -> [&str; 4] {
        let [certificate, key] = [&self.certificate, &self.key].map(|file| file.to_str().unwrap_or_default());
        ["--tls-certificate", certificate, "--tls-key", key]
    }
}

/// How a client begins, that trusts one certificate and offers these protocols.
pub fn trusting(certificate: &CertificateDer<'static>, protocols: &[&str]) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(Error::other)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// A connection over TLS.
#[derive(Debug)]
pub struct SecureClient(BufReader<StreamOwned<ClientConnection, TcpStream>>);

impl SecureClient {
    /// Connects and shakes hands.
    pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LONG))?;
        let name = ServerName::try_from("localhost").map_err(Error::other)?;
        let mut connection = ClientConnection::new(Arc::clone(config), name).map_err(Error::other)?;
        let mut stream = stream;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Self(BufReader::new(StreamOwned::new(connection, stream))))
    }

    /// The protocol that was agreed on.
    pub fn protocol(&self) -> Option<String> {
        let name = self.0.get_ref().conn.alpn_protocol()?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.get_mut().write_all(bytes.as_ref())?;
        self.0.get_mut().flush()
    }

    /// Reads one response.
    pub fn response(&mut self) -> io::Result<Message> {
        Message::read(&mut self.0)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Reads exactly so many bytes.
    pub fn read(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
