//! Files that a service manager hands over: used when they are there, and nothing when they are not.

use std::fs;

use crate::stage::{Certificate, Client, Gateway, KeyFile, Outcome, Place, SCRIPT, SecureClient, Supervisor, trusting};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn keys_that_are_handed_over_are_asked_for_and_others_are_used_if_they_are_named() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let (handed, named) = (KeyFile::new()?, KeyFile::new()?);
    let (one, other) = (handed.add("handed", &[])?, named.add("named", &[])?);
    let directory = handed.path.parent().ok_or("a directory")?;
    fs::rename(&handed.path, directory.join("keys"))?;
    let status = |gateway: &Gateway, key: &str| -> std::io::Result<u16> {
        Ok(Client::connect(gateway.address)?.execute_with(key, SCRIPT)?.status())
    };
    let gateway = Gateway::start_with_credentials(&supervisor.socket, directory, &[])?;
    assert_eq!([status(&gateway, &one)?, status(&gateway, &other)?], [200, 401]);
    let gateway = Gateway::start_with_credentials(&supervisor.socket, directory, &["--keys", named.argument()])?;
    assert_eq!([status(&gateway, &one)?, status(&gateway, &other)?], [401, 200]);
    let gateway = Gateway::start_with_credentials(&supervisor.socket, directory, &["--no-auth"])?;
    assert_eq!(Client::connect(gateway.address)?.execute(SCRIPT)?.status(), 200);
    Ok(())
}

#[test]
fn a_certificate_that_is_handed_over_is_served() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let (certificate, trusted) = Certificate::new()?;
    let directory = certificate.certificate.parent().ok_or("a directory")?;
    let gateway = Gateway::start_with_credentials(&supervisor.socket, directory, &[])?;
    let mut client = SecureClient::connect(gateway.address, &trusting(&trusted, &["http/1.1"])?)?;
    client.send(HEALTH)?;
    assert_eq!(client.response()?.status(), 200);
    drop(gateway);
    fs::remove_file(&certificate.key)?;
    let message = Gateway::refuses_credentials(directory)?;
    assert!(message.contains("tls.crt and tls.key") && message.contains("both, or neither"), "{message}");
    Ok(())
}

#[test]
fn nothing_handed_over_is_nothing_asked_for() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let place = Place::new()?;
    for directory in [place.directory().to_owned(), place.directory().join("not-there")] {
        let gateway = Gateway::start_with_credentials(&supervisor.socket, &directory, &[])?;
        assert_eq!(Client::connect(gateway.address)?.execute(SCRIPT)?.status(), 200);
    }
    Ok(())
}
