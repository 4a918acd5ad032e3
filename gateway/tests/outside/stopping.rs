//! How the gateway ends.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::stage::frames::{ACK, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, execute};
use crate::stage::{
    Certificate, Client, Frames, Gateway, Message, Outcome, Place, SCRIPT, Supervisor, respond, trusting, until,
};

/// Longer than any of these tests.
const NOTICE: [&str; 2] = ["--drain-notice", "10m"];

/// A supervisor whose jobs take this long.
fn working(time: Duration) -> std::io::Result<Supervisor> {
    Supervisor::start(move |_, stream| {
        std::thread::sleep(time);
        respond(stream, "200 OK", "", "{}").map(|()| true)
    })
}

#[test]
fn running_requests_finish_and_newcomers_are_turned_away() -> Outcome {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let supervisor = working(Duration::from_millis(600))?;
        let mut gateway = Gateway::start(&supervisor.socket)?;
        let mut idle = Client::connect(gateway.address)?;
        let mut client = Client::connect(gateway.address)?;
        client.post("", SCRIPT)?;
        until("the job runs", || supervisor.requests().len() == 1);
        gateway.signal(signal)?;
        gateway.logged("the end's beginning", |line| line["message"] == "stopping: running requests may finish");
        assert!(Client::connect(gateway.address).is_err(), "the listener should be closed");
        assert!(idle.rest()?.is_empty());
        let response = client.response()?;
        assert_eq!((response.status(), response.header("connection")), (200, Some("close")));
        assert_eq!(gateway.wait()?.code(), Some(0));
    }
    Ok(())
}

#[test]
fn the_time_to_finish_is_bounded() -> Outcome {
    let supervisor = working(Duration::from_secs(60))?;
    let mut gateway = Gateway::start_with(&supervisor.socket, &["--drain", "300ms"])?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    until("the job runs", || supervisor.requests().len() == 1);
    let started = Instant::now();
    gateway.signal(Signal::SIGTERM)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    assert!(
        (Duration::from_millis(250)..Duration::from_secs(5)).contains(&started.elapsed()),
        "{:?}",
        started.elapsed()
    );
    Ok(())
}

#[test]
fn asked_twice_it_ends_at_once() -> Outcome {
    let supervisor = working(Duration::from_secs(60))?;
    let mut gateway = Gateway::start(&supervisor.socket)?;
    let mut client = Client::connect(gateway.address)?;
    client.post("", SCRIPT)?;
    until("the job runs", || supervisor.requests().len() == 1);
    gateway.signal(Signal::SIGINT)?;
    gateway.logged("the end's beginning", |line| line["message"] == "stopping: running requests may finish");
    gateway.signal(Signal::SIGINT)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn with_nothing_to_do_it_ends_at_once() -> Outcome {
    let mut gateway = Gateway::start(&Place::new()?)?;
    let started = Instant::now();
    gateway.signal(Signal::SIGTERM)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(2));
    Ok(())
}

