//! Who is let in, for what, and how that changes while the gateway runs.

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::geteuid;

use crate::stage::{Client, Gateway, KeyFile, Outcome, SCRIPT, Supervisor, until};

/// A gateway that asks for keys, with a supervisor that always answers.
struct Guarded {
    supervisor: Supervisor,
    keys: KeyFile,
    gateway: Gateway,
}

impl Guarded {
    /// With keys of these names and arguments.
    fn start(keys: &[(&str, &[&str])]) -> Result<(Self, Vec<String>), Box<dyn std::error::Error>> {
        let (supervisor, file) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
        let tokens = keys.iter().map(|(name, arguments)| file.add(name, arguments)).collect::<Result<_, _>>()?;
        let gateway = Gateway::start_with(&supervisor.socket, &["--keys", file.argument()])?;
        Ok((Self { supervisor, keys: file, gateway }, tokens))
    }

    fn client(&self) -> std::io::Result<Client> {
        Client::connect(self.gateway.address)
    }

    fn status(&self, token: &str) -> u16 {
        self.client().and_then(|mut client| client.execute_with(token, SCRIPT)).map_or(0, |response| response.status())
    }
}

#[test]
fn only_who_has_a_key_is_let_in() -> Outcome {
    let (guarded, tokens) = Guarded::start(&[("one", &[]), ("two", &[])])?;
    let mut client = guarded.client()?;
    let (one, two) = (&tokens[0], &tokens[1]);
    let mixed = format!("{}{}", &one[..25], &two[25..]);
    let unknown = one.replace(|digit: char| digit.is_ascii_digit(), "0");
    for (header, challenge) in [
        (String::new(), "Bearer realm=\"cloister\""),
        (format!("authorization: Basic {one}\r\n"), "Bearer realm=\"cloister\""),
        (format!("authorization: {one}\r\n"), "Bearer realm=\"cloister\""),
        (format!("authorization: Bearer {one}\r\nauthorization: Bearer {one}\r\n"), "Bearer realm=\"cloister\""),
        ("authorization: Bearer \r\n".to_owned(), "Bearer realm=\"cloister\""),
        (format!("authorization: Bearer {mixed}\r\n"), "Bearer realm=\"cloister\", error=\"invalid_token\""),
        (format!("authorization: Bearer {unknown}\r\n"), "Bearer realm=\"cloister\", error=\"invalid_token\""),
        ("authorization: Bearer secret\r\n".to_owned(), "Bearer realm=\"cloister\", error=\"invalid_token\""),
    ] {
        client.post(&header, SCRIPT)?;
        let response = client.response()?;
        response.refusal(401, "unauthorized");
        assert_eq!(response.header("www-authenticate"), Some(challenge), "{header}");
    }
    assert!(guarded.supervisor.requests().is_empty());
    for token in &tokens {
        assert_eq!(client.execute_with(token, SCRIPT)?.status(), 200);
    }
    client.post(&format!("authorization: bearer {one}\r\n"), SCRIPT)?;
    assert_eq!(client.response()?.status(), 200);
    client.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    assert_eq!(client.response()?.status(), 200);
    // The supervisor has no use for keys, and neither has the log.
    assert!(guarded.supervisor.requests().iter().all(|request| request.header("authorization").is_none()));
    guarded.gateway.logged("whose request it was", |line| line["key"] == "two");
    let log = format!("{:?}", guarded.gateway.log());
    assert!(!log.contains(&one[26..]) && !log.contains(&two[26..]), "{log}");
    Ok(())
}

#[test]
fn a_large_body_of_a_stranger_is_not_read() -> Outcome {
    let (guarded, _) = Guarded::start(&[])?;
    let mut client = guarded.client()?;
    client.send(
        "POST /execute HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n",
    )?;
    let response = client.response()?;
    response.refusal(401, "unauthorized");
    assert_eq!(response.header("connection"), Some("close"));
    Ok(())
}

