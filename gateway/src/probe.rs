//! `probe`: the gateway of this machine asked by its own program, where there is nothing else to ask it with.
//!
//! It speaks to one address, gives nothing away, and believes nothing that it hears but a status.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::sync::Arc;

use cloister_program::READY_PATH;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

use crate::api::health::ALIVE_PATH;
use crate::args::Ask;

/// A connection, with TLS or without.
trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// Asks, and says what it heard.
pub fn probe(asked: &Ask) -> ExitCode {
    let (address, tls) = (here(asked.listen), asked.tls);
    asked.probe.ask(if asked.probe.alive { ALIVE_PATH } else { READY_PATH }, move || {
        let stream = TcpStream::connect(address)?;
        if tls { secure(stream, address.ip()) } else { Ok(Box::new(stream) as Box<dyn Stream>) }
    })
}

/// Where a listener on this address is reached from the machine itself.
fn here(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(match listener {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    listener
}

fn secure(stream: TcpStream, name: IpAddr) -> io::Result<Box<dyn Stream>> {
    let provider = ring::default_provider();
    let anyone = Arc::new(Anyone(provider.signature_verification_algorithms));
    let config = ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions();
    let config = config.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(anyone);
    let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), ServerName::from(name));
    Ok(Box::new(StreamOwned::new(connection.map_err(io::Error::other)?, stream)))
}

/// Takes any certificate: the public name in it is not this address, and nothing is told to who answers.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::here;

    #[test]
    fn every_address_is_asked_for_on_the_loopback_one() {
        for (listener, asked) in
            [("0.0.0.0:8080", "127.0.0.1:8080"), ("[::]:8080", "[::1]:8080"), ("10.0.0.1:443", "10.0.0.1:443")]
        {
            assert_eq!(here(listener.parse().expect("an address")).to_string(), asked);
        }
    }
}
