//! Where the gateway listens, and what it refuses to start with.

use std::net::TcpListener;

use nix::unistd::{User, geteuid};

use crate::stage::{Client, Gateway, Outcome, SCRIPT, Supervisor};

#[test]
fn strangers_are_served_only_when_told_so_in_words() -> Outcome {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let message = Gateway::refuses(&["--listen", address])?;
        assert!(message.contains("no keys are configured") && message.contains("--no-auth"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    Ok(())
}

#[test]
fn root_is_given_up_or_the_start_refused() -> Outcome {
    if !geteuid().is_root() {
        return Ok(());
    }
    if User::from_name("cloister-gateway")?.is_none() {
        let message = Gateway::refuses(&["--listen", "127.0.0.1:0"])?;
        assert!(message.contains("pass --user"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    for user in ["0", "root"] {
        let message = Gateway::refuses(&["--listen", "127.0.0.1:0", "--user", user])?;
        assert!(message.contains("root"), "{message}");
    }
    Ok(())
}

#[test]
fn a_taken_port_is_told_in_a_sentence() -> Outcome {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let message = Gateway::refuses(&["--listen", &taken.local_addr()?.to_string()])?;
    assert!(message.contains("the port is taken"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    Ok(())
}

#[test]
fn sockets_that_are_passed_are_known_by_their_names() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    for (names, clients) in [("http:metrics", 0), ("metrics:http", 1), ("metrics:unknown", 1)] {
        let sockets = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
        let gateway = Gateway::start_passed(&supervisor.socket, sockets, names)?;
        assert_eq!(gateway.address, addresses[clients], "{names}");
        assert_eq!(Client::connect(addresses[clients])?.execute(SCRIPT)?.status(), 200);
        let mut operator = Client::connect(addresses[1 - clients])?;
        operator.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let response = operator.response()?;
        assert_eq!(response.status(), 200);
        assert!(String::from_utf8(response.body)?.contains("cloister_requests_total"), "{names}");
    }
    Ok(())
}