/// What `/readyz` says on a connection of its own.
fn readiness(gateway: &Gateway) -> std::io::Result<Message> {
    let mut client = Client::connect(gateway.address)?;
    client.send("GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    client.response()
}

#[test]
fn before_the_end_everything_is_served_and_said_to_be_the_last() -> Outcome {
    let supervisor = working(Duration::from_millis(300))?;
    let mut gateway = Gateway::start_with(&supervisor.socket, &NOTICE)?;
    assert_eq!(readiness(&gateway)?.status(), 200);
    let (mut kept, mut idle) = (Client::connect(gateway.address)?, Client::connect(gateway.address)?);
    for client in [&mut kept, &mut idle] {
        let response = client.execute(SCRIPT)?;
        assert_eq!((response.status(), response.header("connection")), (200, None));
    }
    kept.post("", SCRIPT)?;
    until("a job runs", || supervisor.requests().len() == 4);
    gateway.signal(Signal::SIGTERM)?;
    gateway.logged("the notice", |line| line["message"] == "going: everything is still served");
    let told = readiness(&gateway)?.refusal(503, "unavailable");
    assert!(told.contains("going away"), "{told}");
    // One whose job ran, one that was kept, one that comes now.
    let ran = kept.response()?;
    for (mut client, response) in [
        (kept, ran),
        {
            let response = idle.execute(SCRIPT)?;
            (idle, response)
        },
        {
            let mut late = Client::connect(gateway.address)?;
            let response = late.execute(SCRIPT)?;
            (late, response)
        },
    ] {
        assert_eq!((response.status(), response.header("connection")), (200, Some("close")));
        assert!(client.rest()?.is_empty());
    }
    // One that asks nothing stays until the notice is over, or is cut short.
    let mut silent = Client::connect(gateway.address)?;
    assert_eq!(silent.execute("{")?.header("connection"), Some("close"));
    let mut silent = Client::connect(gateway.address)?;
    gateway.signal(Signal::SIGTERM)?;
    assert!(silent.rest()?.is_empty());
    assert_eq!(gateway.wait()?.code(), Some(0));
    assert!(Client::connect(gateway.address).is_err(), "the listener should be closed");
    Ok(())
}

#[test]
fn the_notice_ends_by_itself_and_a_request_on_its_way_is_waited_for() -> Outcome {
    let supervisor = working(Duration::ZERO)?;
    let mut gateway = Gateway::start_with(&supervisor.socket, &["--drain-notice", "200ms"])?;
    let (mut client, mut begun) = (Client::connect(gateway.address)?, Client::connect(gateway.address)?);
    client.execute(SCRIPT)?;
    gateway.signal(Signal::SIGTERM)?;
    gateway.logged("the notice", |line| line["message"] == "going: everything is still served");
    begun.send("POST /execute HTTP/1.1\r\nhost: localhost\r\ncontent-type: applic")?;
    gateway.logged("the end's beginning", |line| line["message"] == "stopping: running requests may finish");
    begun.send(format!("ation/json\r\ncontent-length: {}\r\n\r\n{SCRIPT}", SCRIPT.len()))?;
    assert_eq!(begun.response()?.status(), 200);
    assert!(client.rest()?.is_empty(), "an idle one is closed");
    assert_eq!(gateway.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn http2_is_told_to_go_and_loses_no_stream() -> Outcome {
    let supervisor = working(Duration::from_millis(300))?;
    let (certificate, trusted) = Certificate::new()?;
    let config = trusting(&trusted, &["h2"])?;
    let mut gateway = Gateway::start_with(&supervisor.socket, &[&certificate.arguments()[..], &NOTICE].concat())?;
    let post = |frames: &mut Frames, stream| {
        frames.send(HEADERS, END_HEADERS, stream, &execute())?;
        frames.send(DATA, END_STREAM, stream, SCRIPT.as_bytes())
    };
    let mut kept = Frames::open(gateway.address, &config, &[])?;
    post(&mut kept, 1)?;
    until("a job runs", || supervisor.requests().len() == 1);
    gateway.signal(Signal::SIGTERM)?;
    gateway.logged("the notice", |line| line["message"] == "going: everything is still served");
    kept.find(|frame| frame.kind == GOAWAY)?;
    let ping = kept.find(|frame| frame.kind == PING)?;
    // Told to go, with what was begun before it knew.
    post(&mut kept, 3)?;
    kept.send(PING, ACK, 0, &ping.payload)?;
    for _ in 0..2 {
        kept.find(|frame| frame.kind == HEADERS)?;
    }
    assert_eq!(kept.end().unwrap_or(0), 0, "it ends without an error");
    // One that comes now has asked before it is told.
    let mut late = Frames::open(gateway.address, &config, &[])?;
    late.find(|frame| frame.kind == SETTINGS)?;
    post(&mut late, 1)?;
    late.find(|frame| frame.kind == GOAWAY)?;
    let ping = late.find(|frame| frame.kind == PING)?;
    late.send(PING, ACK, 0, &ping.payload)?;
    late.find(|frame| frame.kind == HEADERS)?;
    assert_eq!(late.end().unwrap_or(0), 0);
    gateway.signal(Signal::SIGTERM)?;
    assert_eq!(gateway.wait()?.code(), Some(0));
    Ok(())
}
