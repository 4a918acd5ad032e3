//! Requests that are held while the supervisor is away, and those that may not be.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::stage::{Client, Gateway, Outcome, Place, SCRIPT, Supervisor, respond, until};

/// A supervisor's word that it is only starting.
const STARTING: &str = "x-cloister-away: starting\r\n";

#[test]
fn requests_are_held_until_the_supervisor_is_back_and_sent_once() -> Outcome {
    let socket = Place::new()?;
    let gateway = Gateway::start_with(&socket, &["--hold", "10m", "--metrics", "127.0.0.1:0"])?;
    let large = format!(r#"{{"script": "{}"}}"#, "a".repeat(100_000));
    let mut clients = (0..40).map(|_| Client::connect(gateway.address)).collect::<Result<Vec<_>, _>>()?;
    for (client, number) in clients.iter_mut().zip(0..) {
        client.post("", if number % 2 == 0 { SCRIPT } else { &large })?;
    }
    let mut leaver = Client::connect(gateway.address)?;
    leaver.post("", r#"{"script": "left"}"#)?;
    let mut asks = Client::connect(gateway.address)?;
    asks.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    asks.response()?.refusal(503, "unavailable");
    until("all are held", || gateway.metric("cloister_requests_held") == 41.0);
    drop(leaver);
    gateway.logged("the departure", |line| line["message"] == "the client left before its answer");
    // At first it is only starting.
    let (ready, becomes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let supervisor = Supervisor::start_at(&socket, {
        let (ready, becomes) = (Arc::clone(&ready), Arc::clone(&becomes));
        move |request, stream| {
            if ready.load(Ordering::Relaxed) {
                return respond(stream, "200 OK", "", "{}").map(|()| true);
            }
            becomes.fetch_add(usize::from(request.start.starts_with("GET")), Ordering::Relaxed);
            respond(stream, "503 Service Unavailable", STARTING, r#"{"error":{}}"#).map(|()| false)
        }
    })?;
    supervisor.fill();
    until("it was looked for", || becomes.load(Ordering::Relaxed) > 2);
    assert!(!supervisor.requests().iter().any(|request| request.start.starts_with("POST")), "one looks for all");
    supervisor.empty();
    ready.store(true, Ordering::Relaxed);
    for client in &mut clients {
        assert_eq!(client.response()?.status(), 200);
    }
    until("none is held", || gateway.metric("cloister_requests_held") == 0.0);
    let sent = supervisor.requests().into_iter().filter(|request| request.start.starts_with("POST"));
    let ids = sent.filter_map(|request| request.header("x-cloister-id").map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(
        (ids.len(), ids.iter().collect::<HashSet<_>>().len()),
        (40, 40),
        "each once, and none that was given up"
    );
    Ok(())
}

#[test]
fn one_that_is_only_starting_is_waited_for_so_long_and_then_believed() -> Outcome {
    let supervisor = Supervisor::start(|_, stream| {
        respond(stream, "503 Service Unavailable", STARTING, r#"{"error":{"code":"unavailable"}}"#).map(|()| false)
    })?;
    supervisor.fill();
    let gateway = Gateway::start_with(&supervisor.socket, &["--hold", "200ms"])?;
    let mut client = Client::connect(gateway.address)?;
    let response = client.execute(SCRIPT)?;
    assert_eq!((response.status(), &response.json()["error"]["code"]), (503, &"unavailable".into()));
    let sent = supervisor.requests().iter().filter(|request| request.start.starts_with("POST")).count();
    assert_eq!(sent, 1, "it was never found to be there");
    Ok(())
}

#[test]
fn a_job_that_may_have_begun_is_not_held() -> Outcome {
    // It asks for the body and is then gone, or says that it is starting, which nobody believes it any more.
    for says in [false, true] {
        let supervisor = Supervisor::start(move |_, stream| {
            if says {
                respond(stream, "503 Service Unavailable", STARTING, r#"{"error":{}}"#)?;
            }
            Ok(false)
        })?;
        let gateway = Gateway::start_with(&supervisor.socket, &["--hold", "10m"])?;
        let response = Client::connect(gateway.address)?.execute(SCRIPT)?;
        assert_eq!(response.status(), if says { 503 } else { 502 });
        assert_eq!(supervisor.requests().len(), 1);
    }
    Ok(())
}

#[test]
fn bodies_that_are_held_count_with_all_others() -> Outcome {
    // It goes away whenever it is asked something.
    let supervisor = Supervisor::start(|_, _| Ok(false))?;
    supervisor.fill();
    let gateway = Gateway::start_with(&supervisor.socket, &["--hold", "10m", "--max-body-memory", "400000"])?;
    let large = format!(r#"{{"script": "{}"}}"#, "a".repeat(100_000));
    let mut held = Client::connect(gateway.address)?;
    held.post("", &large)?;
    until("the first is held", || !supervisor.requests().is_empty());
    // What is held has all but half of this tenant's half.
    Client::connect(gateway.address)?.execute(&large)?.refusal(429, "overloaded");
    drop(held);
    gateway.logged("the departure", |line| line["message"] == "the client left before its answer");
    let before = supervisor.requests().len();
    let mut another = Client::connect(gateway.address)?;
    another.post("", &large)?;
    until("another is held", || supervisor.requests().len() > before);
    Ok(())
}
