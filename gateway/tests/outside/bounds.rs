//! Nobody may take more than their share: sizes, times, and the number of connections.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::stage::{Client, Gateway, LONG, Outcome, Place, SCRIPT, Supervisor, respond};

const HEAD: &str = "POST /execute HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const HEALTH: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn a_body_announced_too_large_is_refused_before_it_is_sent() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--max-body", "1000"])?;
    for header in ["", "expect: 100-continue\r\n"] {
        let mut client = Client::connect(gateway.address)?;
        client.send(format!("{HEAD}content-length: 1001\r\n{header}\r\n"))?;
        let response = client.response()?;
        let message = response.refusal(413, "too_large");
        assert!(message.contains("1000 bytes"), "{message}");
        assert_eq!(response.header("connection"), Some("close"));
        client.half_close()?;
        assert!(client.rest()?.is_empty());
    }
    Ok(())
}

#[test]
fn chunks_that_become_too_much_are_refused_on_the_way() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--max-body", "1000"])?;
    let mut client = Client::connect(gateway.address)?;
    client.send(format!("{HEAD}transfer-encoding: chunked\r\n\r\n"))?;
    for _ in 0..3 {
        client.send(format!("190\r\n{}\r\n", "a".repeat(400)))?;
    }
    client.response()?.refusal(413, "too_large");
    Ok(())
}

#[test]
fn a_client_that_sends_all_before_it_looks_still_sees_why() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", &"a".repeat(40 * 1024 * 1024))?;
    client.response()?.refusal(413, "too_large");
    Ok(())
}

#[test]
fn a_client_that_waits_is_told_to_go_on_once_its_headers_pass() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.send(format!("{HEAD}expect: 100-continue\r\ncontent-length: {}\r\n\r\n", SCRIPT.len()))?;
    assert_eq!(client.head()?.status(), 100);
    client.send(SCRIPT)?;
    assert_eq!(client.response()?.status(), 200);
    Ok(())
}

#[test]
fn headers_are_bounded_in_size_and_number() -> Outcome {
    let gateway = Gateway::start(&Place::new()?)?;
    let long = format!("x: {}\r\n", "a".repeat(17 * 1024));
    let many = (0..70).map(|number| format!("x-{number}: y\r\n")).collect::<String>();
    for headers in [long, many] {
        let mut client = Client::connect(gateway.address)?;
        client.send(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"))?;
        assert_eq!(client.head()?.status(), 431);
        client.rest()?;
    }
    let mut client = Client::connect(gateway.address)?;
    client.send(format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "a".repeat(15 * 1024)))?;
    assert_eq!(client.response()?.status(), 200);
    Ok(())
}

#[test]
fn a_header_that_trickles_in_ends_its_connection() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--header-timeout", "2s", "--idle-timeout", "1h"])?;
    let mut silent = Client::connect(gateway.address)?;
    let mut second = Client::connect(gateway.address)?;
    second.send(HEALTH)?;
    assert_eq!(second.response()?.status(), 200);
    let mut first = Client::connect(gateway.address)?;
    let started = Instant::now();
    // One trickles from its connection's start, the other on one that has already been served.
    for byte in HEALTH.bytes().take(20) {
        let sent = first.send([byte]).and_then(|()| second.send([byte]));
        if sent.is_err() {
            break;
        }
        sleep(Duration::from_millis(250));
    }
    assert!(first.rest()?.is_empty() && second.rest()?.is_empty() && silent.rest()?.is_empty());
    assert!(
        (Duration::from_millis(1750)..Duration::from_secs(25)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    Ok(())
}

#[test]
fn an_idle_connection_has_a_patience_of_its_own() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--header-timeout", "1s", "--idle-timeout", "4500ms"])?;
    let mut client = Client::connect(gateway.address)?;
    for _ in 0..2 {
        client.send(HEALTH)?;
        assert_eq!(client.response()?.status(), 200);
        sleep(Duration::from_millis(2500));
    }
    client.send(HEALTH)?;
    assert_eq!(client.response()?.status(), 200);
    let started = Instant::now();
    assert!(client.rest()?.is_empty());
    assert!((Duration::from_secs(4)..Duration::from_secs(25)).contains(&started.elapsed()), "{:?}", started.elapsed());
    Ok(())
}

