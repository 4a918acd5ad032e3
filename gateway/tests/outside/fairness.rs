//! Nobody's haste is another's wait: rates, shares, and what those are told who ask for more.

use std::io::Read;
use std::time::Duration;

use crate::stage::{Client, Gateway, KeyFile, Outcome, SCRIPT, Supervisor, respond, until};

#[test]
fn a_key_that_sends_too_fast_is_told_when_to_come_back() -> Outcome {
    let (supervisor, keys) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
    let slow = keys.add("slow", &["--rate", "6/h", "--burst", "2"])?;
    let free = keys.add("free", &[])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut client = Client::connect(gateway.address)?;
    for (remaining, reset) in [(1, 600), (0, 1200)] {
        let response = client.execute_with(&slow, SCRIPT)?;
        assert_eq!(response.status(), 200);
        assert_eq!(response.header("ratelimit-policy"), Some("\"key\";q=2;w=1200"));
        let limit = response.header("ratelimit").unwrap_or_default();
        assert_eq!(limit, format!("\"key\";r={remaining};t={reset}"));
    }
    let response = client.execute_with(&slow, SCRIPT)?;
    let message = response.refusal(429, "rate_limited");
    // Ten minutes from the first request on, less what has passed since.
    let seconds: u64 = response.header("retry-after").unwrap_or_default().parse()?;
    assert!((500..=600).contains(&seconds) && message.contains(&seconds.to_string()), "{seconds}: {message}");
    assert_eq!(response.header("ratelimit"), Some(format!("\"key\";r=0;t={seconds}").as_str()));
    // On the same connection, another is not disturbed; and who has no rate is told none.
    let response = client.execute_with(&free, SCRIPT)?;
    assert_eq!((response.status(), response.header("ratelimit")), (200, None));
    assert_eq!(supervisor.requests().len(), 3);
    Ok(())
}

#[test]
fn waiting_out_retry_after_is_enough() -> Outcome {
    let (supervisor, keys) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
    let key = keys.add("one", &["--rate", "1/s", "--burst", "1"])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut client = Client::connect(gateway.address)?;
    assert_eq!(client.execute_with(&key, SCRIPT)?.status(), 200);
    // However slow the machine: either the second has passed, or it is told so and waiting is enough.
    let response = client.execute_with(&key, SCRIPT)?;
    if response.status() == 429 {
        let seconds = response.header("retry-after").unwrap_or_default().parse()?;
        assert_eq!(seconds, 1);
        std::thread::sleep(Duration::from_secs(seconds));
        assert_eq!(client.execute_with(&key, SCRIPT)?.status(), 200);
    }
    Ok(())
}

#[test]
fn a_changed_file_forgets_nobodys_haste() -> Outcome {
    let (supervisor, keys) = (Supervisor::answering("200 OK", "", "{}")?, KeyFile::new()?);
    let key = keys.add("one", &["--rate", "1/h", "--burst", "1"])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut client = Client::connect(gateway.address)?;
    assert_eq!(client.execute_with(&key, SCRIPT)?.status(), 200);
    keys.add("two", &[])?;
    gateway.logged("the change", |line| line["message"] == "read again");
    client.execute_with(&key, SCRIPT)?.refusal(429, "rate_limited");
    Ok(())
}

#[test]
fn a_key_has_so_many_requests_at_once_and_no_more() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| stream.read(&mut [0; 1]).map(|_| false))?;
    let keys = KeyFile::new()?;
    let two = keys.add("two", &["--concurrency", "2"])?;
    let other = keys.add("other", &[])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let header = |key: &str| format!("authorization: Bearer {key}\r\n");
    let mut running = (0..2).map(|_| Client::connect(gateway.address)).collect::<Result<Vec<_>, _>>()?;
    for client in &mut running {
        client.post(&header(&two), SCRIPT)?;
    }
    until("both run", || supervisor.requests().len() == 2);
    let mut third = Client::connect(gateway.address)?;
    let response = third.execute_with(&two, SCRIPT)?;
    assert!(response.refusal(429, "rate_limited").contains("2 requests at once"));
    assert!(response.header("retry-after").is_some());
    let mut neighbour = Client::connect(gateway.address)?;
    neighbour.post(&header(&other), SCRIPT)?;
    until("another key's runs", || supervisor.requests().len() == 3);
    running.pop();
    // One has left, so one may come.
    gateway.logged("the departure", |line| line["message"] == "the client left before its answer");
    third.post(&header(&two), SCRIPT)?;
    until("the next runs", || supervisor.requests().len() == 4);
    Ok(())
}

#[test]
fn a_key_counts_a_request_until_the_last_byte_of_its_answer() -> Outcome {
    let supervisor =
        Supervisor::start(|_, stream| respond(stream, "200 OK", "", &"a".repeat(32 << 20)).map(|()| true))?;
    let keys = KeyFile::new()?;
    let one = keys.add("one", &["--concurrency", "1"])?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    let mut unread = Client::connect(gateway.address)?;
    unread.post(&format!("authorization: Bearer {one}\r\n"), SCRIPT)?;
    assert_eq!(unread.head()?.status(), 200);
    let mut second = Client::connect(gateway.address)?;
    let message = second.execute_with(&one, SCRIPT)?.refusal(429, "rate_limited");
    assert!(message.contains("not read"), "{message}");
    drop(unread);
    gateway.logged("its end", |line| line["status"] == 200);
    assert_eq!(second.execute_with(&one, SCRIPT)?.status(), 200);
    Ok(())
}

#[test]
fn the_supervisor_is_told_for_whom_a_request_is() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let keys = KeyFile::new()?;
    let (one, two) = (keys.add("one", &[])?, keys.add("two", &[])?);
    let gateway = Gateway::start_with(&supervisor.socket, &["--keys", keys.argument()])?;
    for key in [&one, &two, &one] {
        assert_eq!(Client::connect(gateway.address)?.execute_with(key, SCRIPT)?.status(), 200);
    }
    let tenants = tenants(&supervisor);
    assert!(tenants[0] == tenants[2] && tenants[0] != tenants[1], "{tenants:?}");
    Ok(())
}

fn tenants(supervisor: &Supervisor) -> Vec<String> {
    let tenant = |request: &crate::stage::Message| request.header("x-cloister-tenant").unwrap_or_default().to_owned();
    supervisor.requests().iter().map(tenant).collect()
}

#[test]
fn a_trusted_proxys_clients_are_told_apart() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--trusted-proxy", "127.0.0.0/8"])?;
    for client in ["192.0.2.1", "192.0.2.1", "192.0.2.2"] {
        let mut connection = Client::connect(gateway.address)?;
        connection.post(&format!("x-forwarded-for: forged, {client}\r\n"), SCRIPT)?;
        assert_eq!(connection.response()?.status(), 200);
    }
    let tenants = tenants(&supervisor);
    assert!(tenants[0] == tenants[1] && tenants[0] != tenants[2], "{tenants:?}");
    let line = gateway.logged("a client", |line| line["client"] == "192.0.2.2");
    assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    // Unasked, nobody is believed.
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut connection = Client::connect(gateway.address)?;
    connection.send("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: 192.0.2.1\r\n\r\n")?;
    connection.response()?;
    gateway.logged("the peer alone", |line| line["status"] == 200 && line["client"] == "127.0.0.1");
    Ok(())
}
