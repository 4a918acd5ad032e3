//! TLS: what is spoken, with which certificate, and how that changes.

use std::fs;
use std::io::ErrorKind;

use crate::stage::{Certificate, Client, Gateway, Outcome, Place, SCRIPT, SecureClient, Supervisor, trusting, until};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

fn post(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /execute HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn jobs_go_through_tls_and_nothing_goes_beside_it() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", r#"{"result":4}"#)?;
    let (certificate, trusted) = Certificate::new()?;
    let gateway = Gateway::start_with(&supervisor.socket, &certificate.arguments())?;
    for (offered, agreed) in [(&[][..], None), (&["http/1.1"], Some("http/1.1"))] {
        let mut client = SecureClient::connect(gateway.address, &trusting(&trusted, offered)?)?;
        assert_eq!(client.protocol().as_deref(), agreed);
        for _ in 0..3 {
            client.send(post(SCRIPT))?;
            let response = client.response()?;
            assert_eq!((response.status(), response.body.as_slice()), (200, &br#"{"result":4}"#[..]));
        }
    }
    let config = trusting(&trusted, &["h2", "http/1.1"])?;
    assert_eq!(SecureClient::connect(gateway.address, &config)?.protocol().as_deref(), Some("h2"));
    // Without TLS there is no HTTP to be had.
    let mut plain = Client::connect(gateway.address)?;
    plain.send(HEALTH)?;
    let rest = plain.rest()?;
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    Ok(())
}

#[test]
fn another_certificate_is_not_trusted() -> Outcome {
    let (certificate, _) = Certificate::new()?;
    let (_other, trusted) = Certificate::new()?;
    let gateway = Gateway::start_with(&Place::new()?, &certificate.arguments())?;
    let error = SecureClient::connect(gateway.address, &trusting(&trusted, &[])?).err().ok_or("trusted")?;
    assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
    Ok(())
}

#[test]
fn a_renewed_certificate_is_taken_over_while_it_runs() -> Outcome {
    let (certificate, old) = Certificate::new()?;
    let gateway = Gateway::start_with(&Place::new()?, &certificate.arguments())?;
    let mut before = SecureClient::connect(gateway.address, &trusting(&old, &[])?)?;
    let new = trusting(&certificate.renew()?, &[])?;
    until("the new one is shown", || SecureClient::connect(gateway.address, &new).is_ok());
    before.send(HEALTH)?;
    assert_eq!(before.response()?.status(), 200);

    // What cannot be used is refused, and the last good pair stays.
    fs::write(&certificate.key, "not a key")?;
    gateway.logged("the mistake", |line| line["level"] == "ERROR" && line["what"] == "certificate");
    SecureClient::connect(gateway.address, &new)?;
    Ok(())
}

#[test]
fn a_handshake_that_does_not_get_on_ends_its_connection() -> Outcome {
    let (certificate, _) = Certificate::new()?;
    let arguments = [&certificate.arguments()[..], &["--header-timeout", "300ms"]].concat();
    let gateway = Gateway::start_with(&Place::new()?, &arguments)?;
    let mut silent = Client::connect(gateway.address)?;
    let mut half = Client::connect(gateway.address)?;
    half.send([0x16, 0x03, 0x01, 0x02, 0x00])?;
    assert!(silent.rest()?.is_empty() && half.rest()?.is_empty());
    Ok(())
}

#[test]
fn a_pair_that_cannot_be_used_keeps_it_from_starting() -> Outcome {
    let (certificate, _) = Certificate::new()?;
    let (other, _) = Certificate::new()?;
    let root = nix::unistd::geteuid().is_root();
    let user: &[&str] = if root { &["--user", "64510"] } else { &[] };
    let base = [&["--listen", "127.0.0.1:0", "--socket", "/tmp/none.sock"], user].concat();
    let path = |path: &std::path::Path| path.to_str().unwrap_or_default().to_owned();
    for (first, second, part) in [
        (&certificate.certificate, &other.key, "tls.key"),
        (&certificate.key, &certificate.key, "no certificate"),
        (&certificate.certificate, &certificate.certificate, "tls.crt"),
    ] {
        let (first, second) = (path(first), path(second));
        let message = Gateway::refuses(&[&base[..], &["--tls-certificate", &first, "--tls-key", &second]].concat())?;
        assert!(message.contains(part), "{message}");
    }
    let message = Gateway::refuses(&[&base[..], &["--tls-certificate", &path(&certificate.certificate)]].concat())?;
    assert!(message.contains("--tls-key"), "{message}");
    Ok(())
}
