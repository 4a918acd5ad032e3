//! What the gateway refuses to start with.

use nix::unistd::{User, geteuid};

use crate::stage::{Gateway, Outcome};

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
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let message = Gateway::refuses(&["--listen", &taken.local_addr()?.to_string()])?;
    assert!(message.contains("the port is taken"), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    Ok(())
}
