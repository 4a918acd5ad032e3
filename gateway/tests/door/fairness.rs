//! Nobody's haste is another's wait: rates, shares, and what those are told who ask for more.

use std::io::Read;
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
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

/// A supervisor whose jobs each end when the test says so.
fn held() -> std::io::Result<(Supervisor, Sender<()>)> {
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let supervisor = Supervisor::start(move |_, stream| {
        let released = released.lock().unwrap_or_else(PoisonError::into_inner).recv();
        respond(stream, "200 OK", "", "{}").map(|()| released.is_ok())
    })?;
    Ok((supervisor, release))
}

/// The scripts that the supervisor got, in order.
fn order(supervisor: &Supervisor) -> Vec<String> {
    let script = |request: &crate::stage::Message| request.json()["script"].as_str().unwrap_or_default().to_owned();
    supervisor.requests().iter().map(script).collect()
}

/// So many requests of a key that wait for their answers, each on a connection of its own.
fn flood(gateway: &Gateway, key: &str, script: &str, count: usize) -> std::io::Result<Vec<Client>> {
    let send = |_| {
        let mut client = Client::connect(gateway.address)?;
        client.post(&format!("authorization: Bearer {key}\r\n"), &format!("{{\"script\": \"{script}\"}}"))?;
        Ok(client)
    };
    (0..count).map(send).collect()
}

#[test]
fn a_flood_of_one_key_is_not_in_anothers_way() -> Outcome {
    let (supervisor, release) = held()?;
    let keys = KeyFile::new()?;
    let (many, few) = (keys.add("many", &[])?, keys.add("few", &[])?);
    let arguments = ["--keys", keys.argument(), "--jobs", "1", "--queue", "400", "--queue-wait", "1h"];
    let gateway = Gateway::start_with(&supervisor.socket, &[&arguments[..], &["--metrics", "127.0.0.1:0"]].concat())?;
    let mut flooding = flood(&gateway, &many, "many", 100)?;
    until("all of them wait but one", || gateway.metric("cloister_queue_length") == 99.0);
    let mut other = flood(&gateway, &few, "few", 1)?;
    until("the other waits", || gateway.metric("cloister_queue_length") == 100.0);
    for _ in 0..2 {
        release.send(())?;
    }
    until("three have run or run", || supervisor.requests().len() == 3);
    assert_eq!(order(&supervisor), ["many", "many", "few"], "a hundred came first, and one is before it");
    for _ in 0..99 {
        release.send(())?;
    }
    for client in flooding.iter_mut().chain(&mut other) {
        assert_eq!(client.response()?.status(), 200);
    }
    assert_eq!(gateway.metric("cloister_places_busy"), 0.0);
    Ok(())
}

#[test]
fn a_flood_leaves_places_to_who_has_none() -> Outcome {
    let (supervisor, _release) = held()?;
    let keys = KeyFile::new()?;
    let (many, few) = (keys.add("many", &[])?, keys.add("few", &[])?);
    let arguments = ["--keys", keys.argument(), "--jobs", "8", "--queue", "40", "--metrics", "127.0.0.1:0"];
    let gateway = Gateway::start_with(&supervisor.socket, &arguments)?;
    let _flooding = flood(&gateway, &many, "many", 27)?;
    until("seven run and twenty wait", || gateway.metric("cloister_queue_length") == 20.0);
    until("seven run", || supervisor.requests().len() == 7);
    // Half of the queue is all that one key gets.
    let mut more = Client::connect(gateway.address)?;
    let message = more.execute_with(&many, SCRIPT)?.refusal(429, "overloaded");
    assert!(message.contains("your requests"), "{message}");
    let _other = flood(&gateway, &few, "few", 1)?;
    until("the other runs at once", || order(&supervisor).iter().any(|script| script == "few"));
    assert_eq!(gateway.metric("cloister_queue_length"), 20.0);
    Ok(())
}

#[test]
fn who_waits_too_long_is_told() -> Outcome {
    let (supervisor, _release) = held()?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--jobs", "1", "--queue-wait", "100ms"])?;
    let mut first = Client::connect(gateway.address)?;
    first.post("", SCRIPT)?;
    until("it runs", || supervisor.requests().len() == 1);
    let response = Client::connect(gateway.address)?.execute(SCRIPT)?;
    assert!(response.refusal(429, "overloaded").contains("in time"));
    assert!(response.header("retry-after").is_some());
    Ok(())
}

#[test]
fn a_trusted_proxys_clients_are_told_apart() -> Outcome {
    let (supervisor, _release) = held()?;
    let bounds = ["--jobs", "1", "--queue", "2", "--metrics", "127.0.0.1:0"];
    let gateway =
        Gateway::start_with(&supervisor.socket, &[&bounds[..], &["--trusted-proxy", "127.0.0.0/8"]].concat())?;
    let mut clients = Vec::new();
    for (number, client) in ["192.0.2.1", "192.0.2.1", "192.0.2.2"].into_iter().enumerate() {
        let mut connection = Client::connect(gateway.address)?;
        connection.post(&format!("x-forwarded-for: forged, {client}\r\n"), SCRIPT)?;
        clients.push(connection);
        until("it is let in", || {
            gateway.metric("cloister_queue_length") + gateway.metric("cloister_places_busy") == number as f64 + 1.0
        });
    }
    gateway.metrics()?;
    drop(clients);
    let line = gateway.logged("a client", |line| line["client"] == "192.0.2.2");
    assert!(line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")), "{line}");
    // Unasked, nobody is believed.
    let gateway = Gateway::start_with(&supervisor.socket, &bounds)?;
    let mut connection = Client::connect(gateway.address)?;
    connection.send("GET /healthz HTTP/1.1\r\nhost: test\r\nx-forwarded-for: 192.0.2.1\r\n\r\n")?;
    connection.response()?;
    gateway.logged("the peer alone", |line| line["status"] == 200 && line["client"] == "127.0.0.1");
    Ok(())
}