#[test]
fn a_body_that_trickles_in_is_refused_and_takes_no_slot() -> Outcome {
    let supervisor = Supervisor::answering("200 OK", "", "{}")?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--body-timeout", "300ms"])?;
    let mut client = Client::connect(gateway.address)?;
    client.send(format!("{HEAD}content-length: 50\r\n\r\n{{\"script\": "))?;
    let response = client.response()?;
    response.refusal(408, "request_timeout");
    assert_eq!(response.header("connection"), Some("close"));
    assert!(supervisor.requests().is_empty() && supervisor.connections() == 0);
    Ok(())
}

#[test]
fn a_client_that_waits_for_its_job_is_never_given_up_on() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        sleep(Duration::from_millis(4500));
        respond(stream, "200 OK", "", "{}").map(|()| true)
    })?;
    let short = ["--header-timeout", "500ms", "--idle-timeout", "500ms", "--body-timeout", "500ms"];
    let gateway = Gateway::start_with(&supervisor.socket, &short)?;
    assert_eq!(Client::connect(gateway.address)?.execute(SCRIPT)?.status(), 200);
    Ok(())
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_loses_its_place() -> Outcome {
    let supervisor =
        Supervisor::start(|_, stream| respond(stream, "200 OK", "", &"a".repeat(64 << 20)).map(|()| true))?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--max-connections", "1", "--body-timeout", "500ms"])?;
    let mut stalled = Client::connect(gateway.address)?;
    stalled.post("", SCRIPT)?;
    let mut next = Client::connect(gateway.address)?;
    next.send(HEALTH)?;
    let started = Instant::now();
    assert_eq!(next.response()?.status(), 200);
    assert!(started.elapsed() < LONG);
    Ok(())
}

#[test]
fn a_client_that_takes_a_little_now_and_then_is_cut_off_too() -> Outcome {
    let supervisor =
        Supervisor::start(|_, stream| respond(stream, "200 OK", "", &"a".repeat(64 << 20)).map(|()| true))?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--body-timeout", "1s", "--least-read", "16777216"])?;
    let mut slow = Client::connect(gateway.address)?;
    slow.post("", SCRIPT)?;
    assert_eq!(slow.head()?.status(), 200);
    let started = Instant::now();
    // Some of it is taken all the time, and each time the gateway can go on writing.
    while started.elapsed() < LONG && slow.take(256 * 1024)? > 0 {
        sleep(Duration::from_millis(100));
    }
    let line = gateway.logged("its end", |line| line["message"] == "answered");
    assert!(line["bytes"].as_u64().is_some_and(|bytes| bytes < 64 << 20), "{line}");
    Ok(())
}

#[test]
fn a_client_whose_answer_comes_slowly_is_not_taken_for_a_slow_one() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n")?;
        for _ in 0..5 {
            stream.write_all(&[b'a'; 10])?;
            sleep(Duration::from_millis(400));
        }
        Ok(true)
    })?;
    let gateway = Gateway::start_with(&supervisor.socket, &["--body-timeout", "300ms"])?;
    assert_eq!(Client::connect(gateway.address)?.execute(SCRIPT)?.body.len(), 50);
    Ok(())
}

#[test]
fn beyond_the_most_connections_newcomers_wait_for_a_place() -> Outcome {
    let gateway = Gateway::start_with(&Place::new()?, &["--max-connections", "2", "--idle-timeout", "1h"])?;
    let mut places = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(gateway.address)?;
        client.send(HEALTH)?;
        assert_eq!(client.response()?.status(), 200);
        places.push(client);
    }
    let mut newcomer = Client::connect(gateway.address)?;
    newcomer.send(HEALTH)?;
    let answered = std::thread::spawn(move || newcomer.response().map(|response| (response.status(), Instant::now())));
    sleep(Duration::from_millis(300));
    let freed = Instant::now();
    places.pop();
    let (status, answered) = answered.join().expect("the client does not panic")?;
    assert_eq!(status, 200);
    assert!(answered > freed, "served while there was no place");
    Ok(())
}

#[test]
fn running_out_of_files_is_waited_out() -> Outcome {
    let gateway = Gateway::start_with_files(&Place::new()?, 24)?;
    let clients = (0..40).map(|_| Client::connect(gateway.address)).collect::<Result<Vec<_>, _>>()?;
    gateway.logged("the failure to accept", |line| line["message"] == "accept a connection");
    drop(clients);
    let mut client = Client::connect(gateway.address)?;
    client.send(HEALTH)?;
    assert_eq!(client.response()?.status(), 200);
    Ok(())
}