#[test]
fn a_key_has_its_profiles() -> Outcome {
    let (guarded, tokens) = Guarded::start(&[("some", &["--profiles", "data,plot"]), ("all", &[])])?;
    let mut client = guarded.client()?;
    for (body, named) in [(r#"{"script": "x", "profile": "root"}"#, "\"root\""), (SCRIPT, "\"default\"")] {
        let message = client.execute_with(&tokens[0], body)?.refusal(403, "forbidden");
        assert!(message.contains(named) && message.contains("data, plot"), "{message}");
    }
    assert!(guarded.supervisor.requests().is_empty());
    for (token, profile) in [(&tokens[0], "data"), (&tokens[0], "plot"), (&tokens[1], "anything")] {
        let body = format!(r#"{{"script": "x", "profile": "{profile}"}}"#);
        assert_eq!(client.execute_with(token, &body)?.status(), 200, "{profile}");
    }
    Ok(())
}

#[test]
fn a_key_has_its_end() -> Outcome {
    // Seconds are what is written down, so this one's end is not after its beginning.
    let (guarded, tokens) = Guarded::start(&[("over", &["--expires", "1ms"]), ("later", &["--expires", "1d"])])?;
    let mut client = guarded.client()?;
    let message = client.execute_with(&tokens[0], SCRIPT)?.refusal(401, "unauthorized");
    assert!(message.contains("expired"), "{message}");
    assert_eq!(client.execute_with(&tokens[1], SCRIPT)?.status(), 200);
    Ok(())
}

#[test]
fn changes_are_taken_over_while_it_runs() -> Outcome {
    let (guarded, tokens) = Guarded::start(&[("first", &[])])?;
    assert_eq!(guarded.status(&tokens[0]), 200);
    let second = guarded.keys.add("second", &[])?;
    until("the new key is known", || guarded.status(&second) == 200);
    guarded.keys.revoke("first")?;
    until("the old key is not", || guarded.status(&tokens[0]) == 401);
    assert_eq!(guarded.status(&second), 200);

    // What cannot be read changes nothing, and is told.
    let good = fs::read_to_string(&guarded.keys.path)?;
    guarded.keys.write("version = 1\n[[key]]\nname = 1\n")?;
    let line = guarded.gateway.logged("the mistake", |line| line["level"] == "ERROR");
    assert!(line["error"].as_str().is_some_and(|error| error.contains("line 3")), "{line}");
    assert_eq!(guarded.status(&second), 200);
    guarded.keys.write(good)?;
    // No file is no keys.
    fs::remove_file(&guarded.keys.path)?;
    until("nobody is let in", || guarded.status(&second) == 401);
    Ok(())
}

#[test]
fn a_burst_beyond_all_reckoning_is_refused_and_ends_nothing() -> Outcome {
    let (guarded, tokens) = Guarded::start(&[("first", &[]), ("second", &[])])?;
    let refused = guarded.keys.add("third", &["--rate", "1/h", "--burst", "6000000"]);
    let message = refused.expect_err("beyond all reckoning").to_string();
    assert!(message.contains("\"third\"") && message.contains("smaller burst"), "{message}");
    let good = fs::read_to_string(&guarded.keys.path)?;
    let bad = good.replacen("created = ", "rate = \"1/h\"\nburst = 6000000\ncreated = ", 1);
    guarded.keys.write(bad)?;
    let line = guarded.gateway.logged("the mistake", |line| line["level"] == "ERROR");
    assert!(line["error"].as_str().is_some_and(|error| error.contains("\"first\"")), "{line}");
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--keys", guarded.keys.argument()];
    if geteuid().is_root() {
        arguments.extend(["--user", "64510"]);
    }
    let message = Gateway::refuses(&arguments)?;
    assert!(
        message.contains("\"first\"") && message.contains("smaller burst") && !message.contains("panic"),
        "{message}"
    );
    guarded.keys.write(good)?;
    assert_eq!(guarded.status(&tokens[0]), 200);
    guarded.keys.revoke("first")?;
    until("a later revocation is taken over", || guarded.status(&tokens[0]) == 401);
    assert_eq!(guarded.status(&tokens[1]), 200);
    Ok(())
}

#[test]
fn a_hangup_reads_again_and_ends_nothing() -> Outcome {
    let (guarded, tokens) = Guarded::start(&[("one", &[])])?;
    for times in 1..=3 {
        guarded.gateway.signal(Signal::SIGHUP)?;
        let read = |line: &&serde_json::Value| line["message"] == "read again" && line["what"] == "keys";
        until("it is read again", || guarded.gateway.log().iter().filter(read).count() == times);
    }
    assert_eq!(guarded.status(&tokens[0]), 200);
    // Where there is nothing to read, too.
    let gateway = Gateway::start(&guarded.supervisor.socket)?;
    gateway.signal(Signal::SIGHUP)?;
    assert_eq!(Client::connect(gateway.address)?.execute(SCRIPT)?.status(), 200);
    Ok(())
}

#[test]
fn with_keys_any_address_may_be_listened_on() -> Outcome {
    let (guarded, _) = Guarded::start(&[])?;
    let arguments = ["--listen", "0.0.0.0:0", "--keys", guarded.keys.argument()];
    let gateway = Gateway::start_with(&guarded.supervisor.socket, &arguments)?;
    gateway.logged("what that means without TLS", |line| line["level"] == "WARN");
    let address = (std::net::Ipv4Addr::LOCALHOST, gateway.address.port()).into();
    Client::connect(address)?.execute(SCRIPT)?.refusal(401, "unauthorized");
    Ok(())
}

#[test]
fn keys_that_cannot_be_read_keep_it_from_starting() -> Outcome {
    let keys = KeyFile::new()?;
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--keys", keys.argument(), "--socket", "/tmp/none.sock"];
    if geteuid().is_root() {
        arguments.extend(["--user", "64510"]);
    }
    fs::write(&keys.path, "[[key]]\nname = \"one\"\n")?;
    let message = Gateway::refuses(&arguments)?;
    assert!(message.contains("keys.toml"), "{message}");
    if geteuid().is_root() {
        fs::set_permissions(&keys.path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        let message = Gateway::refuses(&arguments)?;
        assert!(message.contains("keys.toml") && message.contains("denied"), "{message}");
    }
    arguments.push("--no-auth");
    assert!(Gateway::refuses(&arguments)?.contains("--no-auth"));
    Ok(())
}
